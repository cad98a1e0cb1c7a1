"""A grid of cells as text: it holds what it was given, is small whatever that is, and anything else is an error."""

from __future__ import annotations

import numpy as np
import pytest

from imagegs_blender.core.textures import cells


def islands(seed: int, height: int = 512, width: int = 384) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.float32)
    for top, left, high, wide in rng.integers(1, 160, (12, 4)):
        mask[2 * top : 2 * top + high, 2 * left : 2 * left + wide] = 0.5
    return mask


def test_simple_layouts_keep_the_finest_grid() -> None:
    mask = np.zeros((1024, 1024), np.float32)
    mask[512:, :512] = 1
    text = cells.to_text(mask)
    found = cells.from_text(text)
    assert found.shape == (64, 64) and found[32:, :32].all() and found.sum() == 32 * 32 and len(text) < 40


@pytest.mark.parametrize("seed", range(6))
def test_cells_hold_every_texel_that_counts(seed: int) -> None:
    mask = islands(seed)
    found = cells.from_text(cells.to_text(mask))
    side = len(found)
    y, x = (np.nonzero(mask)[axis] * side // mask.shape[axis] for axis in (0, 1))
    assert found[y, x].all() and not found.all()
    grown = np.zeros_like(found)
    grown[y, x] = True
    assert found.sum() <= 1.5 * grown.sum(), "and few others"


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (24, 24), (2048, 2048)])
def test_noise_is_small_too(shape: tuple[int, int]) -> None:
    """The worst for compression."""
    rng = np.random.default_rng(1)
    coarse = rng.random((24, 24)) < 0.5
    rows, columns = (np.arange(length) * 24 // length for length in shape)
    mask = coarse[np.ix_(rows, columns)].astype(np.float32)
    text = cells.to_text(mask)
    assert len(text) <= 100 and len(cells.from_text(text)) in cells.SIDES


@pytest.mark.parametrize("text", ["", "a", "0" * 20, "é", cells.to_text(islands(0))[:-5], "~~~~~" * 1000])
def test_anything_else_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is no grid of cells"):
        cells.from_text(text)
