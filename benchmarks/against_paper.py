"""Bits for equal PSNR: ours beside our own preset "paper" (Image-GS), counted as Image-GS counts.

    python benchmarks/against_paper.py FOLDER_OR_IMAGE... --output build/benchmarks/paper.tsv [--side 512] [--steps 3000]
        [--density 400 200 100] [--preset balanced]

Image-GS counts 16 bits per number: 80 + 16 C per Gaussian of C channels (128 for RGB). For every input and density (texels per
Gaussian) the preset "paper" is fitted unrounded, then ours at 0.4 of those bits, in real bytes of the .igs file. The bits at
which ours has the same PSNR are read off the line through its points. --side makes the longer side that long first (area
averages). Writes a TSV and prints the mean ratio. PSNR is on 8-bit values, over all channels.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from imagegs_blender.core.decoding import decode
from imagegs_blender.core.encoding import encode
from imagegs_blender.core.fitting.fit import fit
from imagegs_blender.core.quality import metrics
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.core.textures import image_files, texture_stack
from imagegs_blender.core.textures.texture_stack import Depth, SourceMap, TextureStack

SHARE = 0.4
COLUMNS = ("input", "gaussians", "paper_bits", "paper_psnr", "paper_steps", "our_bits", "our_psnr", "ratio")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--side", type=int, help="texels of the longer side; default: as it is")
    parser.add_argument("--steps", type=int, default=3000, help="of the preset paper, if it does not stall earlier")
    parser.add_argument("--density", type=float, nargs="+", default=[400, 200, 100], help="texels per Gaussian")
    parser.add_argument("--preset", default="balanced", help="ours")
    args = parser.parse_args()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    ratios: list[float] = []
    with args.output.open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, delimiter="\t")
        table.writeheader()
        for path in args.inputs:
            rows = points(path, args)
            table.writerows(rows)
            file.flush()
            ratios += [row["ratio"] for row in rows]
            print(f"{path.stem}: " + "  ".join(f"{r['paper_psnr']:.2f} dB x{r['ratio']:.2f}" for r in rows), flush=True)
    print(f"mean of {len(ratios)}: {np.mean(ratios):.3f} of the bits; worst {max(ratios):.3f}")


def points(path: Path, args: argparse.Namespace) -> list[dict]:
    """Rows of the table for one input."""
    maps = [sized(m, args.side) for m in image_files.read_maps(path)]
    textures = texture_stack.build(maps)
    channels, texels = textures.channel_count, textures.width * textures.height
    rows = []
    for density in args.density:
        count = round(texels / density)
        bits = count * (80 + 16 * channels)
        gaussians, steps = fit(
            textures, FitSettings.preset("paper", num_gaussians=count, max_steps=args.steps, device="cpu"), count
        )
        encoded = encode.encode(
            textures, FitSettings.preset(args.preset, max_bytes=int(SHARE * bits / 8), device="cpu")
        )
        rows.append({
            "input": path.stem, "gaussians": count, "paper_bits": bits, "paper_psnr": psnr(textures, maps, gaussians),
            "paper_steps": steps, "our_bits": 8 * len(encoded.data), "our_psnr": encoded.report.psnr["overall"],
        })  # fmt: skip
    for row in rows:
        row["ratio"] = equal(row["paper_psnr"], [(r["our_psnr"], r["our_bits"]) for r in rows]) / row["paper_bits"]
    return rows


def sized(m: SourceMap, side: int | None) -> SourceMap:
    """The map as 8-bit values, its longer side `side` texels."""
    pixels = metrics.to_bytes(m.pixels, m.pixels)
    channels = m.channels
    if channels == "LA":
        pixels, channels = np.ascontiguousarray(pixels[..., :1]), "L"
    height, width = pixels.shape[:2]
    if side and side < max(width, height):
        size = round(width * side / max(width, height)), round(height * side / max(width, height))
        planes = [
            np.asarray(Image.fromarray(pixels[..., c]).resize(size, Image.Resampling.BOX))
            for c in range(pixels.shape[2])
        ]
        pixels = np.stack(planes, 2)
    return replace(m, depth=Depth.U8, pixels=pixels, channels=channels)


def psnr(textures: TextureStack, maps: list[SourceMap], gaussians: object) -> float:
    """Of the unrounded Gaussians' picture."""
    decoded = texture_stack.images(decode.planes(gaussians), textures.maps, textures.wrap)
    return metrics.compare({m.name: m.pixels for m in maps}, decoded, {m.name: m.role for m in maps})["psnr"]["overall"]


def equal(wanted: float, curve: list[tuple[float, int]]) -> float:
    """Bits at which the curve of (PSNR, bits) reaches `wanted`: linear in log bits, its end pieces go on."""
    decibels, logs = np.array(sorted((p, np.log2(b)) for p, b in curve)).T
    k = int(np.clip(np.searchsorted(decibels, wanted), 1, len(decibels) - 1))
    slope = (logs[k] - logs[k - 1]) / (decibels[k] - decibels[k - 1])
    return float(2 ** (logs[k - 1] + slope * (wanted - decibels[k - 1])))


if __name__ == "__main__":
    main()
