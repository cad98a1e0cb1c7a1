"""imagegs compare: PSNR, SSIM and normal angle of one side against the other."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from ..quality import metrics, perceptual
from ..textures import image_files
from . import common


def add_parser(commands: Any) -> None:
    """Add imagegs compare and its options."""
    p = common.command(
        commands,
        compare,
        "measure B against the original A on 8-bit values: PSNR (dB), SSIM (0..1), angle between normals (degrees). "
        "Color under zero alpha in A is not compared: nobody sees it",
    )
    p.add_argument("a", metavar="A", help="the original: image file, folder of maps, or .igs file")
    p.add_argument("b", metavar="B", help="what to measure: likewise, with the same maps")
    common.metrics_options(p)
    common.json_option(p)


def compare(args: argparse.Namespace) -> None:
    """imagegs compare: PSNR, SSIM and normal angle of B against the original A."""
    original, measured = common.side(args.a), common.side(args.b)
    a, b, letters = original.pixels, measured.pixels, measured.channels
    if len(a) == len(b) == 1:
        b, letters = dict(zip(a, b.values(), strict=True)), dict(zip(a, letters.values(), strict=True))
    b = {name: _asked_for(pixels, letters[name], original.channels.get(name, "")) for name, pixels in b.items()}
    perceptual.check(args.metrics or (), args.lpips_weights)
    report = metrics.compare(a, b, original.roles) | perceptual.compare(a, b, args.metrics or (), args.lpips_weights)
    (common.print_json if args.json else common.print_quality)(report)


def _asked_for(pixels: np.ndarray, channels: str, original: str) -> np.ndarray:
    """Pixels without the black channels that image_files.as_image has put beside those of the original."""
    if original and original not in image_files.CHANNELS and set(original) < set(channels):
        added = [letter not in original for letter in channels]
        if not pixels[..., added].any():
            return pixels[..., [channels.index(letter) for letter in original]]
    return pixels
