"""The CPU device: the Numba kernels behind the Device interface."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from .. import points
from ..optimizer import Optimizer
from ..types import ALL_ROWS, Grid, Loss, LossWeights, Rows, Splats, Step, mean_one
from . import kernels
from .blocks import BLOCK, BlockLists, block_lists, tiled
from .ssim import mean_ssim


class Cpu:
    """Device: target (C, H, W) float32; texel_weights (H, W) or None, normalized to mean 1.

    Holds the target block by block, and once more by planes, with the picture and its slope, when a loss needs them (SSIM).
    """

    ahead = 1

    def __init__(self, target: np.ndarray, grid: Grid, texel_weights: np.ndarray | None = None) -> None:
        self.grid, self.weights = grid, texel_weights
        self.target = target
        self.texels = mean_one(texel_weights, target.shape[1:])
        self._tiles = self._room = np.empty(0, np.float32)
        self._picture: tuple[np.ndarray, ...] | None = None

    def render(self, splats: Splats) -> np.ndarray:
        return render(splats, self.grid)

    def gradient(self, splats: Splats, weights: LossWeights, rows: Rows = ALL_ROWS) -> tuple[Loss, Splats]:
        lists = block_lists(splats, self.grid)
        entries = self._entries(len(lists.gaussian), 6 + splats.feature.shape[1])
        loss = (
            self._with_ssim(splats, lists, weights, entries)
            if weights.ssim
            else self._pointwise(splats, lists, weights, rows, entries)
        )
        parts = [np.empty_like(a) for a in (splats.center, splats.conic, splats.bias, splats.feature)]
        kernels.collect(lists.by_gaussian, lists.slot, entries, splats.conic, *parts)
        return loss, Splats(*parts)

    def optimizer(self, inverse_scale: bool, rate: dict[str, float]) -> Optimizer:
        return Optimizer(self.grid, len(self.target), inverse_scale, rate)

    def steps(self, optimizer: Optimizer, weights: LossWeights, steps: Sequence[Step]) -> list[Loss]:
        return [self._step(optimizer, weights, step) for step in steps]

    def error(self, optimizer: Optimizer, power: float) -> np.ndarray:
        picture = self.render(optimizer.splats())
        error = np.zeros(picture.shape[1:], np.float32)
        for ours, theirs in zip(picture, self.target, strict=True):
            error += (ours - theirs) ** 2
        density = (error / len(picture)) ** (power / 2)
        return density if self.weights is None else density * self.weights

    def removal(self, optimizer: Optimizer) -> np.ndarray:
        splats = optimizer.splats()
        lists = block_lists(splats, self.grid)
        growth = np.empty(len(lists.gaussian), np.float32)
        kernels.removal(*_arguments(splats, lists, self.grid), self._tiled(), growth)
        sums = np.concatenate([[0.0], np.cumsum(growth[lists.slot], dtype=np.float64)])
        return sums[lists.by_gaussian[1:]] - sums[lists.by_gaussian[:-1]]

    def draw(self, density: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        return points.draw(density, count, rng)

    def _step(self, optimizer: Optimizer, weights: LossWeights, step: Step) -> Loss:
        loss, gradient = self.gradient(optimizer.splats(), weights, step.rows)
        optimizer.step(gradient, step.slow_down)
        return loss

    def _pointwise(
        self, splats: Splats, lists: BlockLists, weights: LossWeights, rows: Rows, entries: np.ndarray
    ) -> Loss:
        sums = np.zeros((kernels.TASKS, 2))
        count = self.target.size / rows.stride
        kernels.fused(
            *_arguments(splats, lists, self.grid), self._tiled(), weights.l1 / count, weights.l2 / count,
            (rows.first, rows.stride), entries, sums,
        )  # fmt: skip
        l1, l2 = sums.sum(0) / count
        return weights.loss(l1, l2, None)

    def _entries(self, count: int, width: int) -> np.ndarray:
        """(count, width) float32, uninitialized, of memory that stays: new pages in every step would take as long as the step."""
        if len(self._room) < count * width:
            self._room = np.empty(count * width * 5 // 4, np.float32)
        return self._room[: count * width].reshape(count, width)

    def _tiled(self) -> np.ndarray:
        if not len(self._tiles):
            self._tiles = tiled(self.target, self.texels)
        return self._tiles

    def _with_ssim(self, splats: Splats, lists: BlockLists, weights: LossWeights, entries: np.ndarray) -> Loss:
        if self._picture is None:
            target = _padded(self.target)
            shape = target.shape
            self._picture = (
                np.empty(shape, np.float32), np.empty(shape[1:], np.float32), np.empty(shape[1:], np.float32),
                np.zeros(shape, np.float32), target, _padded(self.texels[None])[0],
            )  # fmt: skip
        out, kth, norm, slope, target, texels = self._picture
        arguments = _arguments(splats, lists, self.grid)
        kernels.render(*arguments, out.ravel(), kth.ravel(), norm.ravel())
        l1, l2, ssim = mean_ssim(out, target, texels, (self.grid.width, self.grid.height), weights, slope)
        kernels.backward(*arguments, out.ravel(), kth.ravel(), norm.ravel(), slope.ravel(), entries)
        return weights.loss(l1, l2, ssim)


def render(splats: Splats, grid: Grid) -> np.ndarray:
    """(C, height, width) float32: the picture, without a target."""
    return next(render_rows(splats, grid, [(0, grid.height)]))


def render_rows(splats: Splats, grid: Grid, ranges: Iterable[tuple[int, int]]) -> Iterator[np.ndarray]:
    """render() of some rows of texels at a time: (C, end - first, width) for each (first, end)."""
    size, (start, *entries), (center, *others), *blending = _arguments(splats, block_lists(splats, grid), grid)
    columns, empty = size[2], np.empty(0, np.float32)
    for first, end in ranges:
        top, bottom = first // BLOCK, -(-end // BLOCK)
        lists = (start[top * columns : bottom * columns + 1], *entries)
        moved = (center - np.array([0, top * BLOCK], np.float32), *others)
        out = np.empty((splats.feature.shape[1], (bottom - top) * BLOCK, columns * BLOCK), np.float32)
        kernels.render((*size[:3], bottom - top), lists, moved, *blending, out.ravel(), empty, empty)
        yield out[:, first - top * BLOCK : end - top * BLOCK, : grid.width]


def _arguments(splats: Splats, lists: BlockLists, grid: Grid) -> tuple:
    """The arguments that every kernel starts with: size, lists, splats, ranks, normalize (kernels.py)."""
    height, width = _padded_size(grid.height, grid.width)
    size = (grid.width, grid.height, width // BLOCK, height // BLOCK)
    arrays = tuple(
        np.ascontiguousarray(a, np.float32) for a in (splats.center, splats.conic, splats.bias, splats.feature)
    )
    return size, (lists.start, lists.gaussian, lists.copy), arrays, (0,) * max(grid.topk, 1), grid.topk > 0


def _padded_size(height: int, width: int) -> tuple[int, int]:
    return -(-height // BLOCK) * BLOCK, -(-width // BLOCK) * BLOCK


def _padded(planes: np.ndarray) -> np.ndarray:
    height, width = _padded_size(*planes.shape[1:])
    if (height, width) == planes.shape[1:]:
        return np.ascontiguousarray(planes, np.float32)
    padded = np.zeros((len(planes), height, width), np.float32)
    padded[:, : planes.shape[1], : planes.shape[2]] = planes
    return padded
