"""What gpu_check.py and card_check.py measure: the steps and fits, their textures, and what a step has to do at least."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from imagegs_blender.core.devices.cpu.device import render
from imagegs_blender.core.devices.types import LossWeights, project
from imagegs_blender.core.fitting.fit import fit
from imagegs_blender.core.gaussians import Gaussians
from imagegs_blender.core.igs.codes import ScaleGrid, quantize
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.core.textures import texture_stack
from imagegs_blender.core.textures.texture_stack import ColorSpace, Depth, Role, SourceMap

L2, IMAGE_GS = LossWeights(l2=1.0), LossWeights(l1=1.0, ssim=0.1)
CASES = [  # planes, Gaussians, K, loss
    (3, 10_000, 4, "L2"), (9, 30_000, 4, "L2"), (3, 10_000, 10, "L1 + 0.1 SSIM"), (9, 30_000, 10, "L1 + 0.1 SSIM"),
]  # fmt: skip
FITS = [("fast", 9), ("balanced", 9), ("balanced", 3), ("high", 9)]
SIZE = 2048
RATES = dict.fromkeys(("mean", "scale", "rotation", "bias", "feature"), 1e-7)
"""So low that block lists stay as they are: lists that outgrow their memory end a step at once, which would be fast."""


def floor(planes: int, count: int, topk: int, loss: LossWeights, entries: int) -> tuple[float, float]:
    """(bytes, float32 operations) that a step has to move and do, a fused multiply-add counted as two.

    Bytes: target and texel weights once (with SSIM the picture, its slope and two numbers per texel written and read), an
    entry's list and gradient written and read, a splat's numbers and moments read and written. Operations: q of every texel of
    an entry's block, twice to blend and once for the gradient; of the K that are kept, their weight, blend and gradient; SSIM.
    """
    texels, sums = SIZE * SIZE, 6 + planes
    moved = 4.0 * texels * (planes + 1) + entries * (4 * 8 + 2 * 4 * sums) + count * 4 * sums * 8
    operations = entries * 256 * 3 * 11.0 + texels * max(topk, 1) * (2 * 10 + 6 * planes + 20)
    if loss.ssim:
        moved += 4.0 * texels * (4 * planes + 4)
        operations += texels * planes * 2.0 * 11 * (8 + 8)
    return moved, operations


def fit_by_preset(preset: str, planes: int, device: str, adapter: str = "") -> dict[str, Any]:
    """Seconds of a whole fit, frozen to codes as in an encode, with 30,000 or 10,000 Gaussians; the second one of its kind."""
    count = 30_000 if planes == 9 else 10_000
    source = textures(SIZE, planes)
    settings = FitSettings.preset(preset, num_gaussians=count, device=device, adapter=adapter)
    seconds = []
    for steps in (30, settings.max_steps):  # the first one compiles, and warms up
        grids: list[ScaleGrid] = []
        bits = settings.bits.at(SIZE, SIZE)

        def snap(gaussians: Gaussians, grids: list[ScaleGrid] = grids, bits: Any = bits) -> Gaussians:
            grids[:] = grids or [ScaleGrid.of(gaussians, bits)]
            return quantize(gaussians, bits, grids[0]).dequantized()

        started = time.perf_counter()
        options = {"num_gaussians": count, "device": device, "adapter": adapter, "max_steps": steps}
        gaussians, taken = fit(source, FitSettings.preset(preset, **options), count, snap=snap)
        seconds.append(time.perf_counter() - started)
    psnr = float(-10 * np.log10(np.mean((render(*project(gaussians)) - source.planes) ** 2)))
    print(
        f"\nfit {preset} on {device}, {SIZE}^2 x {planes}, {count:,} Gaussians: {seconds[1]:.2f} s, {taken} steps, {psnr:.2f} dB"
    )
    return {"preset": preset, "planes": planes, "gaussians": count, "seconds": seconds[1], "steps": taken, "psnr": psnr}


def textures(size: int, planes: int) -> texture_stack.TextureStack:
    """Waves, disks and grain that the planes share, each in its own mixture."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    parts = [np.sin(70 * x * y + 9 * np.cos(11 * y)), (np.sin(40 * x) * np.sin(37 * y) > 0.4).astype(np.float32)]
    parts += [rng.random((size, size), np.float32), np.hypot(x - 0.5, y - 0.5)]
    mixtures = rng.dirichlet([2, 2, 0.3, 2], planes)
    pictures = [sum(share * part for share, part in zip(mixture, parts, strict=True)) for mixture in mixtures]
    return texture_stack.build([
        SourceMap(
            f"map{k}", Role.DATA, ColorSpace.RAW, Depth.F32, "L", np.float32(0.5 + 0.3 * p)[..., None]
        )
        for k, p in enumerate(pictures)
    ])  # fmt: skip
