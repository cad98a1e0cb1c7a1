"""Pictures of Gaussians for people."""

from __future__ import annotations

import numpy as np

from imagegs_blender.core.cli import pictures
from imagegs_blender.core.gaussians import Gaussians
from tests.samples import picture_stack


def test_ellipses_lie_where_the_gaussians_are() -> None:
    """One red, flat, tilted Gaussian: red along its long axis, white across it."""
    one = Gaussians(
        np.array([[0.5, 0.5]], np.float32), np.array([[10, 2]], np.float32), np.array([np.pi / 4], np.float32),
        np.array([[1, 0, 0]], np.float32), np.zeros(1, np.float32), 64, 64, False, 4,
    )  # fmt: skip
    drawn = pictures.ellipses(one, picture_stack().maps[0]).astype(int)
    along, across = drawn[32 + 9, 32 + 9], drawn[32 + 9, 32 - 9]  # a positive rotation turns +x towards +y, down
    assert along[0] > 200 and along[1] < 100
    assert across.min() == 255
