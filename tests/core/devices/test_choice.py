"""Where a fit runs, what is said where CUDA can't be had, and that the kernels compile for every GPU without one."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import platform
import re
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagegs_blender.core.cli import main
from imagegs_blender.core.devices import choice
from imagegs_blender.core.devices.cuda import nvrtc, presence
from imagegs_blender.core.encoding import encode
from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.settings import DEVICES, FitSettings
from imagegs_blender.core.textures import texture_stack
from imagegs_blender.core.textures.texture_stack import ColorSpace, Depth, Role, SourceMap


@pytest.fixture(autouse=True)
def _fresh():
    presence.detect.cache_clear()
    yield
    presence.detect.cache_clear()


def pretend(monkeypatch: pytest.MonkeyPatch, torch: str | None, driver: bool) -> None:
    """A Linux machine with this version of PyTorch, and with or without NVIDIA's driver."""
    find, version, load = importlib.util.find_spec, metadata.version, ctypes.CDLL

    def cdll(name: str, *rest: object) -> object:
        if "cuda.so" not in str(name):
            return load(name, *rest)
        if not driver:
            raise OSError(f"{name}: cannot open shared object file")
        return object()

    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: torch and sys if name == "torch" else find(name))
    monkeypatch.setattr(metadata, "version", lambda name: torch if name == "torch" else version(name))
    monkeypatch.setattr(ctypes, "CDLL", cdll)


@pytest.mark.parametrize(
    ("torch", "driver", "missing"),
    [
        (None, True, 'PyTorch is not installed here (pip install "imagegs-blender[cuda]")'),
        ("2.9.0+cpu", True, "PyTorch 2.9.0+cpu is built without CUDA"),
        ("2.9.0", False, "NVIDIA's driver is not installed here"),
    ],
)
def test_what_is_missing_is_one_clear_error(
    torch: str | None, driver: bool, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, torch, driver)
    assert choice.choose("auto") == "cpu" and choice.choose("cpu") == "cpu"
    assert missing in str(presence.detect())
    textures = texture_stack.build([
        SourceMap("a", Role.DATA, ColorSpace.RAW, Depth.F32, "L", np.zeros((16, 16, 1), np.float32))
    ])  # fmt: skip
    with pytest.raises(ImageGSError, match="device cuda can't be used: " + re.escape(missing)) as caught:
        encode.encode(textures, FitSettings.preset("fast", num_gaussians=4, device="cuda"))
    assert "\n" not in str(caught.value)


