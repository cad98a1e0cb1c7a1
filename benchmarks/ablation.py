"""What each part of Image-GS's recipe gains: the full preset "paper" beside itself without one part.

    python benchmarks/ablation.py IMAGE... [--size 384 256] [--num-gaussians 1000] [--max-steps 1500]

Every image is cropped to SIZE around its center. Prints a Markdown table of PSNR in dB of the decoded file, 8-bit values.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from imagegs_blender.core.encoding import encode
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.core.textures import image_files, texture_stack
from imagegs_blender.core.textures.texture_stack import SourceMap

VARIANTS: dict[str, dict] = {
    "full": {},
    "without inverse scale": {"inverse_scale": False},
    "without top-K normalization": {"topk": 0},
    "random initialization": {"init_mode": "random"},
    "without color initialization": {"color_init": False},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--size", nargs=2, type=int, default=(384, 256), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--num-gaussians", type=int, default=1000)
    parser.add_argument("--max-steps", type=int, default=1500)
    args = parser.parse_args()
    print("| image | " + " | ".join(VARIANTS) + " |")
    print("|---" * (1 + len(VARIANTS)) + "|", flush=True)
    for path in args.images:
        reached = [psnr(path, args, options) for options in VARIANTS.values()]
        print(f"| {path.stem} | " + " | ".join(f"{value:.2f}" for value in reached) + " |", flush=True)


def psnr(path: Path, args: argparse.Namespace, options: dict) -> float:
    """PSNR of one variant; the additions come at the same share of the steps as in the paper's 10,000."""
    spacing = max(1, args.max_steps // 10)
    settings = FitSettings.preset(
        "paper", num_gaussians=args.num_gaussians, max_steps=args.max_steps, add_steps=spacing, **options
    )
    return encode.encode(texture_stack.build([cropped(image_files.read_map(path), *args.size)]), settings).report.psnr[
        "psnr"
    ]["overall"]


def cropped(source: SourceMap, width: int, height: int) -> SourceMap:
    """The map's center."""
    top, left = (max(0, (have - want) // 2) for have, want in zip(source.pixels.shape, (height, width), strict=False))
    return replace(source, pixels=source.pixels[top : top + height, left : left + width].copy())


if __name__ == "__main__":
    main()
