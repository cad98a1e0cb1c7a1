"""The CUDA driver through its C interface: load machine code, launch kernels on PyTorch's stream, capture a step in a graph."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import torch

from ...errors import DeviceFailed, ImageGSError, first_line
from . import nvrtc

Launch = Callable[[str, tuple[int, int, int], int, Sequence[Any]], None]
"""launch(kernel, (thread blocks x, y, z), threads per thread block, arguments as ctypes values)."""


class Gpu:
    """Machine: the current CUDA device of PyTorch. Raises ImageGSError where the driver's library can't be loaded."""

    def __init__(self) -> None:
        self.device = f"cuda:{torch.cuda.current_device()}"
        self.name = torch.cuda.get_device_name()
        self.capability = torch.cuda.get_device_capability()
        self._driver = _load_driver()
        self._kernels: dict[nvrtc.Variant, Launch] = {}
        self._side = torch.cuda.Stream()  # captures: the default stream can't
        torch.zeros(1, device=self.device)  # makes the context that modules are loaded into

    def kernels(self, variant: nvrtc.Variant) -> Launch:
        """The kernels of a variant, compiled at first use."""
        if variant not in self._kernels:
            self._kernels[variant] = self._load(nvrtc.machine_code(variant, self.capability))
        return self._kernels[variant]

    def _load(self, code: bytes) -> Launch:
        module = ctypes.c_void_p()
        self._call("cuModuleLoadData", ctypes.byref(module), code)
        functions: dict[str, ctypes.c_void_p] = {}

        def launch(name: str, grid: tuple[int, int, int], threads: int, arguments: Sequence[Any]) -> None:
            if name not in functions:
                functions[name] = ctypes.c_void_p()
                self._call("cuModuleGetFunction", ctypes.byref(functions[name]), module, name.encode())
            pointers = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(a) for a in arguments))
            stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
            self._call("cuLaunchKernel", functions[name], *grid, threads, 1, 1, 0, stream, pointers, None)

        return launch

    def pinned(self, *shape: int, dtype: torch.dtype) -> torch.Tensor:
        """Zeros on the host that the device can copy from and to by itself."""
        return torch.zeros(shape, dtype=dtype, pin_memory=True)

    def captured(self, work: Callable[[], None]) -> Callable[[], None]:
        """work, which must only enqueue, as one launch. Raises ImageGSError where CUDA can't capture it."""
        graph = torch.cuda.CUDAGraph()
        collects = gc.isenabled()
        gc.disable()  # memory of an earlier fit that is freed meanwhile would become part of the graph
        try:
            self._side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._side):
                graph.capture_begin()
                try:
                    work()
                except BaseException:
                    with suppress(RuntimeError):  # the capture is broken: what broke it is what counts
                        graph.capture_end()
                    raise
                graph.capture_end()
            torch.cuda.current_stream().wait_stream(self._side)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            advice = "update the driver or PyTorch, or use device cpu"
            raise ImageGSError(f"CUDA could not capture a step in a graph ({first_line(error)}); {advice}") from error
        finally:
            if collects:
                gc.enable()
        return graph.replay

    def wait(self) -> None:
        """Until everything enqueued is done. Raises DeviceFailed."""
        try:
            torch.cuda.current_stream().synchronize()
        except RuntimeError as error:
            raise DeviceFailed(f"the GPU failed ({first_line(error)}); use device cpu, and please report it") from error

    def memory(self) -> tuple[int, int]:
        """(free, total) bytes of the device."""
        return torch.cuda.mem_get_info()

    def release(self) -> None:
        """Give back memory that PyTorch keeps for later."""
        torch.cuda.empty_cache()

    def _call(self, name: str, *arguments: Any) -> None:
        result = getattr(self._driver, name)(*arguments)
        if result:
            text = ctypes.c_char_p()
            self._driver.cuGetErrorString(result, ctypes.byref(text))
            why = text.value.decode() if text.value else f"error {result}"
            raise ImageGSError(f"the CUDA driver failed in {name} ({why}); update it, or use device cpu")


@cache
def gpu() -> Gpu:
    """The device of this process."""
    return Gpu()


def _load_driver() -> ctypes.CDLL:
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        return ctypes.CDLL(name)
    except OSError as error:
        raise ImageGSError(f"{name} can't be loaded ({error}); install NVIDIA's driver") from error
