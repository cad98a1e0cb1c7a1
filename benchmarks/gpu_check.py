"""Speed of the CUDA device, measured with CUDA events after warm-up; part of gpu_check.sh.

    python benchmarks/gpu_check.py [--json FILE] [--quick]
    python benchmarks/gpu_check.py --small-fit          a small fit, nothing measured: for compute-sanitizer

Needs PyTorch with CUDA and Numba. Random texels, Gaussians of the size that a fit of that density has (0.6 texel spacings).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_cases import CASES, FITS, IMAGE_GS, L2, RATES, SIZE, fit_by_preset, floor, textures

from imagegs_blender.core.devices.cuda import nvrtc
from imagegs_blender.core.devices.cuda.device import Cuda
from imagegs_blender.core.devices.cuda.driver import gpu
from imagegs_blender.core.devices.cuda.pipeline import Pipeline
from imagegs_blender.core.devices.types import Grid, LossWeights, Step
from imagegs_blender.core.fitting.fit import fit
from imagegs_blender.core.igs.codes import ScaleGrid, quantize
from imagegs_blender.core.settings import FitSettings

GOALS = {(3, "L2"): 0.6, (9, "L2"): 2.0}
"""Milliseconds of a step, on an H200."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write all figures")
    parser.add_argument("--quick", action="store_true", help="without the fits")
    parser.add_argument("--small-fit", action="store_true", help="a small fit, nothing measured")
    args = parser.parse_args()
    if args.small_fit:
        small_fit()
        return
    results: dict[str, Any] = {"machine": machine(), "ceilings": ceilings()}
    results["steps"] = [step(*case, results["ceilings"]) for case in CASES]
    results["fits"] = [] if args.quick else [fit_by_preset(*case, "cuda") for case in FITS]
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=2), "utf-8")


def machine() -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(0)
    found = {
        "gpu": properties.name, "capability": list(gpu().capability), "multiprocessors": properties.multi_processor_count,
        "memory": properties.total_memory, "torch": torch.__version__, "cuda": torch.version.cuda, "nvrtc": nvrtc.load().path,
    }  # fmt: skip
    print(", ".join(f"{key} {value}" for key, value in found.items()))
    return found


def ceilings() -> dict[str, float]:
    """What this GPU reaches: bytes per second of a large copy (read and written), float32 operations per second of a product."""
    a = torch.rand(1 << 28, device="cuda")
    b = torch.empty_like(a)
    copy = median(lambda: b.copy_(a))
    torch.backends.cuda.matmul.allow_tf32 = False
    m = torch.rand(8192, 8192, device="cuda")
    product = median(lambda: torch.mm(m, m), 5)
    found = {"bandwidth": 2 * a.nbytes / copy, "float32": 2 * 8192**3 / product}
    print(f"ceilings: copy {found['bandwidth'] / 1e12:.2f} TB/s, float32 product {found['float32'] / 1e12:.1f} TFLOP/s")
    return found


