"""The kernels of a step, in order, and the memory that they share.

Everything here only enqueues: sizes are fixed when a Pipeline is made, what depends on the data stays on the device. So a whole
step can be captured in a CUDA graph. Block lists that outgrow their memory leave everything as it was; `needed` says by how much.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import torch

from ..cpu.blocks import BLOCK
from ..plan import GROUPS
from ..types import Grid, LossWeights
from .layout import (
    BIN_THREADS,
    LOSS_THREADS,
    RANK_THREADS,
    ROW_THREADS,
    SCAN_CHUNK,
    SCAN_THREADS,
    SPLAT_FLOATS,
    SSIM_PANEL,
    SSIM_STRIP,
    SSIM_THREADS,
    WARP,
    Field,
    Rules,
    Scene,
)
from .nvrtc import Variant

_TEXELS = BLOCK * BLOCK
_BIN_SPLATS = BIN_THREADS // WARP


class Machine(Protocol):
    """A GPU, or what stands for one in tests; driver.Gpu says what each of these does.

    device   PyTorch's name for it
    name     its own
    """

    device: str
    name: str

    def kernels(self, variant: Variant) -> Callable[[str, tuple[int, int, int], int, Sequence[Any]], None]: ...
    def pinned(self, *shape: int, dtype: torch.dtype) -> torch.Tensor: ...
    def captured(self, work: Callable[[], None]) -> Callable[[], None]: ...
    def wait(self) -> None: ...
    def memory(self) -> tuple[int, int]: ...
    def release(self) -> None: ...


@dataclass(frozen=True)
class Planes:
    """The target (C, H, W), float32 or float16, and the texels' weights (H, W), both padded to whole blocks, on the device."""

    target: torch.Tensor
    texels: torch.Tensor

    @property
    def size(self) -> int:
        """Texels of a padded plane."""
        return self.texels.numel()


@dataclass(frozen=True, eq=False)
class Numbers:
    """The free numbers of N splats (N, 6 + C), Adam's moments of the same shape, and steps (N, 5) int32; on the device."""

    value: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor
    steps: torch.Tensor


