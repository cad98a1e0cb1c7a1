"""Any map as a picture for people, and maps at other sizes: three channels, the right range, the same dtype."""

from __future__ import annotations

import numpy as np
import pytest

from imagegs_blender.core.textures.resample import resized
from imagegs_blender.core.textures.viewable import rgb, viewable


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_map_has_three_channels_for_people(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
    seen = rgb(pixels)
    assert seen.shape == (5, 7, 3) and seen.dtype == np.uint8
    expected = pixels[..., :3] if channels >= 3 else pixels[..., [0, 0, 0]]
    np.testing.assert_array_equal(seen, expected)
    np.testing.assert_allclose(viewable(pixels, pixels), expected / np.float32(255))


def test_floats_are_shown_by_the_range_of_their_reference() -> None:
    reference = np.array([[[-1.0], [3.0]]], np.float32)
    np.testing.assert_allclose(viewable(reference, reference)[0, :, 0], [0, 1])
    np.testing.assert_allclose(viewable(np.full((1, 1, 1), 5, np.float32), reference), 1)
    within = np.array([[[0.25], [0.5]]], np.float32)
    np.testing.assert_allclose(viewable(within, within)[0, :, 0], [0.25, 0.5])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_all_channels_are_resized_in_their_own_type(dtype: type) -> None:
    top = 1 if dtype is np.float32 else np.iinfo(dtype).max
    pixels = np.zeros((8, 8, 2), dtype)
    pixels[:, 4:, 1] = top
    small, large = resized(pixels, 2, 2), resized(pixels, 16, 16)
    assert small.dtype == large.dtype == dtype and large.shape == (16, 16, 2)
    np.testing.assert_array_equal(small[..., 1], [[0, top]] * 2)
    assert not small[..., 0].any()
    if dtype is not np.float32:
        assert large[0, 0, 1] == 0 and large[0, -1, 1] == top
    assert resized(pixels, 8, 8) is pixels
