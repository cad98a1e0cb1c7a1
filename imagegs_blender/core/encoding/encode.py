"""encode(): a stack in, the bytes of a .igs file out, with the report of what was measured."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from ..decoding import decode
from ..devices.choice import Place
from ..fitting import placement
from ..fitting.fit import Observer, Progress, Report, fit
from ..gaussians import Gaussians
from ..igs import stream
from ..quality import metrics
from ..settings import MAX_GAUSSIANS, FitSettings
from ..textures import texture_stack
from ..textures.texture_stack import TextureStack
from . import holes
from .rate import DECIBELS_PER_DOUBLING, Rate

__all__ = ["Encoded", "Progress", "encode"]

TARGET_MARGIN = 0.2
"""dB above a requested PSNR that a search aims at; what is over is given back by rounding features coarser."""

_WASTE = 0.8
"""dB above the target that rounding can give back well; beyond, fewer Gaussians are better."""

_ATTEMPTS = 4


@dataclass(frozen=True)
class Encoded:
    """A finished fit. data is the .igs file; report holds bytes, bpp, bppc, num_gaussians, steps, device, seconds, psnr, ssim
    and unused, the share (0..1) of texels of weight 0.

    psnr (dB) and ssim are dictionaries with "overall" and one entry per map, measured on the decoded stream as 8-bit
    values against the stack's planes, over texels of weight above 0. report["warning"] is there where a target PSNR was
    not reached, and says why.
    """

    data: bytes
    report: dict


def encode(
    textures: TextureStack, settings: FitSettings, progress: Report | None = None, observer: Observer | None = None
) -> Encoded:
    """Fit, quantise, write, and measure the decoded result.

    With init_mode "mask" or "saliency" the report also has psnr_inside and psnr_outside (dB): over the texels of at least
    half the largest importance, and over the others.
    Raises ImageGSError for a request that can't be met, Cancelled where the progress callback raises it.
    """
    textures = _steered(textures, settings)
    work = _Work(textures, settings, progress, observer)
    data, warning = (
        work.to_target() if settings.target_psnr is not None else (work.fitted(work.rate.first_count())[1], None)
    )
    result = stream.read(data)
    texels = work.rate.texels
    report = {
        "bytes": len(data),
        "bpp": 8 * len(data) / texels,
        "bppc": 8 * len(data) / texels / textures.channel_count,
        "num_gaussians": len(result.codes),
        "steps": work.steps,
        "device": str(work.place),
        "unused": 0.0 if textures.weights is None else float(np.mean(textures.weights <= 0)),
        **work.measured(data),
        **work.regions(data),
        "seconds": work.elapsed(),
    }
    return Encoded(data, report | ({"warning": warning} if warning else {}))


class _Work:
    def __init__(
        self, textures: TextureStack, settings: FitSettings, progress: Report | None, observer: Observer | None
    ) -> None:
        self.textures, self.settings, self.progress, self.observer = textures, settings, progress, observer
        self.place = Place(settings)
        self.started = time.perf_counter()
        self.rate = Rate(textures, settings)
        self.originals = texture_stack.images(textures.planes, textures.maps, textures.wrap)
        self.roles = {m.name: m.role for m in textures.maps}
        self.unused = _unused(textures)
        self.steps = 0

    def elapsed(self) -> float:
        return time.perf_counter() - self.started

    def fitted(self, count: int) -> tuple[Gaussians, bytes]:
        """One fit with about so many Gaussians, and its stream."""
        settings, rate = self.settings, self.rate
        rate.forget()
        if settings.time_budget is not None:
            left = settings.time_budget - self.elapsed() - self._time_to_measure()
            settings = replace(settings, time_budget=max(left, 0.1))
        most = MAX_GAUSSIANS if settings.target_psnr is None else count

        def recount(gaussians: Gaussians, error: float) -> int:
            return min(rate.count(gaussians, error), most)

        gaussians, self.steps = fit(
            self.textures, settings, count, self.progress, rate.round if settings.quantize else rate.snap,
            recount if rate.budget is not None else None, self.observer, self.place,
        )  # fmt: skip
        gaussians = holes.closed(gaussians, self.textures)
        return gaussians, rate.pack(gaussians)

    def measured(self, data: bytes) -> dict:
        return metrics.compare(self.originals, decode.images(stream.read(data)), self.roles, unused=self.unused)

    def regions(self, data: bytes) -> dict[str, float]:
        """PSNR where the importance map has at least half of its maximum, and elsewhere."""
        importance = self.textures.importance
        if importance is None:
            return {}
        decoded = decode.images(stream.read(data))
        inside = _per_map(importance >= 0.5 * importance.max(), self.textures)
        regions = {"psnr_inside": {name: ~here for name, here in inside.items()}, "psnr_outside": inside}
        return {
            name: metrics.compare(self.originals, decoded, self.roles, False, unused)["psnr"]["overall"]
            for name, unused in regions.items()
        }

    def to_target(self) -> tuple[bytes, str | None]:
        """Fit until the PSNR is reached, and round features as coarsely as it allows; also a warning where it is not reached.

        The next count is interpolated between fits (extrapolated by what doubling usually gains).
        """
        target, budget = self.settings.target_psnr, self.settings.time_budget
        assert target is not None
        count = self.rate.first_count()
        tried: list[tuple[int, float]] = []
        best, best_psnr = b"", -1.0
        for attempt in range(1, _ATTEMPTS + 1):
            gaussians, data = self.fitted(count)
            reached = self._psnr(data)
            tried.append((len(gaussians), reached))
            if reached >= target:
                coarser, _ = self.rate.border(gaussians, lambda data: self._psnr(data) >= target)
                if coarser is not None and len(coarser) < len(data):
                    data, reached = coarser, self._psnr(coarser)
            smaller = reached >= target and len(data) < len(best)
            if smaller or (best_psnr < target and reached > best_psnr):
                best, best_psnr = data, reached
            following = self.rate.within_budget(_next_count(tried, target))
            late = budget is not None and self.elapsed() * (attempt + 1) / attempt > budget
            if target <= tried[-1][1] <= target + _WASTE or late or following == count:
                break
            count = following
        if best_psnr >= target:
            return best, None
        why = "the budget of bytes" if self.rate.budget is not None else "the steps or seconds allowed"
        return best, f"target-psnr {target:g} dB was not reached: {best_psnr:.2f} dB is what {why} gave"

    def _psnr(self, data: bytes) -> float:
        decoded = decode.images(stream.read(data))
        return metrics.compare(self.originals, decoded, self.roles, False, self.unused)["psnr"]["overall"]

    def _time_to_measure(self) -> float:
        return 0.3 + 1.5e-7 * sum(pixels.size for pixels in self.originals.values())


def _next_count(tried: list[tuple[int, float]], target: float) -> int:
    """The count at which the line through the two fits nearest to the target meets it, a little above."""
    (count, reached), *others = sorted(tried, key=lambda pair: abs(pair[1] - target))
    slope = DECIBELS_PER_DOUBLING
    if others and others[0][0] != count:
        slope = float(np.clip((reached - others[0][1]) / np.log2(count / others[0][0]), 0.5, 6))
    return max(1, int(count * 2 ** float(np.clip((target + TARGET_MARGIN - reached) / slope, -4, 4))))


def _unused(textures: TextureStack) -> dict[str, np.ndarray] | None:
    """Each map's texels (height, width) of weight 0; None where there are none. All count where all weigh 0."""
    weights = textures.weights
    if weights is None or weights.min() > 0 or weights.max() <= 0:
        return None
    return _per_map(weights == 0, textures)


def _per_map(texels: np.ndarray, textures: TextureStack) -> dict[str, np.ndarray]:
    """texels (H, W) of the stack at each map's own size, nearest."""
    rows = {m.name: np.arange(m.height) * textures.height // m.height for m in textures.maps}
    columns = {m.name: np.arange(m.width) * textures.width // m.width for m in textures.maps}
    return {m.name: texels[np.ix_(rows[m.name], columns[m.name])] for m in textures.maps}


def _steered(textures: TextureStack, settings: FitSettings) -> TextureStack:
    """The stack with the importance map that init_mode asks for, and with weights that follow it."""
    if settings.init_mode not in ("mask", "saliency"):
        return replace(textures, importance=None)
    importance = placement.importance_map(textures, settings)
    weights = 1 + np.float32(settings.importance_weight - 1) * importance
    if settings.importance_weight == 1:
        return replace(textures, importance=importance)
    return replace(
        textures, importance=importance, weights=weights if textures.weights is None else weights * textures.weights
    )