class Pipeline:
    """For n splats, `bands` batches of block rows, at most `capacity` entries (a splat in a block) per batch."""

    def __init__(
        self, machine: Machine, grid: Grid, planes: Planes, count: int, n: int, bands: int, capacity: int
    ) -> None:
        self.machine, self.grid, self.planes = machine, grid, planes
        self.count, self.n, self.capacity = count, n, capacity
        channels = len(planes.target)
        self.sums_per_splat = 6 + channels
        self._launch = machine.kernels(Variant(channels, grid.topk, planes.target.dtype == torch.float16))
        self.columns, rows = -(-grid.width // BLOCK), -(-grid.height // BLOCK)
        edges = [rows * k // bands for k in range(bands + 1)]
        self.bands = [
            Field(grid.width, grid.height, self.columns, grid.wrap, low, high - low) for low, high in pairwise(edges)
        ]
        self.blocks = self.columns * rows
        band_blocks = self.columns * max(band.rows for band in self.bands)
        self.splats = self._empty(n, SPLAT_FLOATS)
        self.sums = self._empty(n, self.sums_per_splat)
        self._per_splat, self._by_splat = self._empty(n, dtype=torch.int32), self._empty(n + 1, dtype=torch.int32)
        self._per_block, self._start = (
            self._empty(band_blocks, dtype=torch.int32),
            self._empty(band_blocks + 1, dtype=torch.int32),
        )
        self._chunks = self._empty(-(-max(n, band_blocks) // SCAN_CHUNK), dtype=torch.int32)
        self._unsorted, self._entries = (
            self._empty(capacity, dtype=torch.int64),
            self._empty(capacity, dtype=torch.int64),
        )
        self._gradient = self._empty(capacity, self.sums_per_splat)
        self._ssim_grid = (-(-grid.width // SSIM_PANEL), -(-grid.height // SSIM_STRIP), channels)
        parts = max(2 * self.blocks, 3 * self._ssim_grid[0] * self._ssim_grid[1] * channels)
        self._loss = self._empty(parts)
        self._pictures: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None
        self._zero = torch.zeros(1, device=machine.device)
        self.report = torch.zeros(4, dtype=torch.float64, device=machine.device)
        self.totals = self.report[:3]  # sums of the loss: l1, l2, ssim; the fourth number is the caller's
        self.needed = torch.zeros(1, dtype=torch.int32, device=machine.device)

    def step(
        self, numbers: Numbers, rules: Rules, controls: torch.Tensor, weights: LossWeights, stride: int = 1
    ) -> None:
        """Forward, loss, gradient and Adam.

        controls (6,): Adam's rate of each group, 0 where it keeps its value; then the first row for gradient().
        """
        self.project(numbers, rules)
        self.gradient(numbers.value[:, 6:], weights, controls[GROUPS:], stride)
        rates = controls
        guard = (_int(self.capacity), _address(self.needed))
        value, n = _address(numbers.value), _int(self.n)
        self._run(
            "chain",
            self.n,
            ROW_THREADS,
            value,
            n,
            rules,
            _address(rates),
            *guard,
            _address(self.sums),
            _address(numbers.steps),
        )
        self._run(
            "adam", self.n * self.sums_per_splat, ROW_THREADS, value, n, rules, _address(rates), *guard, _address(self.sums),
            _address(numbers.steps), _address(numbers.first), _address(numbers.second),
        )  # fmt: skip

    def project(self, numbers: Numbers, rules: Rules) -> None:
        """The free numbers -> splats."""
        self._run("project", self.n, ROW_THREADS, _address(numbers.value), _int(self.n), rules, _address(self.splats))

    def gradient(
        self, features: torch.Tensor, weights: LossWeights, first_row: torch.Tensor | None = None, stride: int = 1
    ) -> None:
        """Of splats with these features (n, C), rows any distance apart: sums (n, 6 + C) and totals of the loss.

        A pointwise loss is estimated from every stride-th row of texels (1, 2 or 4), from first_row (1,) on.
        """
        self.needed.zero_()
        first_row = self._zero if first_row is None else first_row
        plane = ctypes.c_longlong(self.planes.size)
        count = self.count / (1 if weights.ssim else stride)
        ratios = [ctypes.c_float(ratio / count) for ratio in (weights.l1, weights.l2, weights.ssim)]
        target, texels = _address(self.planes.target), _address(self.planes.texels)
        if weights.ssim:
            out, kept, slope = self._picture()
            for band in self.bands:
                self._blend("forward", band, features, _address(out), plane, _address(kept))
            self._launch(
                "ssim_loss", self._ssim_grid, SSIM_THREADS,
                (self.bands[0], _address(out), target, texels, plane, *ratios, _address(slope), _address(self._loss)),
            )  # fmt: skip
        for index, band in enumerate(self.bands):
            if weights.ssim:
                fresh = len(self.bands) > 1  # else forward's lists are still there
                self._blend(
                    "backward", band, features, _address(out), _address(kept), _address(slope), plane, _address(self._gradient),
                    listed=not fresh,
                )  # fmt: skip
            else:
                self._blend(
                    "fused", band, features, target, texels, plane, *ratios[:2], _address(first_row), _int(stride),
                    _address(self._gradient), _address(self._loss), threads=_TEXELS // stride,
                )  # fmt: skip
            self._run(
                "collect", self.n * WARP, ROW_THREADS, _address(self.splats), _int(self.n), _address(self._by_splat),
                _int(self.capacity), _address(self._gradient), _int(index > 0), _int(index == len(self.bands) - 1),
                _address(self.sums), _address(self.needed),
            )  # fmt: skip
        x, y, z = self._ssim_grid
        parts, columns = (x * y * z, 3) if weights.ssim else (self.blocks, 2)
        arguments = (_address(self._loss), _int(parts), _int(columns), _address(self.totals))
        self._launch("sum_losses", (1, 1, 1), LOSS_THREADS, arguments)

    def render(self, features: torch.Tensor, out: torch.Tensor) -> None:
        """The picture to out (C, padded H, padded W)."""
        self._each("forward", features, _address(out), ctypes.c_longlong(self.planes.size), ctypes.c_void_p(None))

    def square_error(self, features: torch.Tensor, error: torch.Tensor) -> None:
        """error (height, width): the mean over the planes of the squared error."""
        self._each(
            "square_error", features, _address(self.planes.target), ctypes.c_longlong(self.planes.size), _address(error)
        )

    def removal(self, features: torch.Tensor, growth: torch.Tensor) -> None:
        """growth (n,) float64: how much the weighted sum of squared errors would grow without each splat."""
        planes = _address(self.planes.target), _address(self.planes.texels), ctypes.c_longlong(self.planes.size)
        for index, band in enumerate(self._counted_bands()):
            self._blend("removal", band, features, *planes, _address(self._gradient))
            self._run(
                "sum_entries", self.n, ROW_THREADS, _address(self._by_splat), _int(self.n), _int(self.capacity),
                _address(self._gradient), _int(index > 0), _address(growth),
            )  # fmt: skip

    def count_entries(self) -> None:
        """needed[0] becomes the entries of the largest band."""
        for band in self._counted_bands():
            self._count(band)

    def _each(self, kernel: str, features: torch.Tensor, *arguments: Any) -> None:
        for band in self._counted_bands():
            self._blend(kernel, band, features, *arguments)

    def _counted_bands(self) -> Iterator[Field]:
        """The bands, one after the other; needed[0] becomes the most entries that the lists of one had."""
        self.needed.zero_()
        for band in self.bands:
            yield band
            torch.maximum(self.needed, self._by_splat[-1:], out=self.needed)

    def _blend(
        self,
        kernel: str,
        band: Field,
        features: torch.Tensor,
        *arguments: Any,
        listed: bool = False,
        threads: int = _TEXELS,
    ) -> None:
        """Run a kernel that has a thread block per block, on the lists of a band."""
        if not listed:
            self._list(band)
        scene = Scene(
            self.splats.data_ptr(), features.data_ptr(), features.stride(0), band, self._start.data_ptr(),
            self._entries.data_ptr(), self.capacity,
        )  # fmt: skip
        self._launch(kernel, (self.columns * band.rows, 1, 1), threads, (scene, *arguments))

    def _count(self, band: Field) -> None:
        n, blocks = self.n, self.columns * band.rows
        self._per_block.zero_()
        splats = (_address(self.splats), _int(n), band)
        self._launch(
            "count_blocks",
            (-(-n // _BIN_SPLATS), 1, 1),
            BIN_THREADS,
            (*splats, _address(self._per_block), _address(self._per_splat)),
        )
        self._scan(self._per_splat, n, self._by_splat)
        self._scan(self._per_block, blocks, self._start)

    def _list(self, band: Field) -> None:
        n, blocks = self.n, self.columns * band.rows
        self._count(band)
        self._per_block.zero_()
        start, capacity, unsorted = _address(self._start), _int(self.capacity), _address(self._unsorted)
        self._launch(
            "scatter", (-(-n // _BIN_SPLATS), 1, 1), BIN_THREADS,
            (
                _address(self.splats), _int(n), band, start, _address(self._by_splat), capacity,
                _address(self._per_block), unsorted,
            ),
        )  # fmt: skip
        self._launch(
            "rank_entries",
            (blocks, 1, 1),
            RANK_THREADS,
            (start, _int(blocks), capacity, unsorted, _address(self._entries)),
        )

    def _scan(self, values: torch.Tensor, n: int, out: torch.Tensor) -> None:
        grid, arguments = (-(-n // SCAN_CHUNK), 1, 1), (_address(values), _int(n), _address(self._chunks))
        self._launch("chunk_sums", grid, SCAN_THREADS, arguments)
        self._launch("scan", grid, SCAN_THREADS, (*arguments, _address(out)))

    def _run(self, kernel: str, items: int, threads: int, *arguments: Any) -> None:
        self._launch(kernel, (-(-items // threads), 1, 1), threads, arguments)

    def _picture(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The picture, what the texels keep for the gradient, and the slope (0 in the padding for good)."""
        if self._pictures is None:
            shape = self.planes.target.shape
            self._pictures = (
                self._empty(*shape), self._empty(2, *shape[1:]), torch.zeros(shape, device=self.machine.device),
            )  # fmt: skip
        return self._pictures

    def _empty(self, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.empty(shape, dtype=dtype, device=self.machine.device)


def _address(tensor: torch.Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


def _int(value: int) -> ctypes.c_int:
    return ctypes.c_int(int(value))
