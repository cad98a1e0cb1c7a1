"""Bytes that this version needs for the PSNR of another: two checkouts, the same pictures.

    git worktree add ../before COMMIT
    python benchmarks/equal_psnr.py ../before STACK_OR_IMAGE... [--bppc 0.04] [--preset balanced]

The other version fits at a rate in bits per pixel per channel. This one fits at as many bytes and at 0.85 of them; between the
two, PSNR is taken to be a straight line over the logarithm of the bytes. Prints, by picture, the bytes and PSNR of the other
version, those of this one, and the ratio of bytes at equal PSNR; and their mean.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from imagegs_blender.core.textures import image_files, texture_stack

ROOT = Path(__file__).resolve().parent.parent
LESS = 0.85


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="a checkout of the other version")
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--bppc", type=float, default=0.04, help="(%(default)s)")
    parser.add_argument("--preset", default="balanced", help="(%(default)s)")
    args = parser.parse_args()
    ratios = []
    for picture in args.pictures:
        stack = texture_stack.build(image_files.read_maps(picture))
        size = int(args.bppc * texture_stack.channel_count(stack.maps) * stack.texels / 8)
        before = fit(args.before.resolve(), picture, size, args.preset)
        same, less = (fit(ROOT, picture, int(before[0] * share), args.preset) for share in (1.0, LESS))
        slope = (same[1] - less[1]) / np.log(same[0] / less[0])
        ratio = float(same[0] * np.exp((before[1] - same[1]) / slope) / before[0])
        ratios.append(ratio)
        line = "  ".join(f"{size:7,} {psnr:.3f} dB" for size, psnr in (before, same, less))
        print(f"{picture.stem:28} {line}  {ratio:.3f}", flush=True)
    print(f"mean {np.mean(ratios):.3f}")


def fit(root: Path, picture: Path, size: int, preset: str) -> tuple[int, float]:
    """Bytes and PSNR of a fit by a checkout's own code."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "fit.igs")
        options = ["-o", out, "--max-bytes", size, "--preset", preset, "--device", "cpu"]
        command = [sys.executable, "-m", "imagegs_blender.core", "fit", picture.resolve(), *options]
        run = subprocess.run(
            [*map(str, command)], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True
        )
        if run.returncode:
            sys.exit(f"{picture}: {run.stderr}")
        told = subprocess.run(
            [sys.executable, "-m", "imagegs_blender.core", "compare", str(picture.resolve()), str(out)],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        return out.stat().st_size, float(re.findall(r"PSNR +([\d.]+)", told)[0])  # of all maps: it comes first


if __name__ == "__main__":
    main()
