"""Whether fits can run on a GPU of this machine, by this Python; if not, what is missing."""

from __future__ import annotations

import ctypes
import importlib.util
import platform
import sys
from dataclasses import dataclass
from functools import cache
from importlib import metadata

from ...errors import ImageGSError, first_line

INSTALL = 'pip install "imagegs-blender[cuda]"'


@dataclass(frozen=True)
class Found:
    """cuda is the GPU's name, or None; then missing says why, and what to do."""

    cuda: str | None
    missing: str | None


@cache
def detect() -> Found:
    """Look for a GPU; imports PyTorch, which takes seconds, only where there is a driver."""
    missing = _missing()
    if missing:
        return Found(None, missing)
    import torch

    return Found(torch.cuda.get_device_name(), None)


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
    from . import nvrtc

    try:
        nvrtc.load()
    except ImageGSError as error:
        return str(error)
    return None


_BUILD = "PyTorch {} is built without CUDA: install a build with CUDA (pytorch.org/get-started)"
