"""Seconds and memory of one full optimisation step and of decoding.

    python benchmarks/step.py [--size 2048] [--planes 9] [--gaussians 30000] [--steps 10]

Random texels, Gaussians of the size that a fit of that density has (0.6 texel spacings), the median of the steps. Run it
on an idle machine; CPU seconds are printed beside wall seconds, because they depend less on what else is running.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np

from imagegs_blender.core import decode, stream, tables
from imagegs_blender.core.devices import Grid, LossWeights
from imagegs_blender.core.devices.cpu import Cpu
from imagegs_blender.core.gaussians import Gaussians
from imagegs_blender.core.optimizer import Optimizer
from imagegs_blender.core.settings import PRESETS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("size", 2048), ("planes", 9), ("gaussians", 30_000), ("steps", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    target = rng.random((args.planes, args.size, args.size), np.float32)
    for topk in (4, 10):
        gaussians = random_gaussians(args, rng, topk)
        for label, loss in (("L2", LossWeights(l2=1.0)), ("L1 + 0.1 SSIM", LossWeights(l1=1.0, ssim=0.1))):
            grid = Grid(args.size, args.size, False, topk)
            optimizer = Optimizer(
                grid, args.planes, False, {"mean": 0.1, "scale": 0.01, "rotation": 0.01, "bias": 0.01, "feature": 0.005}
            )
            optimizer.add(gaussians.mean, 0.6 * args.size / args.gaussians**0.5, gaussians.feature, 0)
            device = Cpu(target, grid)

            def step(device=device, optimizer=optimizer, loss=loss) -> None:
                optimizer.step(device.gradient(optimizer.splats(), loss)[1], 1.0)

            show(f"step, K = {topk}, {label}", step, args.steps)
        show(f"decode all planes, K = {topk}", lambda g=gaussians: decode.planes(g), args.steps)
        data = stream.write(gaussians, (), PRESETS["balanced"].bits)
        show(f"read {len(data):,} bytes, K = {topk}", lambda d=data: stream.read(d), args.steps)
        show(f"build tables, K = {topk}", lambda g=gaussians: tables.build(g), args.steps)
    print(f"peak resident memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def random_gaussians(args: argparse.Namespace, rng: np.random.Generator, topk: int) -> Gaussians:
    count = args.gaussians
    scale = 0.6 * args.size / count**0.5 * np.exp(rng.normal(0, 0.4, (count, 2)))
    return Gaussians(
        rng.random((count, 2), np.float32), scale.astype(np.float32), rng.uniform(0, np.pi, count).astype(np.float32),
        rng.random((count, args.planes), np.float32), np.zeros(count, np.float32), np.zeros(count, np.uint8),
        args.size, args.size, False, topk,
    )  # fmt: skip


def show(label: str, work: Callable[[], object], times: int) -> None:
    work()
    wall, cpu = [], []
    for _ in range(times):
        start = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
    print(f"{label:32} {statistics.median(wall):7.3f} s   {statistics.median(cpu):7.3f} CPU-s", flush=True)


if __name__ == "__main__":
    main()
