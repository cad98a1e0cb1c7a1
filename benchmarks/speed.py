"""Wall seconds, CPU seconds and peak memory of steps, decoding and whole fits.

    python benchmarks/speed.py [--size 2048] [--planes 9] [--gaussians 30000] [--times 10] [--topk 4 10]
    python benchmarks/speed.py --fit STACK --num-gaussians 10000 [--presets fast balanced] [--longer 10]

The first form: random texels, Gaussians of the size that a fit of that density has (0.6 texel spacings), the median of
`times` runs. The second fits a folder of maps or an image; --longer 10 fits it once more with ten times the steps, to see
what the preset leaves behind. Run it on an idle machine; CPU seconds depend less on what else is running.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from imagegs_blender.core.decoding import decode, tables
from imagegs_blender.core.devices.cpu.device import Cpu
from imagegs_blender.core.devices.optimizer import Optimizer
from imagegs_blender.core.devices.types import ALL_ROWS, Grid, LossWeights, Rows, Step
from imagegs_blender.core.encoding import encode
from imagegs_blender.core.gaussians import Gaussians
from imagegs_blender.core.igs import stream
from imagegs_blender.core.settings import PRESETS, FitSettings
from imagegs_blender.core.textures import image_files, texture_stack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("size", 2048), ("planes", 9), ("gaussians", 30_000), ("times", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--topk", type=int, nargs="+", default=[4, 10])
    parser.add_argument("--fit", type=Path, metavar="STACK", help="fit this instead")
    parser.add_argument("--num-gaussians", type=int, default=10_000)
    parser.add_argument("--presets", nargs="+", default=["balanced"])
    parser.add_argument("--longer", type=int, default=0, metavar="TIMES")
    args = parser.parse_args()
    if args.fit:
        fits(args)
    else:
        operations(args)
    print(f"peak resident memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def fits(args: argparse.Namespace) -> None:
    """Whole fits: load, fit, quantize, write, measure."""
    textures = texture_stack.build(image_files.read_maps(args.fit))
    wanted = [
        (preset, PRESETS[preset].max_steps * times) for preset in args.presets for times in (1, args.longer) if times
    ]
    for preset, steps in wanted:
        settings = FitSettings.preset(preset, num_gaussians=args.num_gaussians, max_steps=steps, device="cpu")
        start = time.perf_counter(), time.process_time()
        report = encode.encode(textures, settings).report
        wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
        size = f"{textures.width} x {textures.height} x {len(textures.planes)}"
        print(
            f"{args.fit.name} {size}  {preset}  {report.num_gaussians:,} Gaussians  {report.steps:,} steps  "
            f"{report.psnr['overall']:.2f} dB  {report.bytes:,} bytes  {wall:.1f} s  {cpu:.1f} CPU-s",
            flush=True,
        )


def operations(args: argparse.Namespace) -> None:
    """Steps, decoding, reading, tables."""
    rng = np.random.default_rng(0)
    target = rng.random((args.planes, args.size, args.size), np.float32)
    for topk in args.topk:
        gaussians = random_gaussians(args, rng, topk)
        for label, loss, rows in (
            ("L2", LossWeights(l2=1.0), ALL_ROWS),
            ("L2, every second row", LossWeights(l2=1.0), Rows(0, 2)),
            ("L1 + 0.1 SSIM", LossWeights(l1=1.0, ssim=0.1), ALL_ROWS),
        ):
            grid = Grid(args.size, args.size, False, topk)
            optimizer = Optimizer(
                grid, args.planes, False, {"mean": 0.1, "scale": 0.01, "rotation": 0.01, "bias": 0.01, "feature": 0.005}
            )
            optimizer.add(gaussians.mean, 0.6 * args.size / args.gaussians**0.5, gaussians.feature)
            device = Cpu(target, grid)

            def step(device=device, optimizer=optimizer, loss=loss, rows=rows) -> None:
                device.steps(optimizer, loss, [Step(1.0, rows)])

            show(f"step, K = {topk}, {label}", step, args.times)
        show(f"decode all planes, K = {topk}", lambda g=gaussians: decode.planes(g), args.times)
        data = stream.write(gaussians, (), PRESETS["balanced"].bits)
        show(f"read {len(data):,} bytes, K = {topk}", lambda d=data: stream.read(d), args.times)
        show(f"build tables, K = {topk}", lambda g=gaussians: tables.build(g), args.times)


def random_gaussians(args: argparse.Namespace, rng: np.random.Generator, topk: int) -> Gaussians:
    count = args.gaussians
    scale = 0.6 * args.size / count**0.5 * np.exp(rng.normal(0, 0.4, (count, 2)))
    return Gaussians(
        rng.random((count, 2), np.float32), scale.astype(np.float32), rng.uniform(0, np.pi, count).astype(np.float32),
        rng.random((count, args.planes), np.float32), np.zeros(count, np.float32),
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
    print(f"{label:40} {statistics.median(wall):7.3f} s   {statistics.median(cpu):7.3f} CPU-s", flush=True)


if __name__ == "__main__":
    main()
