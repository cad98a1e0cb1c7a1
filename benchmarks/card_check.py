"""Speed of the device gpu: steps, kernels and fits on a graphics card through wgpu; part of gpu_check.sh.

    python benchmarks/card_check.py [--adapter NAME] [--json FILE] [--quick] [--size TEXELS]

Random texels, Gaussians of the size that a fit of that density has (0.6 texel spacings). Times of kernels are the card's own.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import wgpu
from gpu_cases import CASES, FITS, IMAGE_GS, L2, RATES, SIZE, fit_by_preset
from wgpu.backends.wgpu_native import extras

from imagegs_blender.core.devices.gpu import adapters
from imagegs_blender.core.devices.gpu.device import Gpu
from imagegs_blender.core.devices.gpu.machine import Machine
from imagegs_blender.core.devices.types import Grid, Step

_STAMPS = 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapter", default="", help="part of the name of the graphics card")
    parser.add_argument("--json", metavar="FILE", help="write all figures")
    parser.add_argument("--quick", action="store_true", help="without the fits")
    parser.add_argument("--size", type=int, default=SIZE, help="texels a side of the steps (%(default)s)")
    args = parser.parse_args()
    adapter = adapters.choose(args.adapter)
    machine = Machine(adapter, features=["timestamp-query", "timestamp-query-inside-passes"])
    print(
        f"{adapter}, subgroups {machine.subgroups}, workgroup memory {machine.memory}, binding {machine.binding >> 20} MiB"
    )
    results: dict[str, Any] = {"adapter": str(adapter), "subgroups": machine.subgroups}
    results["steps"] = [step(machine, args.size, *case) for case in CASES]
    results["fits"] = [] if args.quick else [fit_by_preset(*case, "gpu", args.adapter) for case in FITS]
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=2), "utf-8")


def step(machine: Machine, size: int, planes: int, count: int, topk: int, label: str) -> dict[str, Any]:
    count = max(64, count * size**2 // SIZE**2)
    grid, loss = Grid(size, size, False, topk), L2 if label == "L2" else IMAGE_GS
    rng = np.random.default_rng(0)
    device = Gpu(np.rint(rng.random((planes, size, size), np.float32) * 255) / np.float32(255), grid, None, machine)
    optimizer = device.optimizer(False, RATES)
    optimizer.add(rng.random((count, 2), np.float32), 0.6 * size / count**0.5, rng.random((count, planes)))
    started = time.perf_counter()
    device.steps(optimizer, loss, [Step()])
    first = time.perf_counter() - started
    device.steps(optimizer, loss, [Step()] * device.ahead)
    times = 160 if size == SIZE else device.ahead
    started = time.perf_counter()
    device.steps(optimizer, loss, [Step()] * times)
    each = 1e3 / times * (time.perf_counter() - started)
    splats = optimizer.splats()
    started = time.perf_counter()
    device.render(splats)
    decode = time.perf_counter() - started
    kernels = by_kernel(machine, device, optimizer, loss)
    print(
        f"\nstep {size}^2 x {planes}, {count:,} Gaussians, K = {topk}, {label}: {each:.3f} ms; the first one {first:.2f} s"
    )
    print(f"  kernels {sum(kernels.values()):.3f} ms; decoded, and brought to the host, in {1e3 * decode:.0f} ms")
    print("  " + ", ".join(f"{name} {1e3 * ms:.0f} us" for name, ms in sorted(kernels.items(), key=lambda k: -k[1])))
    return {
        "size": size, "planes": planes, "gaussians": count, "topk": topk, "loss": label, "ms": each, "first_step_s": first,
        "kernels_ms": kernels, "decode_s": decode,
    }  # fmt: skip


def by_kernel(machine: Machine, device: Gpu, optimizer: Any, loss: Any) -> dict[str, float]:
    """Milliseconds of each kernel in a step, from time stamps around its launches."""
    stamps = machine._device.create_query_set(type=wgpu.QueryType.timestamp, count=_STAMPS)
    launch, names = machine.launch, []
    known = {id(kernel): key[0] for key, kernel in machine._kernels.items()}

    def timed(kernel: Any, group: Any, frame: Any, groups: int) -> None:
        machine._opened()
        extras.write_timestamp(machine._pass, stamps, 2 * len(names))
        launch(kernel, group, frame, groups)
        extras.write_timestamp(machine._pass, stamps, 2 * len(names) + 1)
        names.append(known[id(kernel)])

    machine.launch = timed  # type: ignore[method-assign]
    device.steps(optimizer, loss, [Step()])
    machine.launch = launch  # type: ignore[method-assign]
    usage = wgpu.BufferUsage.QUERY_RESOLVE | wgpu.BufferUsage.COPY_SRC
    buffer = machine._device.create_buffer(size=16 * len(names), usage=usage)
    encoder = machine._device.create_command_encoder()
    encoder.resolve_query_set(stamps, 0, 2 * len(names), buffer, 0)
    machine._device.queue.submit([encoder.finish()])
    ticks = np.frombuffer(machine._device.queue.read_buffer(buffer), np.uint64).reshape(-1, 2).astype(np.int64)
    milliseconds: dict[str, float] = defaultdict(float)
    for name, (start, end) in zip(names, ticks, strict=True):
        milliseconds[name] += 1e-6 * float(end - start)
    return dict(milliseconds)


if __name__ == "__main__":
    main()