def step(planes: int, count: int, topk: int, label: str, ceiling: dict[str, float]) -> dict[str, Any]:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    grid, loss = Grid(SIZE, SIZE, False, topk), L2 if label == "L2" else IMAGE_GS
    rng = np.random.default_rng(0)
    device = Cuda(rng.random((planes, SIZE, SIZE), np.float32), grid)
    optimizer = device.optimizer(False, RATES)
    scale = 0.6 * SIZE / count**0.5
    optimizer.add(rng.random((count, 2), np.float32), scale, rng.random((count, planes)))
    started = time.perf_counter()
    device.steps(optimizer, loss, [Step()])
    first = time.perf_counter() - started
    device.steps(optimizer, loss, [Step()] * 16)
    session = device._session
    assert session is not None and session.steps is not None
    milliseconds = 1e3 * median(session.steps.launch, 100)
    started = time.perf_counter()
    device.steps(optimizer, loss, [Step()] * 160)
    called = 1e3 / 160 * (time.perf_counter() - started)
    peak = torch.cuda.max_memory_allocated()
    entries = int(session.pipeline.needed)
    assert entries <= session.pipeline.capacity
    kernels = by_kernel(device, session.pipeline, optimizer, loss)
    decode = decoding(device, session.pipeline, optimizer)
    moved, operations = floor(planes, count, topk, loss, entries)
    found = {
        "planes": planes, "gaussians": count, "topk": topk, "loss": label, "ms": milliseconds, "ms_called_from_python": called,
        "first_step_s": first, "entries": entries, "peak_bytes": peak, "kernels_ms": kernels, "decode_gpx_per_s": decode,
        "bandwidth_share": moved / (milliseconds * 1e-3) / ceiling["bandwidth"],
        "float32_share": operations / (milliseconds * 1e-3) / ceiling["float32"],
    }  # fmt: skip
    goal = f" (goal on an H200: {GOALS[planes, label]} ms)" if (planes, label) in GOALS else ""
    print(f"\nstep {SIZE}^2 x {planes}, {count:,} Gaussians, K = {topk}, {label}: {milliseconds:.3f} ms{goal}")
    print(f"  called from Python {called:.3f} ms; the first one {first:.1f} s; peak memory {peak / 2**20:.0f} MiB")
    print(f"  {entries:,} entries, {entries * 256 / SIZE**2:.1f} per texel; decode {decode:.2f} Gpx/s")
    print(f"  {found['bandwidth_share']:.1%} of the bandwidth, {found['float32_share']:.1%} of float32")
    print("  " + ", ".join(f"{name} {1e3 * ms:.0f} us" for name, ms in sorted(kernels.items(), key=lambda k: -k[1])))
    bound = max(kernels, key=lambda name: kernels[name])
    print(f"  bound by {bound}: {kernels[bound] / sum(kernels.values()):.0%} of the kernels' time")
    return found


def by_kernel(device: Cuda, pipeline: Pipeline, optimizer: Any, loss: LossWeights) -> dict[str, float]:
    """Milliseconds of each kernel in a step that is not captured; the queue is kept full by a kernel that only waits."""
    launch, events = pipeline._launch, defaultdict(list)

    def timed(name: str, grid: tuple[int, int, int], threads: int, arguments: Sequence[Any]) -> None:
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        launch(name, grid, threads, arguments)
        end.record()
        events[name].append((start, end))

    pipeline._launch = timed
    repeats = 10
    for _ in range(repeats):
        torch.cuda._sleep(20_000_000)
        pipeline.step(optimizer.on_device(), device._rules(optimizer), device._exchange.controls, loss)
        torch.cuda.synchronize()
    pipeline._launch = launch
    per_step = {name: len(pairs) // repeats for name, pairs in events.items()}
    return {
        name: per_step[name] * statistics.median(start.elapsed_time(end) for start, end in pairs)
        for name, pairs in events.items()
    }


def decoding(device: Cuda, pipeline: Pipeline, optimizer: Any) -> float:
    """Gigapixels (texels of all planes) per second: block lists and blending of the splats that the pipeline holds."""
    out = torch.empty_like(device._target.planes.target)
    features = optimizer.on_device().value[:, 6:]
    return SIZE * SIZE / median(lambda: pipeline.render(features, out), 50) / 1e9


def small_fit() -> None:
    """Steps of both losses, additions, freezing, the features' solve: every kernel runs."""
    source = textures(96, 3)
    settings = FitSettings.preset("fast", num_gaussians=150, max_steps=40, device="cuda")
    bits = settings.bits.at(96, 96)
    fit(source, settings, 150, snap=lambda g: quantize(g, bits, ScaleGrid.of(g, bits)).dequantized())
    fit(source, FitSettings.preset("paper", num_gaussians=100, max_steps=10, device="cuda", add_times=0), 100)
    torch.cuda.synchronize()
    print("small fit done")


def median(work: Callable[[], object], times: int = 20) -> float:
    """Seconds, by CUDA events, after three runs."""
    for _ in range(3):
        work()
    spans = []
    for _ in range(times):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        end.record()
        spans.append((start, end))
    torch.cuda.synchronize()
    return 1e-3 * statistics.median(start.elapsed_time(end) for start, end in spans)


if __name__ == "__main__":
    main()
