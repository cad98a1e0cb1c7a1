"""Rate control: how many Gaussians a request allows, and the file that fills its budget of bytes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..decoding import decode
from ..errors import ImageGSError
from ..gaussians import Gaussians
from ..igs import plain
from ..settings import MAX_GAUSSIANS, FitSettings
from ..textures.texture_stack import TextureStack
from .packing import COARSEST_STEP, Packed, Packer
from .weighing import Weighing

FILL = 0.98
"""Features are rounded finer until the file has this share of its budget."""

DECIBELS_PER_DOUBLING = 2.2
"""Gain that twice the Gaussians usually bring: a search for a PSNR starts from it."""

# Bytes and bits that a plan counts with before anything is packed. They are estimates, near those of docs/format.md:
# count() replaces them with measured bytes, and the budget is kept by packing. Another estimate gives other files.

_FRAME = 82
"""Bytes of signature, section headers and the fixed part of HEAD."""

_MAP, _MAP_CHANNEL = 12, 3
"""Bytes of a map's description beside its name, and of each of its channels."""

_MODEL = 14
"""Bytes that a column takes until the coder has learned what its numbers are like."""

_GEOMETRY_COLUMNS = 3
"""Columns beside the features': the larger scale, its distance from the smaller, the bias. Means and rotations have none."""

_GEOMETRY_BITS, _FEATURE_BITS = 28.0, 4.5
"""Bits of an entropy-coded Gaussian's geometry, and of each component of its feature."""

_LEAST_BYTES = 2.0
"""Bytes of a Gaussian below which a measured size is not believed."""

_GROWTH = 4
"""A measured size allows at most so many times the Gaussians that it was measured on."""

_ROOM = 64
"""Bytes for Gaussians in the smallest budget that is suggested where one is too small."""


class Rate:
    """The amount that settings ask for, on one stack.

    bits     bits of every number, decided for this stack
    budget   bytes that the file must not exceed, or None
    """

    def __init__(self, stack: TextureStack, settings: FitSettings, weighing: Weighing | None = None) -> None:
        self.stack, self.settings = stack, settings
        self._roots = None if weighing is None else weighing.root
        self.bits = settings.bits.at(stack.width, stack.height)
        self.budget = _budget(stack, settings)
        self._fixed = fixed_bytes({m.name: len(m.sources) for m in stack.maps}, len(stack.planes))
        if self.budget is not None and self._affordable() < 1:
            raise self._too_small()

    def packer(self) -> Packer:
        """A packer for the Gaussians of one fit."""
        return Packer(self.stack.maps, self.bits, self._roots)

    def first_count(self) -> int:
        """The number of Gaussians to plan with before anything is known of the picture."""
        if self.settings.num_gaussians is not None:
            return self.settings.num_gaussians
        if self.settings.target_psnr is None:
            return self._affordable()
        # a Gaussian for every 12 x 12 texels of a smooth picture reaches some 32 dB
        guess = self.stack.texels / 144 * 2 ** ((self.settings.target_psnr - 32) / DECIBELS_PER_DOUBLING)
        return self.within_budget(int(guess))

    def within_budget(self, count: int) -> int:
        """count, limited to the number that can be stored, and to the number that the budget is likely to allow."""
        most = MAX_GAUSSIANS if self.budget is None else self._affordable()
        return int(np.clip(count, 1, min(most, MAX_GAUSSIANS)))

    def count(self, gaussians: Gaussians, error: float) -> int:
        """The number that fills the budget, judged by the bytes of the Gaussians so far; error is the fit's mean square."""
        assert self.budget is not None
        size = len(self.packer().pack(gaussians, self._feature_step(error)))
        per_gaussian = max((size - self._fixed) / len(gaussians), _LEAST_BYTES)
        affordable = int((self.budget - self._fixed) / per_gaussian)
        return max(1, min(affordable, _GROWTH * len(gaussians), MAX_GAUSSIANS))

    def pack(self, gaussians: Gaussians, packer: Packer) -> Packed:
        """The file. With a budget, features are rounded coarser or finer so that it is kept and filled."""
        step = self._feature_step(self._error(gaussians) if self.settings.bits.feat is None else 0.0)
        packed = packer.pack(gaussians, step)
        if self.budget is None:
            return packed
        budget = self.budget
        if len(packed) <= budget and (self.settings.target_psnr or len(packed) >= FILL * budget):
            return packed
        _, best = packer.border(gaussians, lambda tried: len(tried) > budget)
        return best or self._pruned(gaussians, packer)

    def _feature_step(self, error: float) -> float:
        """The step of the features for a fit of this mean square error."""
        bits = self.settings.bits.at(self.stack.width, self.stack.height, error**0.5)
        assert bits.feat is not None
        return 2.0**-bits.feat

    def _error(self, gaussians: Gaussians) -> float:
        """Mean square over all planes, as the fit weighs them, of the texels that count."""
        missed = decode.planes(gaussians) - self.stack.planes
        square = (missed if self._roots is None else missed * self._roots[:, None, None]) ** 2
        weights = self.stack.weights
        counts = None if weights is None or weights.max() <= 0 else weights > 0
        return float(np.mean(square if counts is None else square[:, counts]))

    def _pruned(self, gaussians: Gaussians, packer: Packer) -> Packed:
        """Where even the coarsest rounding is too large: without the Gaussians of smallest area that don't fit."""
        assert self.budget is not None
        by_area = np.argsort(-gaussians.scale.prod(1), kind="stable")
        low, high, best = 0, len(gaussians), None
        while high - low > max(1, len(gaussians) // 256):
            middle = (low + high) // 2
            packed = packer.pack(gaussians.take(np.sort(by_area[:middle])), COARSEST_STEP)
            if len(packed) > self.budget:
                high = middle
            else:
                low, best = middle, packed
        if best is None:
            raise self._too_small()
        return best

    def _too_small(self) -> ImageGSError:
        least = self._fixed + _ROOM
        return ImageGSError(
            f"{self._request()} is {self.budget} bytes here, too small for one Gaussian: ask for at least "
            f"{least} bytes, {8 * least / self.stack.texels:.3g} bpp"
        )

    def _affordable(self) -> int:
        """The number of Gaussians that the budget is likely to allow, before any was packed."""
        assert self.budget is not None
        planes = len(self.stack.planes)
        coded = (_GEOMETRY_BITS + _FEATURE_BITS * planes) / 8
        each = plain.size(8, planes, self.bits) / 8 if self.bits.wide else coded
        return min(int((self.budget - self._fixed) / each), MAX_GAUSSIANS)

    def _request(self) -> str:
        if self.settings.max_bytes == self.budget:
            return f"max-bytes {self.budget}"
        return f"bpp {self.settings.bpp:g}"


def _budget(stack: TextureStack, settings: FitSettings) -> int | None:
    """The smaller of the limits in bytes; None where there is none."""
    limits = [int(settings.bpp * stack.texels / 8)] if settings.bpp else []
    limits += [settings.max_bytes] if settings.max_bytes else []
    return min(limits, default=None)


def fixed_bytes(maps: Mapping[str, int], planes: int) -> int:
    """Bytes of a file beside its Gaussians, about. maps: the number of channels of each, by name."""
    center_and_basis = 4 * planes + planes * planes
    described = sum(_MAP + len(name) + _MAP_CHANNEL * channels for name, channels in maps.items())
    return _FRAME + center_and_basis + described + _MODEL * (planes + _GEOMETRY_COLUMNS)
