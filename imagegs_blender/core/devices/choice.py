"""Where fits run: auto, cpu, gpu or cuda."""

from __future__ import annotations

import numpy as np

from ..edition import COMPLETE
from ..errors import DeviceFailed, ImageGSError
from ..settings import FitSettings
from .cpu.dense import Dense
from .cpu.device import Cpu
from .gpu import adapters
from .interface import Device
from .types import Grid


def choose(device: str, adapter: str = "", cuda: bool = True) -> str:
    """cpu, gpu or cuda, for one of DEVICES: auto is CUDA where it is set up, else a graphics card, else the processor.

    adapter   part of the name of a graphics card, for auto and gpu: then it is that one
    cuda      whether auto may be CUDA
    Raises ImageGSError where the device can't be had, and says what is missing.
    """
    if device == "cpu":
        return "cpu"
    if COMPLETE and (device == "cuda" or (cuda and not adapter and device == "auto")):
        from .cuda.presence import detect

        found = detect()
        if found.cuda:
            return "cuda"
        if device == "cuda":
            raise ImageGSError(f"device cuda can't be used: {found.missing}; or choose device cpu")
    try:
        adapters.choose(adapter)
    except ImageGSError as error:
        if device == "auto" and not adapter:
            return "cpu"
        raise ImageGSError(f"device gpu can't be used: {error}; or choose device cpu") from None
    return "gpu"


class DeviceChoice:
    """Where the fits of one request run.

    name    cpu, gpu or cuda
    notes   what was done because memory was short or a device failed, in words
    Raises ImageGSError where settings.device can't be had.
    """

    def __init__(self, settings: FitSettings) -> None:
        self._settings = settings
        if not settings.tiles and settings.device in ("cuda", "gpu"):
            raise ImageGSError("disable-tiles fits on the CPU: leave it out, or choose device cpu")
        self.name = choose(settings.device, settings.adapter) if settings.tiles else "cpu"
        self.notes: list[str] = []
        self._gpu = ""

    def device(self, target: np.ndarray, grid: Grid, texel_weights: np.ndarray | None) -> Device:
        """The device that holds a target."""
        made: Device
        if self.name == "cpu":
            return (Cpu if self._settings.tiles else Dense)(target, grid, texel_weights)
        if self.name == "gpu":
            from .gpu.device import Gpu
            from .gpu.machine import Lost, machine

            chosen = adapters.choose(self._settings.adapter)
            try:
                made = Gpu(target, grid, texel_weights, machine(chosen))
            except Lost:  # since an earlier fit: a new device may do
                made = Gpu(target, grid, texel_weights, machine(chosen))
        else:
            from .cuda.device import Cuda

            made = Cuda(target, grid, texel_weights)
        self._gpu, self.notes = made.name, made.notes
        return made

    def goes_on_without(self, error: DeviceFailed) -> bool:
        """Whether the processor takes over from a device that failed: where the device was chosen here, not by the person."""
        if self._settings.device != "auto" or self.name == "cpu":
            return False
        self.name, self._gpu, self.notes = "cpu", "", [f"fitted on the processor, because {error}"]
        return True

    def __str__(self) -> str:
        return "; ".join([f"{self.name} ({self._gpu})" if self._gpu else self.name, *self.notes])
