"""splat.cu -> machine code, with the run-time compiler that comes with PyTorch: no toolkit, no C++ compiler, no GPU needed.

The library is called through its C interface: nvidia-cuda-nvrtc's wheel (a requirement of PyTorch's CUDA builds on Linux),
PyTorch's own copy (Windows) or a CUDA toolkit's.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ... import files
from ...errors import ImageGSError
from ...gaussians import CUTOFF, EPS
from ...ssim import SSIM_C1, SSIM_C2, SSIM_RADIUS, window
from ..cpu.blocks import BLOCK
from ..optimizer import BETA1, BETA2, TINY
from ..reference import MOST_SHARE
from . import layout

LEAST_CAPABILITY = (7, 5)

_HERE = Path(__file__).resolve().parent
_NAMES = re.compile(r"libnvrtc(-[0-9a-f]+)?\.so\.(?P<major>\d+)(\.\d+)*|nvrtc64_(?P<windows>\d+)\d_\d\.dll")
_PLACES = (
    "nvidia/cu[0-9]*/lib",
    "nvidia/cuda_nvrtc/lib",
    "nvidia/cu[0-9]*/bin",
    "nvidia/cu[0-9]*/bin/x86_64",
    "nvidia/cuda_nvrtc/bin",
    "torch/lib",
)


@dataclass(frozen=True)
class Variant:
    """What the kernels are compiled for: C planes, K, and whether the target is held as 16-bit floats."""

    planes: int
    topk: int
    half_target: bool = False


def sources() -> dict[str, str]:
    """splat.cu and the files that it includes, by the name it includes them by."""
    texts = {
        path.name: path.read_text("utf-8") for path in (_HERE / "splat.cu", *sorted((_HERE / "splat").glob("*.cuh")))
    }
    return texts | {"constants.cuh": constants()}


def constants() -> str:
    """constants.cuh: the numbers of the definition, and of the layout, as C++."""
    taps = ", ".join(f"{tap:.9e}f" for tap in window())
    return f"""#pragma once
constexpr int BLOCK = {BLOCK}, SSIM_RADIUS = {SSIM_RADIUS};
constexpr float CUTOFF = {CUTOFF:.9e}f, EPS = {EPS:.9e}f, SSIM_C1 = {SSIM_C1:.9e}f, SSIM_C2 = {SSIM_C2:.9e}f;
constexpr float MOST_SHARE = {MOST_SHARE!r}f;
{layout.definitions()}
constexpr double BETA1 = {BETA1!r}, BETA2 = {BETA2!r}, TINY = {TINY!r};
__device__ constexpr float tap(int k) {{
    constexpr float taps[] = {{{taps}}};
    return taps[k];
}}
"""


def defines(variant: Variant) -> list[str]:
    """The compiler's options that choose a variant."""
    return [f"-DPLANES={variant.planes}", f"-DTOPK={variant.topk}"] + ["-DHALF_TARGET"] * variant.half_target


def machine_code(variant: Variant, capability: tuple[int, int]) -> bytes:
    """What the driver loads on a device of this compute capability; compiled once, then read from the user's cache.

    Raises ImageGSError where there is no compiler, or the device is older than sm_75.
    """
    if capability < LEAST_CAPABILITY:
        raise ImageGSError(
            f"this GPU's compute capability is {capability[0]}.{capability[1]}, but 7.5 or newer is needed: use device cpu"
        )
    compiler = load()
    architecture = compiler.architecture(capability)
    parts = [repr((variant, architecture, compiler.version)), *sources().values()]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    path = cache_folder() / f"{architecture}-{variant.planes}-{variant.topk}-{key}.bin"
    if not path.is_file():
        code, _ = compiler.compile(variant, architecture)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, code)
    return path.read_bytes()


def cache_folder() -> Path:
    """Where compiled kernels are kept."""
    return files.cache_folder() / "cuda"


