"""Picture of the levels of detail: the decoder at LOD 0, 1, 2 ... above the true mip levels of the original.

    python tools/lod_picture.py FOLDER FILE.igs -o docs/images/lod.jpg

FOLDER holds the stack that FILE.igs was fitted to (imagegs fit FOLDER -o FILE.igs); its first color map is shown, a
quarter of its side, and the PSNR of all maps is printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from imagegs_blender.core.decoding import lod, tables
from imagegs_blender.core.igs import stream
from imagegs_blender.core.textures import image_files, resample, texture_stack
from imagegs_blender.core.textures.texture_stack import Role

LEVELS = (0, 1, 2, 3, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("stream", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    found = stream.read(args.stream.read_bytes())
    gaussians = found.gaussians
    original = texture_stack.build(image_files.read_maps(args.folder), gaussians.wrap).planes
    tail = tables.build(gaussians, found.maps).tail
    color = next(m for m in found.maps if m.role is Role.COLOR)
    shown = [source.plane for source in color.sources[:3]]
    rows: list[list[np.ndarray]] = [[], []]
    print(f"texels from LOD {tail.first} on")
    for level in LEVELS:
        width, height = max(1, gaussians.width >> level), max(1, gaussians.height >> level)
        true = np.stack([resample.resize(plane, width, height, gaussians.wrap) for plane in original])
        ours = lod.planes(gaussians, tail, level, width, height)
        error = np.mean((np.rint(255 * ours) - np.rint(255 * true)) ** 2)
        print(f"LOD {level}: {10 * np.log10(255**2 / error):.1f} dB against the true mip level, {width} x {height}")
        for row, planes in zip(rows, (ours, true), strict=True):
            row.append(_square(planes[shown], gaussians.width // 4))
    picture = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    Image.fromarray(picture).save(args.output, quality=92)


def _square(planes: np.ndarray, side: int) -> np.ndarray:
    """The upper left quarter (side x side texels of the full size) with square texels."""
    height, width = (max(1, n // 4) for n in planes.shape[1:])
    pixels = np.rint(255 * np.clip(planes[:, :height, :width], 0, 1)).astype(np.uint8)
    return np.asarray(Image.fromarray(np.moveaxis(pixels, 0, 2).copy()).resize((side, side), Image.Resampling.NEAREST))


if __name__ == "__main__":
    main()
