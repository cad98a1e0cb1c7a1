"""encode(): a stack in, a .igs file out, with a report."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..decoding import decode
from ..decoding.decode import Decoded
from ..devices.choice import DeviceChoice
from ..errors import DeviceFailed, ImageGSError
from ..fitting import placement
from ..fitting.budget import TooShort
from ..fitting.fit import Observer, OnProgress, Progress, fit
from ..gaussians import Gaussians
from ..igs.stream import Stream
from ..quality import metrics
from ..settings import MAX_GAUSSIANS, FitSettings
from ..textures import texture_stack
from ..textures.texture_stack import OVERALL, TextureStack
from . import holes, search
from .packing import Packed, Packer
from .rate import Rate
from .report import FitReport
from .search import Attempt
from .weighing import Weighing

__all__ = ["Encoded", "Progress", "encode"]

_SECONDS_TO_MEASURE, _SECONDS_PER_SAMPLE = 0.3, 1.5e-7
"""Seconds to pack and measure a fit: at least, and more for every sample of all maps. A time budget keeps them free."""

_SHORTEST_FIT = 0.1
"""Seconds that a fit is given where a time budget is used up."""

_MARGIN = 1.2
"""The shortest time budget that is suggested is so many times what was measured: no two runs take the same time."""

_IMPORTANT = 0.5
"""Share of the largest importance from which a texel counts as inside."""


@dataclass(frozen=True)
class Encoded:
    """A finished fit.

    stream    the result; read(data) gives the same
    data      the bytes of the .igs file
    report    the measures of the result
    decoded   the stream's pictures, decoded when they are first asked for
    """

    stream: Stream
    data: bytes
    report: FitReport
    decoded: Decoded


def encode(
    stack: TextureStack,
    settings: FitSettings,
    progress: OnProgress | None = None,
    observer: Observer | None = None,
    originals: Mapping[str, np.ndarray] | None = None,
) -> Encoded:
    """Fit, quantize, write, and measure the decoded result.

    originals   name -> pixels of the maps that the result is compared with; default the stack's planes as maps. Measures
                are of 8-bit values, over texels of weight above 0
    With init_mode "mask" or "saliency" the report also has psnr_inside and psnr_outside.
    Raises ImageGSError for a request that can't be met, such as a time budget too short for a picture, and Cancelled where
    the progress callback raises it.
    """
    stack = _steered(stack, settings)
    work = _Work(stack, settings, progress, observer)
    packed, warning = work.result()
    work.tell("measuring")
    decoded = Decoded(packed.stream)
    report = replace(
        FitReport.of_stream(packed.stream, len(packed)),
        steps=work.steps,
        device=str(work.device),
        unused=0.0 if stack.weights is None else float(np.mean(stack.weights <= 0)),
        warning=warning,
        **work.measured(decoded, originals),
        **work.regions(decoded),
    )
    return Encoded(packed.stream, packed.data, replace(report, seconds=work.elapsed()), decoded)


@dataclass(frozen=True)
class _Fitted:
    """The end of a fit: its Gaussians as they are, how they are packed, and the file that the request asks for."""

    gaussians: Gaussians
    packer: Packer
    packed: Packed


class _Work:
    """The fits of one request, and their measures.

    steps   optimizer steps of the last fit
    """

    def __init__(
        self, stack: TextureStack, settings: FitSettings, progress: OnProgress | None, observer: Observer | None
    ) -> None:
        self.stack, self.settings, self.progress, self.observer = stack, settings, progress, observer
        self.device = DeviceChoice(settings)
        self.started = time.perf_counter()
        self.weighing = Weighing.of(stack, settings)
        if self.weighing is not None and observer is not None:
            raise ImageGSError("weights of maps don't go with a log folder: leave out one of them")
        self.rate = Rate(stack, settings, self.weighing)
        self.roles = {m.name: m.role for m in stack.maps}
        self.unused = _unused(stack)
        self.steps = 0

    @cached_property
    def maps(self) -> dict[str, np.ndarray]:
        """The stack's planes as maps."""
        return texture_stack.images(self.stack.planes, self.stack.maps, self.stack.wrap)

    def tell(self, phase: str) -> None:
        """Progress of what follows the last step."""
        if self.progress is not None:
            self.progress(Progress(phase, self.steps, self.steps, None, self.elapsed()))

    def elapsed(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self.started

    def result(self) -> tuple[Packed, str | None]:
        """The file that was asked for, and a warning where a PSNR was asked for and not reached."""
        target = self.settings.target_psnr
        if target is None:
            return self._fitted(self.rate.first_count()).packed, None
        best = search.smallest(
            target, self.rate.first_count(), self._attempt, self.rate.within_budget, self._time_for_another
        )
        if best.psnr >= target:
            return best.packed, None
        why = "the budget of bytes" if self.rate.budget is not None else "the steps or seconds allowed"
        return best.packed, f"target-psnr {target:g} dB was not reached: {best.psnr:.2f} dB is what {why} gave"

    def measured(self, decoded: Decoded, originals: Mapping[str, np.ndarray] | None) -> dict[str, Any]:
        """The measures of the result, by field of FitReport."""
        return metrics.compare(originals or self.maps, decoded.images, self.roles, unused=self.unused)

    def regions(self, decoded: Decoded) -> dict[str, Any]:
        """PSNR where the importance map has at least half of its maximum, and elsewhere, by field of FitReport."""
        importance = self.stack.importance
        if importance is None:
            return {}
        inside = _per_map(importance >= _IMPORTANT * importance.max(), self.stack)
        outside = {name: ~here for name, here in inside.items()}
        return {
            "psnr_inside": self._psnr(decoded.images, unused=outside),
            "psnr_outside": self._psnr(decoded.images, unused=inside),
        }

    def _fitted(self, count: int) -> _Fitted:
        """One fit with about so many Gaussians, and its file."""
        settings, rate, packer = self.settings, self.rate, self.rate.packer()
        around = self.elapsed() + self._time_to_measure()  # seconds beside the fit
        if settings.time_budget is not None:
            settings = replace(settings, time_budget=max(settings.time_budget - around, _SHORTEST_FIT))
        most = MAX_GAUSSIANS if settings.target_psnr is None else count

        weighing, stack, rounded = self.weighing, self.stack, packer.round if settings.quantize else packer.snap
        snap = rounded
        if weighing is not None:
            stack = weighing.scaled(stack)

            def snap(gaussians: Gaussians) -> Gaussians:
                return weighing.fitted(rounded(weighing.own(gaussians)))

        def recount(gaussians: Gaussians, error: float) -> int:
            return min(rate.count(gaussians if weighing is None else weighing.own(gaussians), error), most)

        try:
            gaussians, self.steps = fit(
                stack, settings, count, self.progress, snap,
                recount if rate.budget is not None else None, self.observer, self.device,
            )  # fmt: skip
        except DeviceFailed as error:
            if not self.device.goes_on_without(error):
                raise
            return self._fitted(count)
        except TooShort as error:
            assert self.settings.time_budget is not None
            raise TooShort(self.settings.time_budget, _MARGIN * (around + error.least)) from None
        self.tell("packing")
        gaussians = holes.closed(gaussians if weighing is None else weighing.own(gaussians), self.stack)
        return _Fitted(gaussians, packer, rate.pack(gaussians, packer))

    def _attempt(self, count: int) -> Attempt | None:
        """One fit of the search for a PSNR, its features rounded as coarsely as the target allows.

        None where there is too little time left for another one.
        """
        target = self.settings.target_psnr
        assert target is not None
        try:
            fitted = self._fitted(count)
        except TooShort:
            if not self.steps:
                raise
            return None
        packed, reached = fitted.packed, self._reached(fitted.packed)
        if reached >= target:
            coarser, _ = fitted.packer.border(fitted.gaussians, lambda tried: self._reached(tried) >= target)
            if coarser is not None and len(coarser) < len(packed):
                packed = coarser
        return Attempt(len(fitted.gaussians), reached, packed)

    def _reached(self, packed: Packed) -> float:
        """dB of a file over all maps."""
        return self._psnr(decode.images(packed.stream), self.unused)

    def _psnr(self, images: Mapping[str, np.ndarray], unused: Mapping[str, np.ndarray] | None) -> float:
        return metrics.compare(self.maps, images, self.roles, False, unused)["psnr"][OVERALL]

    def _time_for_another(self, attempts: int) -> bool:
        budget = self.settings.time_budget
        return budget is None or self.elapsed() * (attempts + 1) / attempts <= budget

    def _time_to_measure(self) -> float:
        samples = sum(m.width * m.height * len(m.channels) for m in self.stack.maps)
        return _SECONDS_TO_MEASURE + _SECONDS_PER_SAMPLE * samples


def _unused(stack: TextureStack) -> dict[str, np.ndarray] | None:
    """Each map's texels (height, width) of weight 0; None where there are none. All count where all weigh 0."""
    weights = stack.weights
    if weights is None or weights.min() > 0 or weights.max() <= 0:
        return None
    return _per_map(weights == 0, stack)


def _per_map(texels: np.ndarray, stack: TextureStack) -> dict[str, np.ndarray]:
    """texels (H, W) of the stack at each map's own size, nearest."""
    rows = {m.name: np.arange(m.height) * stack.height // m.height for m in stack.maps}
    columns = {m.name: np.arange(m.width) * stack.width // m.width for m in stack.maps}
    return {m.name: texels[np.ix_(rows[m.name], columns[m.name])] for m in stack.maps}


def _steered(stack: TextureStack, settings: FitSettings) -> TextureStack:
    """The stack with the importance map that init_mode asks for, and with weights that follow it."""
    if settings.init_mode not in ("mask", "saliency"):
        return replace(stack, importance=None)
    importance = placement.importance_map(stack, settings)
    if settings.importance_weight == 1:
        return replace(stack, importance=importance)
    weights = 1 + np.float32(settings.importance_weight - 1) * importance
    return replace(stack, importance=importance, weights=weights if stack.weights is None else weights * stack.weights)
