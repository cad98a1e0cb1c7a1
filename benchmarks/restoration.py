"""Joint compression and restoration: PSNR against the clean original, before and after imagegs fit --restore.

    python benchmarks/restoration.py IMAGE... [--size 192] [--max-steps 400]

Every image is cropped to SIZE x SIZE around its center, then damaged twice: white Gaussian noise of standard deviation 25
(8-bit steps, rounded and clipped), and a JPEG of quality 10 (Pillow's encoder). Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

from imagegs_blender.core.decoding import decode
from imagegs_blender.core.encoding import encode
from imagegs_blender.core.igs import stream
from imagegs_blender.core.quality import metrics
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.core.textures import image_files, texture_stack
from imagegs_blender.core.textures.texture_stack import ColorSpace, Depth, Role, SourceMap


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--max-steps", type=int, default=400)
    args = parser.parse_args()
    print("| image | damage | damaged | restored, L2 | restored, L1 | Gaussians | bytes |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for path in args.images:
        clean = cropped(path, args.size)
        for name, damaged in (("noise, sigma 25", noisy(clean)), ("JPEG, quality 10", jpeg(clean))):
            reached, reports = [], []
            for loss in ("l2", "l1"):
                settings = FitSettings.preset("balanced", bpp=3, restore=loss, max_steps=args.max_steps)
                encoded = encode.encode(texture_stack.build([named(damaged)]), settings)
                restored = decode.images(stream.read(encoded.data))["image"]
                reached.append(metrics.psnr(clean, restored))
                reports.append(encoded.report)
            print(
                f"| {path.stem} | {name} | {metrics.psnr(clean, damaged):.2f} | {reached[0]:.2f} | {reached[1]:.2f} "
                f"| {reports[0].num_gaussians:,} | {reports[0].bytes:,} |",
                flush=True,
            )


def cropped(path: Path, size: int) -> np.ndarray:
    """(size, size, 3) uint8."""
    pixels = image_files.read_map(path).pixels[..., :3]
    top, left = ((side - size) // 2 for side in pixels.shape[:2])
    return pixels[top : top + size, left : left + size].copy()


def noisy(clean: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 25, clean.shape)
    return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


def jpeg(clean: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(clean).save(buffer, "JPEG", quality=10)
    return np.asarray(Image.open(io.BytesIO(buffer.getvalue())))


def named(pixels: np.ndarray) -> SourceMap:
    return SourceMap("image", Role.COLOR, ColorSpace.SRGB, Depth.U8, "RGB", pixels)


if __name__ == "__main__":
    main()
