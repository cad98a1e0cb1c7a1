"""Where fits run: auto, cpu or cuda; what is there, and what is missing."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import sys
from dataclasses import dataclass
from functools import cache
from importlib import metadata

import numpy as np

from ..errors import ImageGSError, first_line
from ..settings import FitSettings
from ..version import check_python
from .cpu.dense import Dense
from .cpu.device import Cpu
from .interface import Device
from .types import Grid

INSTALL = 'pip install "imagegs-blender[cuda]"'


@dataclass(frozen=True)
class Found:
    """What this Python can fit on. cuda is the GPU's name, or None; then missing says why, and what to do."""

    cuda: str | None
    missing: str | None

    def __str__(self) -> str:
        cpu = f"CPU, {os.cpu_count()} threads"
        return f"CUDA ({self.cuda}); {cpu}" if self.cuda else f"{cpu}. No CUDA: {self.missing}"


@cache
def detect() -> Found:
    """Look for a GPU; imports PyTorch, which takes seconds, only where there is a driver."""
    missing = _missing()
    if missing:
        return Found(None, missing)
    import torch

    return Found(torch.cuda.get_device_name(), None)


def choose(device: str) -> str:
    """The device, cpu or cuda, for auto, cpu or cuda. Raises ImageGSError where cuda can't be had, and says what is missing."""
    if device == "cpu":
        return "cpu"
    found = detect()
    if found.cuda:
        return "cuda"
    if device == "cuda":
        raise ImageGSError(f"device cuda can't be used: {found.missing}; or choose device cpu")
    return "cpu"


def main() -> int:
    """The process of interpreter.devices(): 0, or 3 where this Python was set up for another version."""
    try:
        check_python()
    except ImageGSError as error:
        print(error, file=sys.stderr)
        return 3
    print(detect())
    return 0


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


def _missing() -> str | None:
    if platform.system() not in ("Linux", "Windows"):
        return f"CUDA does not exist on {platform.system()}"
    if importlib.util.find_spec("torch") is None:
        return f"PyTorch is not installed here ({INSTALL})"
    if "+cpu" in (version := metadata.version("torch")):
        return _BUILD.format(version)
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return "NVIDIA's driver is not installed here"
    try:
        import torch
    except Exception as error:  # a broken installation fails in many ways: OSError for a library, RuntimeError, ...
        return f"PyTorch can't be imported ({first_line(error)}); reinstall it"
    if torch.version.cuda is None:
        return _BUILD.format(torch.__version__)
    try:
        torch.cuda.init()
    except Exception as error:
        return f"PyTorch finds no usable NVIDIA GPU or driver ({first_line(error)})"
    capability = torch.cuda.get_device_capability()
    if capability < (7, 5):
        return f"{torch.cuda.get_device_name()} has compute capability {capability[0]}.{capability[1]}, 7.5 is needed"
    from .cuda import nvrtc

    try:
        nvrtc.load()
    except ImageGSError as error:
        return str(error)
    return None


_BUILD = "PyTorch {} is built without CUDA: install a build with CUDA (pytorch.org/get-started)"
