"""Saliency: the places of a picture that stand out."""

from __future__ import annotations

import numpy as np

from imagegs_blender.core.fitting import saliency


def test_saliency_finds_what_stands_out() -> None:
    """The spectral residual of an even pattern with one odd patch is highest on the patch."""
    y, x = np.mgrid[0:256, 0:256]
    plane = (0.5 + 0.2 * np.sin(x / 3) * np.sin(y / 3)).astype(np.float32)
    plane[150:175, 60:85] = 0.9
    found = saliency.spectral_residual(plane[None], 4)
    assert found.shape == plane.shape and found.dtype == np.float32
    assert (found.min(), found.max()) == (0, 1)
    at_y, at_x = np.unravel_index(found.argmax(), found.shape)
    assert 140 < at_y < 185 and 50 < at_x < 95
    assert found[150:175, 60:85].mean() > 4 * found.mean()
    flat = saliency.gaussian_filter(np.full((9, 31), 0.25), 20)
    np.testing.assert_allclose(flat, 0.25, atol=1e-12)
