"""Rate control: how many Gaussians a request allows, how they are rounded, and the bytes in the end."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..decoding import decode
from ..errors import ImageGSError
from ..gaussians import Gaussians
from ..igs import plain, stream
from ..igs.codes import Codes, ScaleGrid, quantize
from ..igs.plain import Plain
from ..settings import MAX_GAUSSIANS, FitSettings
from ..textures.texture_stack import TextureStack

FILL = 0.98
"""Features are rounded finer until the file has this share of its budget."""

DECIBELS_PER_DOUBLING = 2.2
"""What twice the Gaussians usually gain: where a search for a PSNR starts from."""

_FINEST_STEP, _COARSEST_STEP = 2.0**-12, 0.25
_HEAD = 36 + 46
_ROUNDS = 9


class Rate:
    """The amount that settings ask for, on one stack.

    budget   bytes that the file must not exceed, or None
    """

    def __init__(self, textures: TextureStack, settings: FitSettings) -> None:
        self.textures, self.settings = textures, settings
        self.bits = settings.bits.at(textures.width, textures.height)
        self.texels = max(m.width * m.height for m in textures.maps)
        limits = [int(settings.bpp * self.texels / 8)] if settings.bpp else []
        limits += [settings.max_bytes] if settings.max_bytes else []
        self.budget = min(limits, default=None)
        self._scales: ScaleGrid | None = None
        planes = len(textures.planes)
        self._fixed = (
            _HEAD + 4 * planes + planes * planes + sum(12 + len(m.name) + 3 * len(m.sources) for m in textures.maps)
        )
        self._fixed += 14 * (planes + 3)
        if self.budget is not None and self._affordable() < 1:
            raise self._too_small()

    def first_count(self) -> int:
        """The number of Gaussians to plan with before anything is known of the picture."""
        if self.settings.num_gaussians is not None:
            return self.settings.num_gaussians
        if self.settings.target_psnr is None:
            return self._affordable()
        # a Gaussian for every 12 x 12 texels of a smooth picture reaches some 32 dB
        guess = self.texels / 144 * 2 ** ((self.settings.target_psnr - 32) / DECIBELS_PER_DOUBLING)
        return self.within_budget(int(guess))

    def within_budget(self, count: int) -> int:
        """count, limited to what can be stored, and to what the budget is likely to allow."""
        most = MAX_GAUSSIANS if self.budget is None else self._affordable()
        return int(np.clip(count, 1, min(most, MAX_GAUSSIANS)))

    def count(self, gaussians: Gaussians, error: float) -> int:
        """The number that fills the budget, judged by what the Gaussians so far cost; error is the fit's mean square."""
        assert self.budget is not None
        size = len(self.packed(gaussians, self._feature_step(error)))
        per_gaussian = max((size - self._fixed) / len(gaussians), 2.0)
        return max(1, min(int((self.budget - self._fixed) / per_gaussian), 4 * len(gaussians), MAX_GAUSSIANS))

    def snap(self, gaussians: Gaussians) -> Gaussians:
        """The Gaussians as the stream will round them, in the same order."""
        if self._scales is None:
            self._scales = ScaleGrid.of(gaussians, self.bits)
        return self._codes(gaussians, self._scales).gaussians

    def round(self, gaussians: Gaussians) -> Gaussians:
        """As snap(), on the finest grid for just these."""
        return self._codes(gaussians).gaussians

    def forget(self) -> None:
        """Forget what was derived from an earlier fit."""
        self._scales = None

    def pack(self, gaussians: Gaussians) -> bytes:
        """The bytes. With a budget, features are rounded coarser or finer so that it is kept and filled."""
        step = self._feature_step(self._error(gaussians) if self.settings.bits.feat is None else 0.0)
        data = self.packed(gaussians, step)
        if self.budget is None:
            return data
        if len(data) <= self.budget and (self.settings.target_psnr or len(data) >= FILL * self.budget):
            return data
        budget = self.budget
        _, best = self.border(gaussians, lambda data: len(data) > budget)
        return best if best is not None else self._pruned(gaussians)

    def border(self, gaussians: Gaussians, fine: Callable[[bytes], bool]) -> tuple[bytes | None, bytes | None]:
        """(the coarsest stream found that is fine, the finest found that is not), rounding features by halving intervals."""
        finest, coarsest = self.packed(gaussians, _FINEST_STEP), self.packed(gaussians, _COARSEST_STEP)
        inside, outside = (finest if fine(finest) else None), (None if fine(coarsest) else coarsest)
        low, high = _FINEST_STEP, _COARSEST_STEP
        for _ in range(_ROUNDS):
            middle = (low * high) ** 0.5
            data = self.packed(gaussians, middle)
            if fine(data):
                inside, low = data, middle
            else:
                outside, high = data, middle
        return (coarsest, None) if outside is None else (inside, outside)

    def packed(self, gaussians: Gaussians, feature_step: float) -> bytes:
        """The stream with this step of the features."""
        return stream.pack(self._codes(gaussians, self._scales, feature_step), self.textures.maps)

    def _feature_step(self, error: float) -> float:
        """How finely features are rounded, for a fit of this mean square error."""
        bits = self.settings.bits.at(self.textures.width, self.textures.height, error**0.5)
        assert bits.feat is not None
        return 2.0**-bits.feat

    def _error(self, gaussians: Gaussians) -> float:
        """Mean square over all planes."""
        return float(np.mean((decode.planes(gaussians) - self.textures.planes) ** 2))

    def _codes(
        self, gaussians: Gaussians, scales: ScaleGrid | None = None, feature_step: float | None = None
    ) -> Codes | Plain:
        if self.bits.wide:
            return plain.quantize(gaussians, self.bits)
        return quantize(gaussians, self.bits, scales, feature_step)

    def _pruned(self, gaussians: Gaussians) -> bytes:
        """Where even the coarsest rounding is too large: without the Gaussians of smallest area that don't fit."""
        assert self.budget is not None
        order = np.argsort(-gaussians.scale.prod(1), kind="stable")
        low, high, best = 0, len(gaussians), None
        while high - low > max(1, len(gaussians) // 256):
            middle = (low + high) // 2
            data = self.packed(gaussians.take(np.sort(order[:middle])), _COARSEST_STEP)
            if len(data) > self.budget:
                high = middle
            else:
                low, best = middle, data
        if best is None:
            raise self._too_small()
        return best

    def _too_small(self) -> ImageGSError:
        least = self._fixed + 64
        return ImageGSError(
            f"{self._request()} is {self.budget} bytes here, too small for one Gaussian: ask for at least "
            f"{least} bytes, {8 * least / self.texels:.3g} bpp"
        )

    def _affordable(self) -> int:
        assert self.budget is not None
        planes = len(self.textures.planes)
        each = plain.size(8, planes, self.bits) / 8 if self.bits.wide else (28 + 4.5 * planes) / 8
        return min(int((self.budget - self._fixed) / each), MAX_GAUSSIANS)

    def _request(self) -> str:
        if self.settings.max_bytes == self.budget:
            return f"max-bytes {self.budget}"
        return f"bpp {self.settings.bpp:g}"
