"""encode(): a stack in, the bytes of a .igs file out, with the report of what was measured."""

from __future__ import annotations

import time
from dataclasses import dataclass

from . import decode, metrics, stack, stream
from .errors import ImageGSError
from .fit import Progress, Report, fit
from .gaussians import Gaussians
from .quantize import Codes, ScaleGrid, dequantize, quantize
from .settings import MAX_GAUSSIANS, FitSettings
from .stack import TextureStack

__all__ = ["Encoded", "Progress", "encode"]

_COARSEST_STEP = 0.25


@dataclass(frozen=True)
class Encoded:
    """A finished fit. data is the .igs file; report holds bytes, bpp, bppc, num_gaussians, steps, seconds, psnr, ssim.

    psnr (dB) and ssim are dictionaries with "overall" and one entry per map, measured on the decoded stream as 8-bit
    values against the stack's planes.
    """

    data: bytes
    report: dict


def encode(textures: TextureStack, settings: FitSettings, progress: Report | None = None) -> Encoded:
    """Fit, quantise, write, and measure the decoded result.

    Raises ImageGSError for a request that can't be met, Cancelled where the progress callback raises it.
    """
    start = time.perf_counter()
    rate = _Rate(textures, settings)
    gaussians, steps = fit(textures, settings, rate.first_count(), progress, rate.snap, rate.count)
    data = rate.pack(gaussians)
    result = stream.read(data)
    report = {
        "bytes": len(data),
        "bpp": 8 * len(data) / rate.texels,
        "bppc": 8 * len(data) / rate.texels / textures.channel_count,
        "num_gaussians": len(result.codes),
        "steps": steps,
        "seconds": time.perf_counter() - start,
    }
    originals = stack.images(textures.planes, textures.maps, textures.wrap)
    return Encoded(
        data, report | metrics.compare(originals, decode.images(result), {m.name: m.role for m in textures.maps})
    )


class _Rate:
    """How many Gaussians the requested bytes allow, how they are rounded, and the bytes in the end."""

    def __init__(self, textures: TextureStack, settings: FitSettings) -> None:
        self.textures, self.settings = textures, settings
        self.bits = settings.bits.at(textures.width, textures.height)
        self.texels = max(m.width * m.height for m in textures.maps)
        self.budget = int(settings.bpp * self.texels / 8) if settings.bpp else None
        self._scales: ScaleGrid | None = None
        self._fixed = 36 + 45 + 4 * len(textures.planes) * (len(textures.planes) + 1)

    def first_count(self) -> int:
        """The number of Gaussians to plan with before anything is known of the picture."""
        if self.budget is None:
            assert self.settings.num_gaussians is not None
            return self.settings.num_gaussians
        per_gaussian = (28 + 5.3 * len(self.textures.planes)) / 8
        count = int((self.budget - self._fixed) / per_gaussian)
        if count < 1:
            raise ImageGSError(
                f"bpp {self.settings.bpp:g} is {self.budget} bytes here, too small for one Gaussian: "
                f"ask for at least {8 * (self._fixed + per_gaussian + 1) / self.texels:.3g}"
            )
        return min(count, MAX_GAUSSIANS)

    def count(self, gaussians: Gaussians) -> int:
        """The number that fills the budget, judged by what the Gaussians so far cost."""
        if self.budget is None:
            return self.first_count()
        size = len(stream.pack(quantize(gaussians, self.bits), self.textures.maps))
        per_gaussian = max((size - self._fixed) / len(gaussians), 2.0)
        return max(1, min(int((self.budget - self._fixed) / per_gaussian), 4 * len(gaussians), MAX_GAUSSIANS))

    def snap(self, gaussians: Gaussians) -> Gaussians:
        """The Gaussians as the stream will round them, in the same order."""
        if self._scales is None:
            self._scales = ScaleGrid.of(gaussians, self.bits)
        return dequantize(quantize(gaussians, self.bits, self._scales))

    def pack(self, gaussians: Gaussians) -> bytes:
        """The bytes; where they exceed the budget, with features as much coarser as needed."""
        data = self._packed(gaussians, None)
        if self.budget is None or len(data) <= self.budget:
            return data
        fine, coarse = 2.0**-self.bits.feat, _COARSEST_STEP
        best = self._packed(gaussians, coarse)
        if len(best) > self.budget:
            raise ImageGSError(
                f"bpp {self.settings.bpp:g} is {self.budget} bytes here, but {len(best)} were needed: "
                f"ask for at least {8.2 * len(best) / self.texels:.3g}"
            )
        for _ in range(8):
            middle = (fine * coarse) ** 0.5
            data = self._packed(gaussians, middle)
            if len(data) <= self.budget:
                best, coarse = data, middle
            else:
                fine = middle
        return best

    def _packed(self, gaussians: Gaussians, feature_step: float | None) -> bytes:
        codes: Codes = quantize(gaussians, self.bits, self._scales, feature_step)
        return stream.pack(codes, self.textures.maps)
