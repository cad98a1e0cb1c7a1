"""The decode tables hold what the definition needs, and nothing is lost on the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from imagegs_blender.core.decoding import tables
from imagegs_blender.core.devices import reference
from imagegs_blender.core.errors import ImageGSError
from tests.samples import centers, scattered

from .lookup import lookup

ROUNDING = 0.5 / 255 + 2e-4
"""Features are held as bytes."""


@pytest.mark.parametrize("wrap", [True, False])
@pytest.mark.parametrize("topk", [0, 1, 2, 4, 7, 10, 16])
def test_lookup_is_the_definition_at_every_texel(topk: int, wrap: bool) -> None:
    gaussians = scattered(400, 100, 70, 5, wrap, topk, seed=topk)
    built = tables.build(gaussians)
    found = lookup(built, *centers(100, 70))
    assert built.missed == 0
    np.testing.assert_allclose(np.moveaxis(found, 2, 0), reference.render(gaussians), atol=ROUNDING)


@pytest.mark.parametrize("topk", [4, 10])
def test_magnified_four_times_nearly_every_point_is_exact(topk: int) -> None:
    """Between texel centers a Gaussian of a crowd can be in the top-K of a sliver that no center sees."""
    gaussians = scattered(300, 64, 64, 3, True, topk)
    found = lookup(tables.build(gaussians), *centers(256, 256))
    truth = np.moveaxis(reference.render(gaussians, 256, 256), 0, 2)
    assert (np.abs(found - truth).max(2) > ROUNDING).mean() < 2e-2


@pytest.mark.parametrize("planes", [1, 2, 3, 4, 9, 14, 32])
def test_every_plane_has_its_own_place(planes: int) -> None:
    gaussians = scattered(50, 32, 32, planes)
    built = tables.build(gaussians)
    assert len(built.features) == -(-planes // 4)
    found = lookup(built, *centers(32, 32))
    np.testing.assert_allclose(np.moveaxis(found, 2, 0), reference.render(gaussians), atol=ROUNDING)


@pytest.mark.parametrize(("width", "height", "count"), [(1, 1, 1), (3, 5, 2), (7, 300, 40), (33, 17, 90)])
def test_odd_sizes(width: int, height: int, count: int) -> None:
    gaussians = scattered(count, width, height, 2, wrap=False)
    found = lookup(tables.build(gaussians), *centers(width, height))
    np.testing.assert_allclose(np.moveaxis(found, 2, 0), reference.render(gaussians), atol=ROUNDING)


def test_bytes_are_coordinates_inside_of_every_texel() -> None:
    """Of tables of any side that _sheet makes; shaders take the closest texel at byte / 255."""
    for side in (*range(1, tables.CLEAR + 1), 256):
        place = np.arange(side)
        byte = tables._byte(place, side)
        assert np.array_equal(np.minimum(byte * side // 255, side - 1), place)
        margin = byte / 255 * side - place
        assert side == 256 or 0.05 < margin.min() <= margin.max() < 0.95


def test_in_a_crowd_the_texels_themselves_go_first() -> None:
    """One Gaussian a texel: even K slots hold what the centers need."""
    gaussians = scattered(4000, 64, 64, 3)
    built = tables.build(gaussians, max_candidates=4)
    assert built.missed == 0
    found = np.moveaxis(lookup(built, *centers(64, 64)), 2, 0)
    np.testing.assert_allclose(found, reference.render(gaussians), atol=ROUNDING)


def test_what_does_not_fit_is_reported() -> None:
    gaussians = scattered(200, 64, 64, 3, topk=0)
    built = tables.build(gaussians, max_candidates=8)
    found = np.moveaxis(lookup(built, *centers(64, 64)), 2, 0)
    wrong = (np.abs(found - reference.render(gaussians)) > 1e-3).any(0).mean()
    assert 0 < wrong <= built.missed < 1
    assert built.warning.startswith(f"{100 * built.missed:.1f} % of the texels need more Gaussians")
    assert tables.build(gaussians, max_candidates=128).warning == ""


def test_small_and_the_same_every_time() -> None:
    gaussians = scattered(7500, 1024, 1024, 9)
    first, second = tables.build(gaussians), tables.build(gaussians)
    for name, table in first.arrays().items():
        assert np.array_equal(table, second.arrays()[name])
    assert first.missed == 0
    assert first.nbytes < 2**20  # levels of detail included; the maps are 9 MiB
    height, width = first.cells.shape[:2]
    assert 0.5 < width / height < 2, "GPUs take no longer rows than they must"


def test_bad_input_is_one_clear_error() -> None:
    gaussians = scattered(10, 16, 16, 3)
    with pytest.raises(ImageGSError, match="no Gaussians"):
        tables.build(gaussians.take(np.arange(0)))
    with pytest.raises(ImageGSError, match="33 planes"):
        tables.build(replace(gaussians, feature=np.zeros((10, 33), np.float32)))
    with pytest.raises(ImageGSError, match="gamma"):
        tables.build(replace(gaussians, gamma=2.2))
