"""The CUDA device on a GPU: run by benchmarks/gpu_check.sh, skipped with a message where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from imagegs_blender.core.devices.cpu.device import Cpu, render
from imagegs_blender.core.devices.cuda import presence
from imagegs_blender.core.devices.reference import Reference
from imagegs_blender.core.devices.types import Grid, Splats, project
from imagegs_blender.core.fitting.fit import fit
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.core.textures import texture_stack
from imagegs_blender.core.textures.texture_stack import ColorSpace, Depth, Role, SourceMap

from tests.core.devices.test_devices import LOSSES, PARTS, random_splats, random_target  # isort: skip

if presence.detect().cuda is None:
    pytest.skip(f"no GPU here: {presence.detect().missing}", allow_module_level=True)

import torch

from imagegs_blender.core.devices.cuda.device import Cuda


@pytest.fixture(autouse=True)
def _poison() -> Iterator[None]:
    """Memory that nobody has written holds NaN."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


def far(ours: np.ndarray, theirs: np.ndarray) -> float:
    """|ours - theirs| / |theirs|; NaN is far."""
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    distance = np.linalg.norm(ours - theirs) / max(float(np.linalg.norm(theirs)), 1e-30)
    return float(np.nan_to_num(distance, nan=np.inf))


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize(("topk", "planes"), [(4, 9), (4, 3), (10, 3), (0, 5), (16, 1), (2, 32)])
def test_forward_and_gradient_agree_with_reference(topk: int, planes: int, wrap: bool) -> None:
    grid = Grid(100, 77, wrap, topk)
    splats = random_splats(400, planes, grid, seed=topk + planes)
    target, texels = random_target(planes, grid, seed=1)
    reference, device = Reference(target, grid, texels), Cuda(target, grid, texels)
    assert far(device.render(splats), reference.render(splats)) < 1e-5
    for name, loss in LOSSES.items() if planes == 9 else [("all", LOSSES["all"])]:
        expected, slope = reference.gradient(splats, loss)
        measured, gradient = device.gradient(splats, loss)
        assert measured.total == pytest.approx(expected.total, rel=1e-5), name
        for part in PARTS:
            assert far(getattr(gradient, part), getattr(slope, part)) < 1e-4, f"{name} {part}"


def test_many_blocks_agree_with_the_cpu() -> None:
    """More splats and blocks than one thread block scans, lists longer than a chunk, several bands."""
    grid = Grid(1100, 1300, True, 4)
    rng = np.random.default_rng(2)
    splats = random_splats(20_000, 4, grid, seed=9)
    splats.conic[:] *= 0.06
    splats.center[:4000] *= np.float32(0.1)
    target = rng.random((4, 1300, 1100), np.float32)
    expected, slope = Cpu(target, grid).gradient(splats, LOSSES["all"])
    for bands in (1, 4):
        device = Cuda(target, grid)
        device._target.bands = bands
        measured, gradient = device.gradient(splats, LOSSES["all"])
        assert measured.total == pytest.approx(expected.total, rel=1e-5)
        for part in PARTS:
            assert far(getattr(gradient, part), getattr(slope, part)) < 1e-4, f"{bands} {part}"


def test_removal_agrees_with_the_cpu() -> None:
    grid = Grid(300, 200, True, 4)
    target, texels = random_target(4, grid, seed=6)
    growth = []
    for device in (Cpu(target, grid, texels), Cuda(target, grid, texels)):
        rng = np.random.default_rng(5)
        optimizer = device.optimizer(
            False, {"mean": 0.1, "scale": 0.02, "rotation": 0.03, "bias": 0.02, "feature": 0.01}
        )
        optimizer.add(rng.random((900, 2), np.float32), 3.0, rng.random((900, 4)))
        growth.append(device.removal(optimizer))
    assert far(growth[1], growth[0]) < 1e-4


def textures(size: int = 384) -> texture_stack.TextureStack:
    """Edges, waves, ramps and grain on five planes."""
    y, x = np.mgrid[:size, :size] / size
    rng = np.random.default_rng(4)
    disks = np.zeros((size, size))
    for cx, cy, radius in rng.random((25, 3)):
        disks += (np.hypot(x - cx, y - cy) < 0.15 * radius + 0.02) * rng.random()
    planes = [
        0.5 + 0.4 * np.sin(60 * x * y), disks % 1, 0.5 * x + 0.3 * disks % 1, y, rng.random((size, size)) * 0.1 + 0.3,
    ]  # fmt: skip
    sources = [
        SourceMap(f"map{k}", Role.DATA, ColorSpace.RAW, Depth.F32, "L", p[..., None].astype(np.float32))
        for k, p in enumerate(planes)
    ]  # fmt: skip
    return texture_stack.build(sources)


@pytest.mark.parametrize("preset", ["fast", "paper"])
def test_a_fit_reaches_what_the_cpu_reaches(preset: str) -> None:
    """With the same seed, within 0.1 dB; the same bits when it is run again."""
    source = textures()
    reached, results = [], []
    for device in ("cpu", "cuda", "cuda"):
        settings = FitSettings.preset(preset, num_gaussians=1500, max_steps=300, device=device)
        if preset == "paper":
            settings = FitSettings.preset(
                preset, num_gaussians=1500, max_steps=300, device=device, add_steps=40, post_min_steps=1
            )
        gaussians, _ = fit(source, settings, 1500)
        results.append(
            [getattr(gaussians, name).tobytes() for name in ("mean", "scale", "rotation", "bias", "feature")]
        )
        reached.append(float(-10 * np.log10(np.mean((render(*project(gaussians)) - source.planes) ** 2))))
    print(f"{preset}: CPU {reached[0]:.3f} dB, CUDA {reached[1]:.3f} dB")
    assert reached[1] == pytest.approx(reached[0], abs=0.1)
    assert results[1] == results[2]


def test_memory_that_is_short_is_saved() -> None:
    """A cap on PyTorch's memory, far above the target and below what the step's first try takes."""
    grid = Grid(1024, 1024, False, 4)
    rng = np.random.default_rng(2)
    target = rng.random((3, 1024, 1024), np.float32)
    splats = random_splats(20_000, 3, grid, seed=3)
    splats.conic[:] *= 0.004
    expected, _ = Cuda(target, grid).gradient(splats, LOSSES["l2"])
    torch.cuda.empty_cache()
    device = Cuda(target, grid)
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + (100 << 20)) / total)
    try:
        measured, _ = device.gradient(splats, LOSSES["l2"])
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert any("batches" in note for note in device.notes)
    assert measured.total == pytest.approx(expected.total, rel=1e-3)


def test_splats_that_reach_nothing_are_no_trouble() -> None:
    grid = Grid(40, 30, False, 4)
    arrays = np.zeros((3, 2)), np.ones((3, 3)), np.full(3, 13.0), np.ones((3, 2))
    nothing = Splats(*(array.astype(np.float32) for array in arrays))
    device = Cuda(np.ones((2, 30, 40), np.float32), grid)
    assert not device.render(nothing).any()
    loss, gradient = device.gradient(nothing, LOSSES["all"])
    assert loss.l2 == pytest.approx(1) and not any(getattr(gradient, part).any() for part in PARTS)
