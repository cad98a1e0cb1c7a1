"""The CUDA kernels on the CPU: splat.cu compiled by the machine's C++ compiler, each thread a fiber (cuda_host.h)."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
import torch

from imagegs_blender.core.devices.cuda import nvrtc

HEADER = Path(__file__).with_name("cuda_host.h")
FLAGS = ["-std=c++17", "-O1", "-ffp-contract=off", "-fPIC", "-shared", "-fno-strict-aliasing", "-w"]


def compiler() -> str:
    """The C++ compiler; skips the test where there is none that can build the emulator."""
    if sys.platform == "win32":
        pytest.skip("the emulator of CUDA needs POSIX's contexts")
    for name in (os.environ.get("CXX"), "g++", "clang++", "c++"):
        if name and shutil.which(name):
            return name
    pytest.skip("no C++ compiler: the CUDA kernels are not run on the CPU here")


@cache
def library(variant: nvrtc.Variant) -> ctypes.CDLL:
    """The kernels of a variant, built once per version of their text."""
    texts = nvrtc.sources()
    names = re.findall(r"KERNEL\(\w+\)\s+(\w+)\(", "".join(texts.values()))
    launch = '    if (!std::strcmp(name, "%s")) return host::launch(%s, grid, threads, arguments), 0;'
    table = "\n".join(launch % (name, name) for name in names)
    main = f"""#include "cuda_host.h"
#include "splat.cu"
extern "C" void backwards(int yes) {{ host::backwards = yes; }}
extern "C" int launch(const char* name, unsigned x, unsigned y, unsigned z, int threads, void** arguments) {{
    const Index grid = {{x, y, z}};
{table}
    return 1;
}}
"""
    texts |= {"main.cpp": main, "cuda_host.h": HEADER.read_text("utf-8")}
    command = [compiler(), *FLAGS, *nvrtc.defines(variant)]
    key = hashlib.sha256("\0".join([*command, *texts.values()]).encode()).hexdigest()[:24]
    folder = Path(tempfile.gettempdir(), f"imagegs-emulator-{os.getuid()}", key)
    built = folder / "kernels.so"
    if not built.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            for name, text in texts.items():
                Path(scratch, name).write_text(text, "utf-8")
            subprocess.run([*command, "main.cpp", "-o", "kernels.so"], cwd=scratch, check=True)
            Path(scratch, "kernels.so").replace(built)
    return ctypes.CDLL(str(built))


class Emulator:
    """Machine: what the CUDA device asks of a GPU, on the CPU."""

    device = "cpu"
    name = "emulated"

    def __init__(self, backwards: bool = False) -> None:
        self.backwards = backwards

    def kernels(
        self, variant: nvrtc.Variant
    ) -> Callable[[str, tuple[int, int, int], int, Sequence[ctypes._SimpleCData]], None]:
        built = library(variant)

        def launch(
            name: str, grid: tuple[int, int, int], threads: int, arguments: Sequence[ctypes._SimpleCData]
        ) -> None:
            pointers = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(a) for a in arguments))
            built.backwards(int(self.backwards))
            assert built.launch(name.encode(), *grid, threads, pointers) == 0, f"no kernel {name}"

        return launch

    def pinned(self, *shape: int, dtype: torch.dtype) -> torch.Tensor:
        return torch.zeros(shape, dtype=dtype)

    def captured(self, work: Callable[[], None]) -> Callable[[], None]:
        return work

    def wait(self) -> None:
        pass

    def memory(self) -> tuple[int, int]:
        return 0, 0

    def release(self) -> None:
        pass
