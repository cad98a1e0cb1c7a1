"""Where fits run: auto, cpu or cuda."""

from __future__ import annotations

import numpy as np

from ..edition import COMPLETE
from ..errors import ImageGSError
from ..settings import FitSettings
from .cpu.dense import Dense
from .cpu.device import Cpu
from .interface import Device
from .types import Grid


def choose(device: str) -> str:
    """The device, cpu or cuda, for auto, cpu or cuda. Raises ImageGSError where cuda can't be had, and says what is missing."""
    if device == "cpu" or not COMPLETE:
        return "cpu"
    from .cuda.presence import detect

    found = detect()
    if found.cuda:
        return "cuda"
    if device == "cuda":
        raise ImageGSError(f"device cuda can't be used: {found.missing}; or choose device cpu")
    return "cpu"


class DeviceChoice:
    """Where the fits of one request run.

    name    cpu or cuda
    notes   what the device did because memory was short, in words
    Raises ImageGSError where settings.device can't be had.
    """

    def __init__(self, settings: FitSettings) -> None:
        self._blocks = settings.tiles
        if not settings.tiles and settings.device == "cuda":
            raise ImageGSError("disable-tiles fits on the CPU: leave it out, or choose device cpu")
        self.name = choose(settings.device) if settings.tiles else "cpu"
        self.notes: list[str] = []
        self._gpu = ""

    def device(self, target: np.ndarray, grid: Grid, texel_weights: np.ndarray | None) -> Device:
        """The device that holds a target."""
        if self.name == "cpu":
            return (Cpu if self._blocks else Dense)(target, grid, texel_weights)
        from .cuda.device import Cuda

        made = Cuda(target, grid, texel_weights)
        self._gpu, self.notes = made.name, made.notes
        return made

    def __str__(self) -> str:
        return "; ".join([f"cuda ({self._gpu})" if self._gpu else self.name, *self.notes])