class Nvrtc:
    """The compiler: version (major, minor), architectures (compute capabilities as 10 major + minor, ascending)."""

    def __init__(self, path: str) -> None:
        self.path = path
        if sys.platform == "win32" and Path(path).is_absolute():
            os.add_dll_directory(str(Path(path).parent))  # where it finds its other half
        try:
            self._library = ctypes.CDLL(path)
        except OSError as error:
            raise ImageGSError(
                f"{path}: CUDA's run-time compiler can't be loaded ({error}); reinstall PyTorch"
            ) from error
        self._library.nvrtcGetErrorString.restype = ctypes.c_char_p
        major, minor, count = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
        self._call("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
        self._call("nvrtcGetNumSupportedArchs", ctypes.byref(count))
        known = (ctypes.c_int * count.value)()
        self._call("nvrtcGetSupportedArchs", known)
        self.version, self.architectures = (major.value, minor.value), sorted(known)

    def architecture(self, capability: tuple[int, int]) -> str:
        """The target for a device: its own machine code, or text for the driver to finish if it is newer than this compiler."""
        wanted = 10 * capability[0] + capability[1]
        if wanted in self.architectures:
            return f"sm_{wanted}"
        return f"compute_{max(known for known in self.architectures if known < wanted)}"

    def compile(self, variant: Variant, architecture: str, *options: str) -> tuple[bytes, str]:
        """(machine code, or text for the driver where architecture is compute_NN; the compiler's log)."""
        texts = sources()
        main = texts.pop("splat.cu")
        program = ctypes.c_void_p()
        names = (ctypes.c_char_p * len(texts))(*(name.encode() for name in texts))
        headers = (ctypes.c_char_p * len(texts))(*(text.encode() for text in texts.values()))
        self._call("nvrtcCreateProgram", ctypes.byref(program), main.encode(), b"splat.cu", len(texts), headers, names)
        try:
            flags = [f"--gpu-architecture={architecture}", "--std=c++17", *defines(variant), *options]
            arguments = (ctypes.c_char_p * len(flags))(*(flag.encode() for flag in flags))
            result = self._library.nvrtcCompileProgram(program, len(flags), arguments)
            log = self._text("ProgramLog", program).decode("utf-8", "replace").rstrip("\0")
            if result:
                raise ImageGSError(
                    f"the CUDA kernels did not compile for {architecture} (please report it): {log.strip()}"
                )
            return self._text("CUBIN" if architecture.startswith("sm_") else "PTX", program), log
        finally:
            self._call("nvrtcDestroyProgram", ctypes.byref(program))

    def _text(self, what: str, program: ctypes.c_void_p) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value)
        self._call(f"nvrtcGet{what}", program, text)
        return text.raw

    def _call(self, name: str, *arguments: object) -> None:
        result = getattr(self._library, name)(*arguments)
        if result:
            why = self._library.nvrtcGetErrorString(result).decode()
            raise ImageGSError(f"CUDA's run-time compiler failed in {name} ({why}); reinstall PyTorch")


@cache
def load() -> Nvrtc:
    """The compiler. Raises ImageGSError where there is none."""
    for path in _found():
        return Nvrtc(path)
    raise ImageGSError("CUDA's run-time compiler (NVRTC) was not found: pip install nvidia-cuda-nvrtc")


def _found() -> Iterator[str]:
    """Paths of the library: the CUDA version of PyTorch first, packages before a toolkit."""
    places = [
        folder for entry in dict.fromkeys(sys.path) for place in _PLACES for folder in Path(entry or ".").glob(place)
    ]
    libraries = [
        (int(name["major"] or name["windows"]), path)
        for folder in places
        for path in sorted(folder.iterdir())
        if (name := _NAMES.fullmatch(path.name))
    ]
    torch_major = _torch_cuda()
    libraries.sort(key=lambda known: known[0] != torch_major)
    yield from (str(path) for _, path in libraries)
    for variable in ("CUDA_PATH", "CUDA_HOME"):
        for place in ("lib64", "bin", "bin/x64"):
            folder = Path(os.environ.get(variable, "missing"), place)
            yield from (str(path) for path in sorted(folder.glob("*nvrtc*")) if _NAMES.fullmatch(path.name))
    if installed := ctypes.util.find_library("nvrtc"):
        yield installed


def _torch_cuda() -> int | None:
    """The major CUDA version that an imported PyTorch was built for."""
    version = getattr(getattr(sys.modules.get("torch"), "version", None), "cuda", None)
    return int(version.split(".")[0]) if version else None
