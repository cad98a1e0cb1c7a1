"""Whole fits on a graphics card: as good as the CPU's, the same bytes twice, in the worker, resumed; and what goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagegs_blender.core.cli import main
from imagegs_blender.core.devices import choice, here
from imagegs_blender.core.devices.cpu.device import render
from imagegs_blender.core.devices.gpu import adapters
from imagegs_blender.core.devices.types import Grid, Loss, project
from imagegs_blender.core.encoding import encode
from imagegs_blender.core.errors import Cancelled, DeviceFailed, ImageGSError
from imagegs_blender.core.fitting.fit import Progress, fit
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.core.textures import image_files, texture_stack
from imagegs_blender.core.textures.texture_stack import ColorSpace, Depth, Role, SourceMap, TextureStack
from tests.core.devices import cards
from tests.core.process import blocking
from tests.samples import QUICK, picture

ADAPTER = cards.adapter()

from imagegs_blender.core.devices.gpu import machine as machines  # noqa: E402
from imagegs_blender.core.devices.gpu.device import Gpu  # noqa: E402

NAMES = ("mean", "scale", "rotation", "bias", "feature")


def on_card(preset: str = "fast", **options: object) -> FitSettings:
    return FitSettings.preset(preset, device="gpu", adapter=ADAPTER.name, **options)


def maps(size: int) -> dict[str, TextureStack]:
    """Three stacks: one photo-like map; edges, ramps and grain that share geometry; a torus of floats beyond 0..1."""
    y, x = np.mgrid[:size, :size] / size
    grain = np.random.default_rng(4).random((size, size))
    several = [0.5 + 0.4 * np.sin(40 * x * y), np.hypot(x - 0.5, y - 0.4) < 0.3, y, 0.3 + 0.1 * grain]
    torus = np.sin(2 * np.pi * (3 * x + y)) + 0.5 * np.cos(2 * np.pi * 5 * y)
    return {
        "picture": built({"a": picture(size) / np.float32(255)}),
        "several": built({f"map{k}": plane for k, plane in enumerate(several)}),
        "torus": built({"a": torus}, wrap=True),
    }


def built(planes: dict[str, np.ndarray], wrap: bool = False) -> TextureStack:
    sources = []
    for name, pixels in planes.items():
        values = np.asarray(pixels, np.float32)
        values = values[..., None] if values.ndim == 2 else values
        letters = "RGB" if values.shape[2] == 3 else "L"
        sources.append(SourceMap(name, Role.DATA, ColorSpace.RAW, Depth.F32, letters, values))
    return texture_stack.build(sources, wrap=wrap)


@pytest.mark.parametrize("stack", ["picture", "several", "torus"])
def test_a_fit_reaches_what_the_cpu_reaches(stack: str) -> None:
    """With the same seed, within 0.1 dB; the same bits when it is run again. One of them with SSIM, as in the paper."""
    source = maps(64)[stack]
    preset, options = ("paper", {"add_steps": 10, "post_min_steps": 1}) if stack == "several" else ("fast", {})
    reached, results = [], []
    for device in ("cpu", "gpu", "gpu"):
        settings = FitSettings.preset(
            preset, num_gaussians=120, max_steps=60, device=device, adapter=ADAPTER.name, **options
        )
        found, _ = fit(source, settings, 120)
        results.append([getattr(found, name).tobytes() for name in NAMES])
        reached.append(float(-10 * np.log10(np.mean((render(*project(found)) - source.planes) ** 2))))
    assert reached[1] == pytest.approx(reached[0], abs=0.1)
    assert results[1] == results[2]


def test_a_real_stack_reaches_what_the_cpu_reaches(data: Path) -> None:
    """A corner of a material's maps, 8 bits each, as an encode has it: with rounding, and the stream's own PSNR."""
    sources = image_files.read_maps(data / "stacks" / "scifi_container")
    corner = [replace(source, pixels=source.pixels[400:496, 400:496]) for source in sources]
    stack, reports = texture_stack.build(corner), []
    for device in ("cpu", "gpu"):
        settings = FitSettings.preset("fast", num_gaussians=250, max_steps=60, device=device, adapter=ADAPTER.name)
        reports.append(encode.encode(stack, settings).report)
    assert reports[1].psnr["overall"] == pytest.approx(reports[0].psnr["overall"], abs=0.1)
    assert reports[1].device == f"gpu ({ADAPTER.name})"


def test_a_time_budget_and_cancelling_hold() -> None:
    source = maps(64)["picture"]
    found = encode.encode(source, on_card(num_gaussians=100, max_steps=100_000, time_budget=20.0))
    assert 16 <= found.report.steps < 100_000

    def stop(progress: Progress) -> None:
        if progress.step >= 20:
            raise Cancelled

    with pytest.raises(Cancelled):
        encode.encode(source, on_card(num_gaussians=100, max_steps=200), stop)


def test_a_stopped_fit_is_resumed_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a checkpoint in the middle."""
    Image.fromarray(picture(48)).save(tmp_path / "a.png")

    def run(name: str, *more: str) -> int:
        return main.main([
            "fit", str(tmp_path / "a.png"), "--log-root", str(tmp_path), "--exp-name", name, "--device", "gpu",
            "--adapter", ADAPTER.name, *QUICK, "--max-steps", "40", "--save-ckpt-steps", "10", "--quiet", *more,
        ])  # fmt: skip

    assert run("whole") == 0
    take, taken = Gpu.steps, [0]

    def stop(self: Gpu, *arguments: Any) -> list[Loss]:
        taken[0] += 1
        if taken[0] == 25:
            raise KeyboardInterrupt
        return take(self, *arguments)

    monkeypatch.setattr(Gpu, "steps", stop)
    assert run("cut") == 130
    monkeypatch.undo()
    assert run("cut", "--resume") == 0
    assert "resumed at step 20" in (tmp_path / "cut/log.txt").read_text()
    assert (tmp_path / "cut/result.igs").read_bytes() == (tmp_path / "whole/result.igs").read_bytes()


