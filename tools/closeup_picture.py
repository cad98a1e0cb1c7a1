"""Picture of a magnified part of a texture: the original's texels with bilinear filtering, beside the Gaussians.

    python tools/closeup_picture.py FOLDER FILE.igs -o docs/images/closeup.jpg [--at 512 512] [--texels 24]

FOLDER holds the stack that FILE.igs was fitted to; its first color map is shown, 16 pixels to a texel.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from imagegs_blender.core.gaussians import CUTOFF, EPS, Gaussians
from imagegs_blender.core.igs import stream
from imagegs_blender.core.textures import image_files
from imagegs_blender.core.textures.texture_stack import Role

TIMES = 16
REACH = 64
"""Texels around the part within which Gaussians are looked for."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("stream", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--at", type=int, nargs=2, default=(512, 512), metavar=("X", "Y"))
    parser.add_argument("--texels", type=int, default=24)
    args = parser.parse_args()
    found = stream.read(args.stream.read_bytes())
    info = next(m for m in found.maps if m.role is Role.COLOR)
    path = next(path for path in image_files.find(args.folder) if path.stem == info.name)
    (x, y), side = args.at, args.texels
    with Image.open(path) as original:
        box = (x, y, x + side, y + side)
        left = original.convert("RGB").resize((side * TIMES,) * 2, Image.Resampling.BILINEAR, box)
    planes = decoded(found.gaussians, x, y, side)[..., [source.plane for source in info.sources[:3]]]
    right = np.rint(255 * np.clip(planes, 0, 1)).astype(np.uint8)
    Image.fromarray(np.concatenate([np.asarray(left), right], axis=1)).save(args.output, quality=92)


def decoded(gaussians: Gaussians, x: int, y: int, side: int) -> np.ndarray:
    """(side TIMES, side TIMES, C): the formula of core/gaussians.py, with K > 0, between the texels."""
    mean = gaussians.mean * (gaussians.width, gaussians.height)
    near = gaussians.take((np.abs(mean - (x + side / 2, y + side / 2)) < side / 2 + REACH).all(1))
    a, b, c = near.conic().T
    step = (np.arange(side * TIMES) + 0.5) / TIMES
    rows = []
    for row in y + step:
        dx = x + step[:, None] - near.mean[:, 0] * near.width
        dy = row - near.mean[:, 1] * near.height
        q = a * dx * dx + b * dx * dy + c * dy * dy + near.bias
        kth = np.partition(q, near.topk - 1, axis=1)[:, near.topk - 1 : near.topk]
        w = np.where(q <= np.minimum(kth, CUTOFF), np.exp(-np.minimum(q, CUTOFF)), 0)
        rows.append(w @ near.feature / (w.sum(1, keepdims=True) + EPS))
    return np.stack(rows)


if __name__ == "__main__":
    main()
