"""The kernels of a step, in order, and the memory that they share.

Everything here only launches: what depends on the data stays on the GPU. Block lists that outgrow their memory leave the
splats as they were; the step's report says how many entries there were.
"""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from ..cpu.blocks import BLOCK
from ..types import LossWeights
from .frame import Frame
from .machine import Buffer, Machine
from .source import ROW_THREADS, SCAN_CHUNK
from .target import Target

_PASSES = 4
"""What a kernel with a gradient costs, in passes over a block's list."""


class Pipeline:
    """For n splats, `bands` batches of block rows, at most `capacity` entries (a splat in a block) in each.

    numbers_per_row   of a splat, its free numbers, its gradient: eight of the geometry, then the features
    splats    (n, numbers_per_row)
    reports           (steps, 4): sums of the loss (l1, l2, ssim), and the entries needed, as bits of an integer
    """

    def __init__(self, machine: Machine, target: Target, reports: Buffer, n: int, bands: int, capacity: int) -> None:
        self.machine, self.target, self.reports, self.n, self.capacity = machine, target, reports, n, capacity
        self.variant = machine.variant(target.planes, target.grid.topk, target.depth)
        self.numbers_per_row = 8 + 4 * self.variant.quads
        edges = [target.rows * k // bands for k in range(bands + 1)]
        frame = target.frame.but(splats=n, capacity=capacity)
        self.bands = [_band(frame, low, high) for low, high in pairwise(edges)]
        most = max(band.items for band in self.bands)
        self.splats = machine.buffer(n, self.numbers_per_row)
        self._counts, self._offsets = machine.buffer(most), machine.buffer(most + 1)
        self._chunks = machine.buffer(-(-most // SCAN_CHUNK))
        self._unsorted, self._entries = machine.buffer(capacity, 2), machine.buffer(capacity, 2)
        self._groups: dict[tuple[str, int, tuple[int, ...]], tuple[Any, tuple[Buffer, ...]]] = {}

    def project(self, value: Buffer, rules: Frame) -> None:
        """The free numbers -> splats; rules are a frame with the ranges of the numbers."""
        frame = self.bands[0].but(inverse_scale=rules.inverse_scale)
        self._run("project", frame, self.n, value, self.splats)

    def gradient(self, weights: LossWeights, rules: Frame, stride: int = 1) -> None:
        """Of the splats: sums, and the report's loss. rules say rows and the report's place.

        A pointwise loss is estimated from every stride-th row of texels (1, 2 or 4).
        """
        count = self.target.planes * rules.width * rules.height / (1 if weights.ssim else stride)
        ratios = {"l1": weights.l1 / count, "l2": weights.l2 / count, "ssim": weights.ssim / count}
        step = ratios | {"first_row": rules.first_row, "slot": rules.slot}
        loss, blocks = self._loss, self.target.blocks
        if weights.ssim:
            loss, blocks = self._pictures[4], blocks * self.target.planes
            self._measure_ssim(step)
        for band in self.bands:
            frame = band.but(**step)
            if not weights.ssim:
                self._list(band)
                target = self.target.wanted, self.target.weights
                self._blocks("fused", frame, self._gradient, *target, self._loss, parts=_PASSES, stride=stride)
            else:
                if len(self.bands) > 1:  # else forward's lists are still there
                    self._list(band)
                picture, kept, slopes, _, _ = self._pictures
                self._blocks("backward", frame, self._gradient, picture, kept, slopes, parts=_PASSES)
            self._collect(frame)
        self._launch("totals", self.bands[0].but(items=blocks, slot=rules.slot), 1, loss, self.reports)

    def adam(self, value: Buffer, first: Buffer, second: Buffer, steps: Buffer, rules: Frame) -> None:
        """The free numbers, moved along the gradient; rules say rates and ranges."""
        frame = rules.but(splats=self.n, capacity=self.capacity)
        self._run("adam", frame, self.n, value, first, second, steps, self.splats, self.sums, self.reports)

    def render(self, first: int = 0, end: int | None = None) -> np.ndarray:
        """Rows of the picture of the splats: (C, end - first, width) float32, by default all. Waits for them."""
        planes, width = self.target.planes, self.target.grid.width
        end = self.target.grid.height if end is None else end
        most = max(1, self.machine.binding // (4 * planes * width * BLOCK))  # block rows that a buffer can hold
        room = min(most, -(-end // BLOCK) - first // BLOCK) * BLOCK
        part, kept = self.machine.buffer(planes * room, width), self.machine.buffer(2)
        picture = np.empty((planes, end - first, width), np.float32)
        for band in self.bands:
            above, below = band.band // band.columns, (band.band + band.blocks) // band.columns
            self._list(band)
            for top in range(max(above, first // BLOCK), min(below, -(-end // BLOCK)), most):
                bottom = min(below, -(-end // BLOCK), top + most)
                shown = range(max(top * BLOCK, first), min(bottom * BLOCK, end))
                frame = band.but(from_block=(top - above) * band.columns, to_block=(bottom - above) * band.columns)
                frame = frame.but(first_row=shown.start, items=len(shown))
                self._blocks("forward", frame, part, kept, parts=2)
                rows = self.machine.download(part, (planes, len(shown), width))
                picture[:, shown.start - first : shown.stop - first] = rows
        return picture

    def density(self, power: float) -> tuple[Buffer, Buffer]:
        """|error|^power of the texels, weighted, for each block along a Morton curve; and (blocks,) with its sums."""
        density, sums = self.machine.buffer(self.target.blocks, 256), self.machine.buffer(self.target.blocks)
        for band in self.bands:
            self._list(band)
            target = self.target.wanted, self.target.weights
            self._blocks("measure", band.but(power=power), density, *target, sums, parts=2)
        return density, sums

    def removal(self) -> None:
        """The first of a splat's sums: how much the weighted sum of squared errors would grow without it."""
        for band in self.bands:
            self._list(band)
            self._blocks("removal", band, self._gradient, self.target.wanted, self.target.weights, parts=_PASSES)
            self._collect(band)

    def needed(self) -> int:
        """Entries of the largest band; waits for them. Only before anything else is done with the pipeline."""
        most = 0
        for band in self.bands:
            self._run("count", band, self.n, self.splats, self._counts, self._offsets, self._unsorted)
            self._scan(band)
            at = self.machine.download(self._offsets, (1,), np.uint32, first=self.n)
            most = max(most, int(at[0]))
            self.machine.clear(self._counts)
        return most

    def _measure_ssim(self, step: dict[str, float]) -> None:
        picture, kept, slopes, windows, loss = self._pictures
        target = self.target.wanted, self.target.weights
        for band in self.bands:
            self._list(band)
            self._blocks("keep", band, picture, kept, parts=2)
        whole = self.bands[0].but(band=0, blocks=self.target.blocks, to_block=self.target.blocks, **step)
        for plane in range(self.target.planes):
            frame = whole.but(plane=plane)
            for kernel in ("look", "slope"):
                bound = self._group(kernel, 1, picture, slopes, loss, windows, *target)
                self.machine.launch_blocks(self.machine.kernel(kernel, self.variant), bound, frame, 2)

    def prepare(self, weights: LossWeights) -> None:
        """Memory that gradients need, and a loss with SSIM beside them. Raises OutOfMemory."""
        _ = self.sums, self._gradient, self._pictures if weights.ssim else None

    @cached_property
    def sums(self) -> Buffer:
        """(n, numbers_per_row): see gradient() and removal()."""
        return self.machine.buffer(self.n, self.numbers_per_row)

    @cached_property
    def _gradient(self) -> Buffer:
        return self.machine.buffer(self.capacity, self.numbers_per_row)

    @cached_property
    def _loss(self) -> Buffer:
        return self.machine.buffer(self.target.blocks, 4)

    @cached_property
    def _pictures(self) -> tuple[Buffer, Buffer, Buffer, Buffer, Buffer]:
        """For SSIM: the picture, what backward needs of it, its slope, what windows see of one plane, the loss."""
        make, blocks, planes = self.machine.buffer, self.target.blocks, self.target.planes
        return (
            make(blocks * planes, 256), make(blocks * 256, 2), make(blocks * planes, 256), make(blocks * 256, 4),
            make(blocks * planes, 4),
        )  # fmt: skip

    def _list(self, band: Frame) -> None:
        """The lists of a band."""
        lists = self.splats, self._counts, self._offsets, self._unsorted
        self._run("count", band, self.n, *lists)
        self._scan(band)
        self._run("list", band, self.n, *lists)
        self._launch("rank", band, band.blocks, self._offsets, self._unsorted, self._entries)

    def _scan(self, band: Frame) -> None:
        for kernel in ("chunk_sums", "scan"):
            self._launch(kernel, band, -(-band.items // SCAN_CHUNK), self._counts, self._chunks, self._offsets)

    def _collect(self, frame: Frame) -> None:
        items = self.n * self.numbers_per_row // 4
        self._run("collect", frame, items, self._offsets, self._gradient, self.sums, self.reports)

    def _blocks(self, kernel: str, band: Frame, *buffers: Buffer, parts: int = 1, stride: int = 1) -> None:
        """A kernel of a workgroup for each block of a band, on its lists."""
        bound = self._group(kernel, stride, self.splats, self._offsets, self._entries, *buffers)
        self.machine.launch_blocks(self.machine.kernel(kernel, self.variant, stride), bound, band, parts)

    def _run(self, kernel: str, frame: Frame, items: int, *buffers: Buffer) -> None:
        """A kernel of a thread for each item."""
        self._launch(kernel, frame, -(-items // ROW_THREADS), *buffers)

    def _launch(self, kernel: str, frame: Frame, groups: int, *buffers: Buffer) -> None:
        bound = self._group(kernel, 1, *buffers)
        self.machine.launch(self.machine.kernel(kernel, self.variant), bound, frame, max(groups, 1))

    def _group(self, kernel: str, stride: int, *buffers: Buffer) -> Any:
        key = kernel, stride, tuple(id(buffer) for buffer in buffers)
        if key not in self._groups:
            # the group keeps its buffers alive, so that no other buffer gets their ids
            self._groups[key] = self.machine.group(self.machine.kernel(kernel, self.variant, stride), buffers), buffers
        return self._groups[key][0]


def _band(frame: Frame, low: int, high: int) -> Frame:
    """Block rows low .. high."""
    blocks = (high - low) * frame.columns
    return frame.but(
        band=low * frame.columns, blocks=blocks, to_block=blocks, items=frame.splats + blocks, more=low > 0
    )
