"""What Gaussians give by themselves, and where they reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from ..devices.types import Grid, Splats, project
from ..gaussians import Gaussians
from .renderer import render_rows

COVERED = 0.99
"""Gaussians reach a texel of whose value they give at least this share (the rest is the EPS of the formula, black)."""

HOLE = 0.9
"""A stream has holes where they give less than this share of any texel. Where all texels count, finished fits give more."""


def planes(
    gaussians: Gaussians, width: int | None = None, height: int | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """(C, height, width) float32, what the formula gives at texel centers; and the share (height, width) of Gaussians in it.

    By default of the fitted resolution. No share (None) of a plain sum, which is 0 where it means 0.
    """
    splats, grid = project(gaussians, width, height)
    return next(_rows(gaussians, splats, grid, [(0, grid.height)]))


def rows(gaussians: Gaussians, ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """planes() of some rows of texels at a time, for little memory: of each (first, end)."""
    return _rows(gaussians, *project(gaussians), ranges)


def _rows(
    gaussians: Gaussians, splats: Splats, grid: Grid, ranges: Iterable[tuple[int, int]]
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    if grid.topk:
        ones = np.ones((len(splats.center), 1), np.float32)
        splats = replace(splats, feature=np.concatenate([splats.feature, ones], axis=1))
    for picture in render_rows(splats, grid, ranges):
        planes, share = (picture[:-1], picture[-1]) if grid.topk else (picture, None)
        yield _without_gamma(planes, gaussians), share


def _without_gamma(planes: np.ndarray, gaussians: Gaussians) -> np.ndarray:
    return planes if gaussians.gamma == 1 else np.clip(planes, 0, 1) ** np.float32(1 / gaussians.gamma)