def test_the_worker_fits_on_the_card() -> None:
    """In a child process, as Blender does: the same bytes as here."""
    source, settings = maps(48)["picture"], on_card(num_gaussians=50, max_steps=30)
    told: list[Progress] = []
    assert blocking.run(source, settings, told.append).data == encode.encode(source, settings).data
    assert told[-1].step == told[-1].steps == 30


def test_a_card_that_is_lost_is_one_line_and_auto_goes_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    source = maps(48)["picture"]

    def lose(progress: Progress) -> None:
        on = machines.machine(ADAPTER)
        if progress.step >= 16:
            on._device.destroy()

    with pytest.raises(machines.Lost, match=r"was lost \(.*\): try again, or choose device cpu") as caught:
        encode.encode(source, on_card(num_gaussians=50, max_steps=60), lose)
    assert "\n" not in str(caught.value)
    auto = FitSettings.preset("fast", num_gaussians=50, max_steps=60, device="auto", adapter=ADAPTER.name)
    found = encode.encode(source, auto, lose)
    assert found.report.device.startswith(f"cpu; fitted on the processor, because {ADAPTER.name} was lost")
    assert found.report.psnr["overall"] > 20
    assert encode.encode(source, on_card(num_gaussians=50, max_steps=30)).report.device.startswith(
        "gpu"
    )  # a new device


def test_memory_that_is_short_is_saved_and_then_said() -> None:
    """First in more batches of block rows; where even the target does not fit, one line."""
    grid, rng = Grid(256, 256, False, 4), np.random.default_rng(1)
    target = rng.random((9, 256, 256), np.float32)
    whole, small = machines.Machine(ADAPTER), machines.Machine(ADAPTER)
    small.binding = 1_300_000
    results = []
    for on in (whole, small):
        device = Gpu(target, grid, None, on)
        optimizer = device.optimizer(False, dict.fromkeys(NAMES, 0.01))
        optimizer.add(
            np.random.default_rng(2).random((2500, 2), np.float32), 4.0, np.random.default_rng(3).random((2500, 9))
        )
        results.append(device.removal(optimizer))
    assert device.notes and "batches" in device.notes[-1]
    np.testing.assert_allclose(results[1], results[0], rtol=1e-3, atol=1e-3)
    small.binding = 500_000
    with pytest.raises(DeviceFailed, match=r"memory of .* is too small: close other programs, or choose device cpu"):
        Gpu(target, grid, None, small)


def test_a_driver_that_lacks_something_is_one_line() -> None:
    lacking = next(
        name for name in ("texture-compression-astc", "texture-compression-bc") if name not in ADAPTER.handle.features
    )
    with pytest.raises(DeviceFailed, match="update its driver, or choose device cpu") as caught:
        machines.Machine(ADAPTER, features=[lacking])
    assert "\n" not in str(caught.value)


def test_an_adapter_that_is_not_here_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(ImageGSError, match=f"adapter 'Voodoo' is not here: choose one of .*{ADAPTER.name[:8]}"):
        adapters.choose("Voodoo")
    for device in ("gpu", "auto"):
        assert (
            main.main(["fit", __file__, "-o", str(tmp_path / "a.igs"), "--device", device, "--adapter", "Voodoo"]) == 1
        )
    assert capsys.readouterr().err.count("\n") == 2


def test_software_is_chosen_by_name_only() -> None:
    real = [adapter for adapter in adapters.adapters() if not adapter.is_software]
    if real:
        assert choice.choose("auto", cuda=False) == "gpu" and adapters.choose() == real[0]
        return
    assert choice.choose("auto", cuda=False) == "cpu"
    with pytest.raises(ImageGSError, match=r"device gpu can't be used: no graphics card .*; or choose device cpu"):
        choice.choose("gpu")
    assert any("only where it is named" in line for line in here.look().lines)


@pytest.mark.skipif(sys.platform != "linux", reason="the loader's variable is Linux's")
def test_without_any_driver_it_is_said() -> None:
    """The command lists what is missing, and says no more than that."""
    environment = os.environ | {"VK_DRIVER_FILES": "/nowhere.json", "VK_ICD_FILENAMES": "/nowhere.json"}
    command = [sys.executable, "-m", "imagegs_blender.core", "devices", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    found = json.loads(done.stdout)
    assert done.returncode == 0 and not done.stderr and found["adapters"] == []
    assert any(line.startswith("no gpu: no graphics card with a driver for Vulkan") for line in found["lines"])


def test_nothing_is_imported_for_the_processor() -> None:
    code = (
        "import sys, numpy as np; from imagegs_blender.core.devices.choice import DeviceChoice;"
        "from imagegs_blender.core.settings import FitSettings; from imagegs_blender.core.devices.types import Grid;"
        "choice = DeviceChoice(FitSettings.preset('fast', device='cpu'));"
        "choice.device(np.zeros((1, 16, 16), np.float32), Grid(16, 16, False, 4), None);"
        "assert 'wgpu' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
