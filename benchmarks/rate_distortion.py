"""Bytes against PSNR: ours beside JPEG, WebP, AVIF, ASTC and BC7 on the same maps, in one run.

    python benchmarks/rate_distortion.py FOLDER_OR_IMAGE... --output build/benchmarks/rd [--presets balanced]
        [--bppc 0.01 0.02 0.05 0.1] [--no-peers]

Writes OUTPUT.tsv (a line per point: input, codec, setting, bytes, bpp, bppc, PSNR over all texels of all channels on 8-bit
values, wall and CPU seconds) and OUTPUT.png, a panel per input. --plot TSV... only draws points of earlier runs. Maps deeper
than 8 bits are converted to 8 bits first, for all alike. Needs `pip install imagegs-blender[bench]`.
"""

from __future__ import annotations

import argparse
import csv
import time
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

if __package__:
    from . import peers
else:
    import peers

from imagegs_blender.core.decoding import decode
from imagegs_blender.core.encoding import encode
from imagegs_blender.core.igs import stream
from imagegs_blender.core.quality import metrics
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.core.textures import image_files, texture_stack
from imagegs_blender.core.textures.texture_stack import Depth, SourceMap

COLUMNS = ("input", "codec", "setting", "bytes", "bpp", "bppc", "psnr", "gaussians", "seconds", "cpu_seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="*", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="where the .tsv and the plots go, without suffix")
    parser.add_argument("--presets", nargs="*", default=["balanced"])
    parser.add_argument("--bppc", nargs="+", type=float, default=[0.01, 0.02, 0.04, 0.08])
    parser.add_argument("--max-steps", type=int, help="instead of the preset's")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--plot", nargs="+", type=Path, metavar="TSV")
    args = parser.parse_args()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    if args.plot:
        plot([row for path in args.plot for row in read(path)], args.output.with_suffix(".png"))
        return
    rows = []
    with args.output.with_suffix(".tsv").open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, delimiter="\t")
        table.writeheader()
        for path in args.inputs:
            for row in points(path, args):
                table.writerow(row)
                file.flush()
                rows.append(row)
                print("\t".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()), flush=True)
    plot(rows, args.output.with_suffix(".png"))


def points(path: Path, args: argparse.Namespace):
    """Rows of the table for one input."""
    maps = [eight_bits(m) for m in image_files.read_maps(path)]
    pixels = {m.name: m.pixels for m in maps}
    roles = {m.name: m.role for m in maps}
    texels = max(m.pixels.shape[0] * m.pixels.shape[1] for m in maps)
    channels = sum(len(m.channels) for m in maps)

    def row(name: str, setting: str, size: int, decoded: peers.Maps, count: int, wall: float, cpu: float) -> dict:
        psnr = metrics.compare(pixels, decoded, roles)["psnr"]["overall"]
        bpp = 8 * size / texels
        values = (path.stem, name, setting, size, bpp, bpp / channels, psnr, count, wall, cpu)
        return dict(zip(COLUMNS, values, strict=True))

    if not args.no_peers:
        for name, setting, size, decoded in peers.curves(pixels):
            yield row(name, setting, size, decoded, 0, 0.0, 0.0)
    textures = texture_stack.build(maps)
    for preset in args.presets:
        for bppc in args.bppc:
            start = time.perf_counter(), time.process_time()
            encoded = encode.encode(textures, FitSettings.preset(preset, bpp=bppc * channels, max_steps=args.max_steps))
            wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
            decoded = decode.images(stream.read(encoded.data))
            yield row(
                f"ours {preset}",
                f"{bppc:g} bppc",
                len(encoded.data),
                decoded,
                encoded.report.num_gaussians,
                wall,
                cpu,
            )


def eight_bits(m: SourceMap) -> SourceMap:
    """The map as 8-bit values, which every codec here takes; gray with alpha becomes gray."""
    pixels = metrics.to_bytes(m.pixels, m.pixels)
    if m.channels == "LA":
        return replace(m, depth=Depth.U8, pixels=np.ascontiguousarray(pixels[..., :1]), channels="L")
    return replace(m, depth=Depth.U8, pixels=pixels)


def read(path: Path) -> list[dict]:
    """Rows of a table written earlier."""
    with path.open(newline="") as file:
        return [
            {**row, "bppc": float(row["bppc"]), "psnr": float(row["psnr"])}
            for row in csv.DictReader(file, delimiter="\t")
        ]


def plot(rows: list[dict], path: Path) -> None:
    """PSNR over bits per pixel per channel, a panel per input, a line per codec."""
    inputs = list(dict.fromkeys(row["input"] for row in rows))
    columns = min(len(inputs), 3)
    lines = -(-len(inputs) // columns)
    size = (4.6 * columns, 3.6 * lines)
    figure, panels = plt.subplots(lines, columns, figsize=size, layout="constrained", squeeze=False)
    for axes in panels.flat[len(inputs) :]:
        axes.axis("off")
    for axes, name in zip(panels.flat, inputs, strict=False):
        here = [row for row in rows if row["input"] == name]
        for codec_name in dict.fromkeys(row["codec"] for row in here):
            line = sorted((row["bppc"], row["psnr"]) for row in here if row["codec"] == codec_name)
            bold = {"linewidth": 2.5} if codec_name.startswith("ours") else {"linewidth": 1.2}
            color = {"ours balanced": "black", "ours fast": "grey"}.get(codec_name)
            axes.plot(*np.transpose(line), marker="o", markersize=3, label=codec_name, color=color, **bold)
        axes.set(xscale="log", title=name)
        axes.grid(alpha=0.3, which="both")
    figure.supxlabel("bits per pixel per channel")
    figure.supylabel("PSNR over all channels, dB")
    panels.flat[0].legend(fontsize=7)
    figure.savefig(path, dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    main()
