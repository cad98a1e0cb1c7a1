"""What an artist gets: PSNR of the render over bytes of the whole .blend, ours beside JPEG, WebP and AVIF maps.

    python benchmarks/rendered.py STACK... --output build/benchmarks/rendered [--crop 512] [--preset balanced]
        [--bppc 0.02 0.05 0.1 0.3 0.6]

A wavy surface under a sun, a point light and a bright sky, Cycles; compared with its render by the original maps. "By render":
maps weighed by renders of another scene, as the option does (map_weights.py). Bytes are those of the scene without maps, saved
with compression, and of the maps: files as they are, or the stream and 3 KB for its decoder. Writes OUTPUT.tsv and OUTPUT.png.
Needs `pip install imagegs-blender[blender,bench]`.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import bpy
import map_weights
import matplotlib as mpl
import numpy as np
import peers

mpl.use("Agg")
from matplotlib import pyplot as plt

from imagegs_blender.core.decoding import decode
from imagegs_blender.core.encoding.encode import encode
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.core.textures import image_files, texture_stack

DECODER = 3000
CODECS = ("jpeg", "webp", "avif 4:4:4")
"""Those of peers.curves that come first."""

Point = tuple[str, str, int, float]
"""Codec, setting, bytes of the maps, PSNR of the render."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stacks", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, required=True, metavar="PATH", help="without suffix")
    parser.add_argument("--crop", type=int, default=512, help="texels of the middle that are used (%(default)s)")
    parser.add_argument("--preset", default="balanced", help="(%(default)s)")
    parser.add_argument("--bppc", type=float, nargs="+", default=[0.02, 0.05, 0.1, 0.3, 0.6], help="(%(default)s)")
    args = parser.parse_args()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    curves: dict[str, list[Point]] = {}
    with args.output.with_suffix(".tsv").open("w", newline="") as file:
        table = csv.writer(file, delimiter="\t")
        table.writerow(("input", "codec", "setting", "bytes", "rendered_psnr"))
        for path in args.stacks:
            for codec, setting, size, psnr in points(path, args):
                curves.setdefault(path.name, []).append((codec, setting, size, psnr))
                table.writerow((path.name, codec, setting, size, f"{psnr:.3f}"))
                file.flush()
            plot(curves, args.output.with_suffix(".png"))
    sys.stdout.flush()
    os._exit(0)  # bpy's destructors can wait forever


def points(path: Path, args: argparse.Namespace) -> Iterator[Point]:
    """All of a stack."""
    maps = [map_weights.cropped(m, args.crop) for m in image_files.read_maps(path)]
    weights = map_weights.table(maps)
    map_weights.build("waves")
    scene = _scene_size()
    original = {m.name: map_weights.eight(m.pixels) for m in maps}
    whole = map_weights.render(maps, original)

    def rendered(pixels: map_weights.Maps) -> float:
        return float(10 * np.log10(255**2 / np.mean((map_weights.render(maps, pixels) - whole) ** 2)))

    for codec, setting, size, pixels in takewhile(lambda found: found[0] in CODECS, peers.curves(original)):
        yield codec, setting, scene + size, rendered(pixels)
    stack = texture_stack.build([replace(m, pixels=original[m.name], depth=texture_stack.Depth.U8) for m in maps])
    settings = replace(FitSettings.preset(args.preset), bpp=None, device="cpu")
    for bppc in args.bppc:
        size = int(bppc * texture_stack.channel_count(stack.maps) * stack.texels / 8)
        for codec, chosen in (("ours", {}), ("ours, by render", weights)):
            fit = encode(stack, replace(settings, max_bytes=size, map_weights=chosen))
            yield codec, f"{bppc:g}", scene + DECODER + len(fit.data), rendered(decode.images(fit.stream))


def _scene_size() -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "scene.blend")
        bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=True, copy=True)
        return path.stat().st_size


def plot(curves: dict[str, list[Point]], path: Path) -> None:
    """A panel for each stack, a line for each codec."""
    figure, panels = plt.subplots(1, len(curves), figsize=(4.6 * len(curves), 3.8), layout="constrained", squeeze=False)
    for axes, (name, found) in zip(panels.flat, curves.items(), strict=True):
        for codec in dict.fromkeys(point[0] for point in found):
            line = sorted((size / 1024, psnr) for other, _, size, psnr in found if other == codec)
            ours = {"linewidth": 2.5, "color": "black" if codec == "ours" else "tab:red"}
            axes.plot(*np.transpose(line), marker="o", markersize=3, label=codec, **(ours if "ours" in codec else {}))
        axes.set(xscale="log", title=name)
        axes.grid(alpha=0.3, which="both")
    figure.supxlabel("KiB of the whole .blend")
    figure.supylabel("PSNR of the render, dB")
    panels.flat[0].legend(fontsize=7)
    figure.savefig(path, dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    main()
