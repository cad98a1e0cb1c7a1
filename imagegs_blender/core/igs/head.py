"""Head: the numbers of HEAD: size and kind of a stream's Gaussians, and the meaning of their codes."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

from ..errors import ImageGSError
from ..gaussians import MAX_PLANES, MAX_TOPK, Gaussians
from ..settings import MAX_BITS, MAX_GAUSSIANS, QuantizeBits
from ..textures.texture_stack import LARGEST_SIDE
from .cursor import Cursor
from .invalid import require

CODED_BITS = 16
"""Bits up to which numbers are entropy-coded; with more, all are stored plainly."""

BASIS_ONE = 127
"""Basis entries are stored as integers; this one means 1."""

_FIXED = struct.Struct("<HHBBIBBBBfffB")
"""Width, height, wrap, topk, count, four numbers of bits, three numbers of Ranges or Steps, planes."""


@dataclass(frozen=True)
class Ranges:
    """The numbers that the integers of codes stand for.

    scale_low, scale_step   code c of a scale means exp(scale_low + c scale_step) texels; of a bias, c scale_step
    feature_step            code c of a component means c feature_step
    feature_center          (C,) float32; feature = center + components @ (basis / BASIS_ONE)
    feature_basis           (C, C) int32, a component a row
    """

    scale_low: float
    scale_step: float
    feature_step: float
    feature_center: np.ndarray
    feature_basis: np.ndarray

    def numbers(self) -> tuple[float, float, float]:
        """As HEAD holds them."""
        return self.scale_low, self.scale_step, self.feature_step

    def check(self) -> None:
        """Raise ImageGSError where one is out of the format's range."""
        possible = math.isfinite(self.scale_low) and 0 < self.scale_step < 8 and abs(self.scale_low) < 64
        require(possible, "its scale range is impossible")

    @classmethod
    def unused(cls, planes: int) -> Ranges:
        """The numbers that HEAD holds where Gaussians are stored plainly: readers ignore them."""
        return cls(0.0, 1.0, 1.0, np.zeros(planes, np.float32), np.zeros((planes, planes), np.int32))


@dataclass(frozen=True)
class Steps:
    """The numbers that the integers of codes stand for, from version 3 on.

    scale_unit      a scale is scale_unit root^2 texels
    bias_step       code c of a bias means c bias_step
    feature_step    code c of a component means c feature_step, for a Gaussian of ordinary area
    feature_center, feature_basis   as in Ranges
    """

    scale_unit: float
    bias_step: float
    feature_step: float
    feature_center: np.ndarray
    feature_basis: np.ndarray

    def numbers(self) -> tuple[float, float, float]:
        """As HEAD holds them."""
        return self.scale_unit, self.bias_step, self.feature_step

    def check(self) -> None:
        """Raise ImageGSError where one is out of the format's range."""
        require(0 < self.scale_unit < 1e6, "its unit of scales is impossible")
        require(0 < self.bias_step < 8, "its step of biases is impossible")


@dataclass(frozen=True)
class Head:
    """A stream without its Gaussians and its maps.

    width, height, wrap, topk, gamma   as in Gaussians; gamma is a float32
    count    number of Gaussians, N
    bits     bits of each number; all are decided (QuantizeBits.at)
    ranges   the meaning of codes
    """

    width: int
    height: int
    wrap: bool
    topk: int
    gamma: float
    count: int
    bits: QuantizeBits
    ranges: Ranges | Steps

    @classmethod
    def of(cls, gaussians: Gaussians, bits: QuantizeBits, ranges: Ranges | Steps | None = None) -> Head:
        """The head of a stream of these Gaussians; without ranges, of one that stores them plainly."""
        gamma = float(np.float32(gaussians.gamma))
        return cls(
            gaussians.width, gaussians.height, gaussians.wrap, gaussians.topk, gamma, len(gaussians),
            bits, ranges or Ranges.unused(gaussians.planes),
        )  # fmt: skip

    @property
    def planes(self) -> int:
        """C, the number of planes."""
        return len(self.ranges.feature_center)

    @property
    def pos_bits(self) -> int:
        """Bits of each coordinate of a mean."""
        assert self.bits.pos is not None, "bits of a stream are decided: QuantizeBits.at"
        return self.bits.pos

    def gaussians(
        self, mean: np.ndarray, scale: np.ndarray, rotation: np.ndarray, feature: np.ndarray, bias: np.ndarray
    ) -> Gaussians:
        """Gaussians of these numbers, as float32."""
        given = {"mean": mean, "scale": scale, "rotation": rotation, "feature": feature, "bias": bias}
        return Gaussians(
            **{name: values.astype(np.float32) for name, values in given.items()},
            width=self.width, height=self.height, wrap=self.wrap, topk=self.topk, gamma=self.gamma,
        )  # fmt: skip

    def check(self) -> None:
        """Raise ImageGSError, naming the number, where one is out of the format's range."""
        ranges = self.ranges
        require(1 <= self.width <= LARGEST_SIDE and 1 <= self.height <= LARGEST_SIDE, "its size is out of range")
        require(self.topk <= MAX_TOPK, "its blending is unknown")
        require(1 <= self.count <= MAX_GAUSSIANS, "its number of Gaussians is out of range")
        ranges.check()
        require(0 < ranges.feature_step <= 1, "its feature step is impossible")
        require(1 <= self.planes <= MAX_PLANES, "its number of planes is out of range")
        require(bool(np.isfinite(ranges.feature_center).all()), "a feature is not a number")
        require(0 < self.gamma <= 100, "its gamma is out of range")

    def write(self) -> bytes:
        """The bytes of HEAD before the maps. Raises ImageGSError where a number exceeds the format's limits."""
        if not 1 <= self.planes <= MAX_PLANES:
            raise ImageGSError(f"{self.planes} planes can't be stored: 1 to {MAX_PLANES} can")
        self.check()
        bits, ranges = self.bits, self.ranges
        fixed = _FIXED.pack(
            self.width, self.height, self.wrap, self.topk, self.count, bits.pos, bits.scale, bits.rot, bits.feat,
            *ranges.numbers(), self.planes,
        )  # fmt: skip
        return fixed + ranges.feature_center.astype("<f4").tobytes() + ranges.feature_basis.astype(np.int8).tobytes()

    @classmethod
    def read(cls, cursor: Cursor, plain: bool, kind: type[Ranges | Steps]) -> Head:
        """The inverse of write(), for a stream that stores its numbers plainly or as codes; not checked yet, and gamma is 1."""
        width, height, wrap, topk, count, *bits, first, second, third, planes = cursor.unpack(_FIXED)
        require(wrap <= 1, "its blending is unknown")
        require(all(4 <= b <= (MAX_BITS if plain else CODED_BITS) for b in bits), "a number of bits is out of range")
        center = np.frombuffer(cursor.take(4 * planes), "<f4").astype(np.float32)
        basis = np.frombuffer(cursor.take(planes * planes), np.int8).astype(np.int32).reshape(planes, planes)
        ranges = kind(first, second, third, center, basis)
        return cls(width, height, bool(wrap), topk, 1.0, count, QuantizeBits(*bits), ranges)
