"""Speed of the device gpu: steps, kernels and fits on a graphics card through wgpu; part of gpu_check.sh.

    python benchmarks/card_check.py [--adapter NAME] [--json FILE] [--quick] [--size TEXELS]
    python benchmarks/card_check.py --large     4096 x 4096 x 9 with 120,000 Gaussians: a step, and the memory on the card

Random texels, Gaussians of the size that a fit of that density has (0.6 texel spacings). Times of kernels are the card's own.
"""

from __future__ import annotations

import argparse
import json
import time
import weakref
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import wgpu
from gpu_cases import CASES, FITS, IMAGE_GS, L2, RATES, SIZE, fit_by_preset, floor
from wgpu.backends.wgpu_native import extras

from imagegs_blender.core.devices.gpu import adapters
from imagegs_blender.core.devices.gpu.device import Gpu
from imagegs_blender.core.devices.gpu.machine import Machine
from imagegs_blender.core.devices.types import Grid, Rows, Step

_STAMPS = 4096
_MULTIPLIERS, _ROUNDS = 1 << 20, 256
_MULTIPLY = f"""
@group(0) @binding(0) var<storage, read_write> out: array<f32>;
@compute @workgroup_size(256) fn multiply(@builtin(global_invocation_id) id: vec3u) {{
    var a = vec4f(f32(id.x), 1.0, 2.0, 3.0);
    var b = a;
    for (var k = 0u; k < {_ROUNDS}u; k++) {{ a = fma(a, vec4f(0.999), vec4f(1.0)); b = fma(b, vec4f(0.998), a); }}
    out[id.x] = a.x + a.y + a.z + a.w + b.x + b.y + b.z + b.w;
}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapter", default="", help="part of the name of the graphics card")
    parser.add_argument("--json", metavar="FILE", help="write all figures")
    parser.add_argument("--quick", action="store_true", help="without the fits")
    parser.add_argument("--size", type=int, default=SIZE, help="texels a side of the steps (%(default)s)")
    parser.add_argument("--large", action="store_true", help="a large stack alone: its step and its memory")
    args = parser.parse_args()
    adapter = adapters.choose(args.adapter)
    if args.large:
        large(Machine(adapter), args.size * 2)
        return
    machine = Machine(adapter, features=["timestamp-query", "timestamp-query-inside-passes"])
    print(
        f"{adapter}, subgroups {machine.subgroups}, workgroup memory {machine.memory}, binding {machine.binding >> 20} MiB"
    )
    found = ceilings(machine)
    print(f"ceilings: copy {found['bandwidth'] / 1e12:.3f} TB/s, float32 {found['float32'] / 1e12:.2f} TFLOP/s")
    results: dict[str, Any] = {"adapter": str(adapter), "subgroups": machine.subgroups, "ceilings": found}
    results["steps"] = [step(machine, args.size, *case, found) for case in CASES]
    results["fits"] = [] if args.quick else [fit_by_preset(*case, "gpu", args.adapter) for case in FITS]
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=2), "utf-8")


def large(machine: Machine, size: int) -> None:
    """Memory: what the buffers that live at the same time hold at most."""
    live: weakref.WeakSet[Any] = weakref.WeakSet()
    peak, make = [0], machine.buffer

    def counted(count: int, width: int = 1) -> Any:
        made = make(count, width)
        live.add(made)
        peak[0] = max(peak[0], sum(buffer.size for buffer in live))
        return made

    machine.buffer = counted  # type: ignore[method-assign]
    rng, count = np.random.default_rng(0), 120_000 * size**2 // 4096**2
    target = (rng.integers(0, 256, (9, size, size), np.uint8) / np.float32(255)).astype(np.float32)
    device = Gpu(target, Grid(size, size, False, 4), None, machine)
    optimizer = device.optimizer(False, RATES)
    optimizer.add(rng.random((count, 2), np.float32), 0.6 * size / count**0.5, rng.random((count, 9)))
    steps = [Step(1.0, Rows(k % 2, 2)) for k in range(device.ahead)]
    device.steps(optimizer, L2, steps)
    started = time.perf_counter()
    device.steps(optimizer, L2, steps)
    each = 1e3 * (time.perf_counter() - started) / len(steps)
    print(
        f"{size}^2 x 9, {count:,} Gaussians, every second row: {each:.1f} ms a step, {peak[0] / 2**20:.0f} MiB of buffers"
    )


def ceilings(machine: Machine) -> dict[str, float]:
    """What this card reaches: bytes a second of a large copy (read and written), float32 operations a second of multiply-adds."""
    device = machine._device
    size = min(1 << 29, machine.binding // 2)
    a, b = (
        device.create_buffer(size=size, usage=wgpu.BufferUsage.COPY_SRC | wgpu.BufferUsage.COPY_DST) for _ in range(2)
    )
    out = machine.buffer(_MULTIPLIERS)
    module = device.create_shader_module(code=_MULTIPLY)
    pipeline = device.create_compute_pipeline(layout="auto", compute={"module": module, "entry_point": "multiply"})
    bound = device.create_bind_group(
        layout=pipeline.get_bind_group_layout(0), entries=[{"binding": 0, "resource": {"buffer": out}}]
    )

    def copy(encoder: Any) -> None:
        encoder.copy_buffer_to_buffer(a, 0, b, 0, size)

    def multiply(encoder: Any) -> None:
        work = encoder.begin_compute_pass()
        work.set_pipeline(pipeline)
        work.set_bind_group(0, bound)
        work.dispatch_workgroups(_MULTIPLIERS // 256)
        work.end()

    return {
        "bandwidth": 2 * size / seconds(machine, copy, out),
        "float32": _MULTIPLIERS * _ROUNDS * 16 / seconds(machine, multiply, out),
    }


def seconds(machine: Machine, work: Callable[[Any], None], out: Any) -> float:
    """Of one of 20 in a row, after 3."""
    spans = []
    for times in (3, 20):
        started = time.perf_counter()
        encoder = machine._device.create_command_encoder()
        for _ in range(times):
            work(encoder)
        machine._device.queue.submit([encoder.finish()])
        machine._device.queue.read_buffer(out, 0, 16)
        spans.append((time.perf_counter() - started) / times)
    return spans[-1]


def step(
    machine: Machine, size: int, planes: int, count: int, topk: int, label: str, ceiling: dict[str, float]
) -> dict[str, Any]:
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
    entries = int(device._session.pipeline.needed())
    moved, operations = (size / SIZE) ** 2 * np.array(floor(planes, count, topk, loss, entries))
    moved -= 3.0 * size**2 * planes  # the target is bytes here
    print(
        f"\nstep {size}^2 x {planes}, {count:,} Gaussians, K = {topk}, {label}: {each:.3f} ms; the first one {first:.2f} s"
    )
    print(f"  kernels {sum(kernels.values()):.3f} ms; decoded, and brought to the host, in {1e3 * decode:.0f} ms")
    spent = 1e-3 * sum(kernels.values())
    shares = moved / spent / ceiling["bandwidth"], operations / spent / ceiling["float32"]
    print(f"  {entries:,} entries; {shares[0]:.1%} of the bandwidth, {shares[1]:.1%} of float32")
    print("  " + ", ".join(f"{name} {1e3 * ms:.0f} us" for name, ms in sorted(kernels.items(), key=lambda k: -k[1])))
    return {
        "size": size, "planes": planes, "gaussians": count, "topk": topk, "loss": label, "ms": each, "first_step_s": first,
        "kernels_ms": kernels, "decode_s": decode, "entries": entries, "bandwidth_share": shares[0], "float32_share": shares[1],
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