def test_the_command_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, None, True)
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / "a.png")
    command = ["fit", str(tmp_path / "a.png"), "-o", str(tmp_path / "a.igs"), "--device"]
    assert main.main([*command, "cuda"]) == 1
    assert re.fullmatch(r"error: device cuda can't be used: .*\n", capsys.readouterr().err)
    assert not (tmp_path / "a.igs").exists()
    assert main.main([*command, "auto", "--num-gaussians", "3", "--max-steps", "3", "--quiet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["device"] == "cpu"


def test_pytorch_that_finds_no_gpu_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    pretend(monkeypatch, "2.9.0", True)
    monkeypatch.setattr(torch.version, "cuda", "12.6")
    monkeypatch.setattr(torch.cuda, "init", lambda: (_ for _ in ()).throw(RuntimeError("driver too old\nmore")))
    with pytest.raises(
        ImageGSError, match=r"finds no usable NVIDIA GPU or driver \(driver too old\); or choose device cpu"
    ):
        choice.choose("cuda")


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ImageGSError, match="device 'tpu' is unknown: choose one of " + ", ".join(DEVICES)):
        FitSettings.preset("fast", device="tpu")


# Every variant that is compiled here, by GPU generation; together they cover the smallest and the largest.
VARIANTS = {
    "sm_75": nvrtc.Variant(9, 4),
    "sm_86": nvrtc.Variant(3, 4),
    "sm_89": nvrtc.Variant(12, 10, True),
    "sm_90": nvrtc.Variant(9, 4),
    "sm_100": nvrtc.Variant(1, 0),
    "sm_120": nvrtc.Variant(32, 16),
}


@pytest.mark.parametrize("architecture", VARIANTS)
def test_kernels_compile_for_every_gpu(architecture: str) -> None:
    """Without warnings; a thread block of every kernel fits on the GPU: registers, shared memory, hardly any spills."""
    try:
        compiler = nvrtc.load()
    except ImageGSError as error:
        pytest.skip(f"{error}: the CUDA kernels are not compiled here")
    code, log = compiler.compile(VARIANTS[architecture], architecture, "--ptxas-options=-v")
    assert code[:4] == b"\x7fELF"
    assert "warning" not in log, log
    used = re.findall(
        r"entry function '(\w+)' for '\w+'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads.*?"
        r"Used (\d+) registers(.*?)\n",
        log,
        re.DOTALL,
    )
    names = set(re.findall(r"KERNEL\((\w+)\)\s+(\w+)\(", "".join(nvrtc.sources().values())))
    assert {name for name, *_ in used} == {name for _, name in names} and len(used) > 10
    for name, frame, stores, loads, registers, rest in used:
        shared = re.search(r"(\d+) bytes smem", rest)
        assert int(registers) <= 168, f"{name}: {registers} registers"  # x 256 threads <= 65536 - room
        assert max(int(frame), int(stores), int(loads)) <= 64, f"{name}: {frame} {stores} {loads}"
        assert int(shared[1] if shared else 0) <= 48 << 10, f"{name}: {rest}"


def test_a_newer_gpu_gets_code_for_its_driver_to_finish() -> None:
    try:
        compiler = nvrtc.load()
    except ImageGSError as error:
        pytest.skip(str(error))
    assert compiler.architecture((9, 0)) == "sm_90"
    newest = compiler.architectures[-1]
    assert compiler.architecture((99, 0)) == f"compute_{newest}"
    code, _ = compiler.compile(nvrtc.Variant(1, 1), f"compute_{newest}")
    assert b".visible .entry fused" in code and code.endswith(b"\0")


def test_the_compiler_of_pytorchs_cuda_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the wheels of Linux and Windows, and PyTorch itself, lay it out; its other halves and copies are not taken for it."""
    libraries = [
        "nvidia/cu13/lib/libnvrtc.so.13", "nvidia/cuda_nvrtc/lib/libnvrtc.so.12", "nvidia/cu13/bin/x86_64/nvrtc64_130_0.dll",
        "torch/lib/nvrtc64_120_0.dll",
    ]  # fmt: skip
    others = [
        "nvidia/cuda_nvrtc/lib/libnvrtc-builtins.so.12.8", "nvidia/cuda_nvrtc/lib/libnvrtc.alt.so.12",
        "torch/lib/nvrtc64_120_0.alt.dll", "torch/lib/nvrtc-builtins64_128.dll",
    ]  # fmt: skip
    for name in (*libraries, *others):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    for variable in ("CUDA_PATH", "CUDA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    for major in (12, 13):
        monkeypatch.setattr(nvrtc, "_torch_cuda", lambda major=major: major)
        found = [Path(path) for path in nvrtc._found() if Path(path).is_relative_to(tmp_path)]
        assert sorted(found) == sorted(tmp_path / name for name in libraries)
        assert all(str(major) in path.name for path in found[:2])


def test_machine_code_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []

    class Compiler:
        version = (12, 0)

        def architecture(self, capability: tuple[int, int]) -> str:
            return f"sm_{capability[0]}{capability[1]}"

        def compile(self, variant: nvrtc.Variant, architecture: str) -> tuple[bytes, str]:
            compiled.append((variant, architecture))
            return f"{variant} {architecture}".encode(), ""

    monkeypatch.setattr(nvrtc, "load", Compiler)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    first, other = nvrtc.Variant(3, 4), nvrtc.Variant(3, 5)
    codes = [nvrtc.machine_code(v, c) for v, c in ((first, (9, 0)), (first, (9, 0)), (other, (9, 0)), (first, (8, 6)))]
    assert codes[0] == codes[1] and len(set(codes)) == 3 and len(compiled) == 3
    assert sorted(path.parent for path in tmp_path.rglob("*.bin")) == [tmp_path / "cuda"] * 3
    with pytest.raises(ImageGSError, match=r"compute capability is 7\.0, but 7\.5 or newer is needed"):
        nvrtc.machine_code(first, (7, 0))
