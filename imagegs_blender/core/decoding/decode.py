"""Gaussians and streams -> pixels, at any resolution, on the CPU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property

import numpy as np

from ..devices.cpu.device import render, render_rows
from ..devices.types import Grid, Splats, project
from ..gaussians import Gaussians
from ..igs.stream import Stream
from ..textures import texture_stack
from ..textures.resample import fill

COVERED = 0.99
"""Share of a texel's value that must come from Gaussians (the rest is the EPS of the formula, black)."""


class Decoded:
    """A stream's pictures at its own resolution. Each is decoded when it is first asked for, and kept."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    @cached_property
    def planes(self) -> np.ndarray:
        """(C, height, width) float32: planes()."""
        return planes(self.stream.gaussians)

    @cached_property
    def images(self) -> dict[str, np.ndarray]:
        """Every map's pixels in its own size, dtype and channel order, by name."""
        return texture_stack.images(self.planes, self.stream.maps, self.stream.gaussians.wrap)


def planes(gaussians: Gaussians, width: int | None = None, height: int | None = None) -> np.ndarray:
    """(C, height, width) float32: the decoded planes, sampled at texel centers; default the fitted resolution.

    Values are what the formula gives, nominally 0..1, and only with a gamma clipped to that.
    """
    return _without_gamma(render(*project(gaussians, width, height)), gaussians)


def whole_planes(gaussians: Gaussians, width: int | None = None, height: int | None = None) -> np.ndarray:
    """planes(), with texels that no Gaussian reaches (parts of a texture that no mesh shows) continued from around them.

    Black there would bleed into what is shown wherever texels are averaged: levels of detail, mipmaps, filters.
    """
    picture, share = shared_planes(gaussians, width, height)
    return picture if share is None else fill(picture, share >= COVERED, gaussians.wrap)


def shared_planes(
    gaussians: Gaussians, width: int | None = None, height: int | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """planes(), and the share (height, width) of each texel that comes from Gaussians.

    None for a plain sum, which is 0 where it means 0.
    """
    splats, grid = project(gaussians, width, height)
    return next(_shared(gaussians, splats, grid, [(0, grid.height)]))


def shared_rows(
    gaussians: Gaussians, ranges: Iterable[tuple[int, int]]
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """shared_planes() of some rows of texels at a time, for little memory: of each (first, end)."""
    return _shared(gaussians, *project(gaussians), ranges)


def images(stream: Stream, whole: bool = False) -> dict[str, np.ndarray]:
    """Every map's pixels in its own size, dtype and channel order, by name; whole: of whole_planes()."""
    gaussians = stream.gaussians
    decoded = whole_planes(gaussians) if whole else planes(gaussians)
    return texture_stack.images(decoded, stream.maps, gaussians.wrap)


def _shared(
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
