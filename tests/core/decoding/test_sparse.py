"""Few Gaussians on many texels: looked at in larger steps, they make the same picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from imagegs_blender.core.decoding import lod, node_tables, sparse
from tests.core.decoding.lookup_nodes import lookup
from tests.samples import centers, scattered


@pytest.mark.parametrize("wrap", [True, False])
def test_tables_and_levels_are_nearly_those_of_every_texel(wrap: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    few = scattered(12, 1024, 768, 3, wrap, 6, seed=3)
    few = replace(few, scale=few.scale * 16)
    looked_at = sparse.coarser(few)
    assert (looked_at.width, looked_at.height) == (512, 384), "nobody looks in larger steps"
    quick, levels = node_tables.build(few), lod.build(few)
    assert (quick.width, quick.height) == (few.width, few.height)
    monkeypatch.setattr(node_tables, "coarser", lambda gaussians: gaussians)
    monkeypatch.setattr(lod, "coarser", lambda gaussians, most: gaussians)
    slow = node_tables.build(few)
    x, y = centers(256, 192)
    shown, truth = (lookup(tables, x, y).clip(0, 1) for tables in (quick, slow))
    assert np.sqrt(np.mean((shown - truth) ** 2)) < 1 / 255
    assert np.abs(lod.average(levels) - lod.average(lod.build(few))).max() < 1 / 255


def test_streams_of_fits_are_looked_at_texel_by_texel() -> None:
    many = scattered(600, 320, 256, 3, True, 6, seed=4)
    assert sparse.coarser(many) is many


def test_steps_divide_the_texels_and_leave_enough() -> None:
    few = scattered(2, 8192, 4096, 3, True, 6, seed=5)
    assert (sparse.coarser(few).width, sparse.coarser(few).height) == (512, 256)
    assert sparse.coarser(few, 2).width == 2048
    odd = replace(few, width=8191)
    assert sparse.coarser(odd) is odd
    assert np.allclose(sparse.coarser(few).scale * 16, few.scale)
