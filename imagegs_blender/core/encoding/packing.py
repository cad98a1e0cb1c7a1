"""Packer: the Gaussians of one fit, rounded, and as files of any step of the features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..gaussians import Gaussians
from ..igs import plain
from ..igs.codes import Codes, ScaleGrid, quantize
from ..igs.plain import Plain
from ..igs.stream import Stream
from ..settings import QuantizeBits
from ..textures.texture_stack import MapInfo

FINEST_STEP, COARSEST_STEP = 2.0**-12, 0.25
"""Limits of the step of the features, in plane values, between which a file's size is traded for its quality."""

_HALVINGS = 9
"""How often the interval of steps is halved: the steps that are told apart differ by 2^(10 / 2^9), 1.4 %."""


@dataclass(frozen=True)
class Packed:
    """A stream and its bytes: read(data) gives the stream."""

    stream: Stream
    data: bytes

    def __len__(self) -> int:
        return len(self.data)


class Packer:
    """Rounds and packs the Gaussians of one fit; make a new one for each fit.

    A fit that settles freezes one parameter after another to its codes, so all its roundings need the same grid of
    scales: the first snap() chooses it, and pack() keeps to it. Where nothing was snapped, every set of Gaussians gets
    the finest grid of its own.
    """

    def __init__(self, maps: Sequence[MapInfo], bits: QuantizeBits, plane_roots: np.ndarray | None = None) -> None:
        self._maps, self._bits, self._plane_roots = maps, bits, plane_roots
        self._grid: ScaleGrid | None = None

    def snap(self, gaussians: Gaussians) -> Gaussians:
        """The Gaussians as the file will round them, on the fit's grid of scales, in the same order."""
        if self._grid is None:
            self._grid = ScaleGrid.of(gaussians, self._bits)
        return self._codes(gaussians, self._grid).dequantized()

    def round(self, gaussians: Gaussians) -> Gaussians:
        """The Gaussians rounded on the finest grid for just these, in the same order."""
        return self._codes(gaussians, None).dequantized()

    def pack(self, gaussians: Gaussians, feature_step: float) -> Packed:
        """The file with this step of the features. Plain numbers have no step."""
        stream = Stream.of(self._codes(gaussians, self._grid, feature_step), self._maps)
        return Packed(stream, stream.to_bytes())

    def border(self, gaussians: Gaussians, fine: Callable[[Packed], bool]) -> tuple[Packed | None, Packed | None]:
        """(the coarsest file found that is fine, the finest found that is not), by halving the interval of steps.

        fine must hold for every step below some border, and for none above: "reaches a PSNR", "has too many bytes".
        """
        finest, coarsest = self.pack(gaussians, FINEST_STEP), self.pack(gaussians, COARSEST_STEP)
        inside = finest if fine(finest) else None
        if fine(coarsest):
            return coarsest, None
        outside = coarsest
        low, high = FINEST_STEP, COARSEST_STEP
        for _ in range(_HALVINGS):
            middle = (low * high) ** 0.5
            packed = self.pack(gaussians, middle)
            if fine(packed):
                inside, low = packed, middle
            else:
                outside, high = packed, middle
        return inside, outside

    def _codes(self, gaussians: Gaussians, grid: ScaleGrid | None, feature_step: float | None = None) -> Codes | Plain:
        if self._bits.wide:
            return plain.quantize(gaussians, self._bits)
        return quantize(gaussians, self._bits, grid, feature_step, self._plane_roots)
