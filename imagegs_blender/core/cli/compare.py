"""imagegs compare: PSNR, SSIM and normal angle of one side against the other."""

from __future__ import annotations

import argparse
from typing import Any

from ..quality import metrics, perceptual
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
    (a, roles), (b, _) = common.side(args.a), common.side(args.b)
    if len(a) == len(b) == 1:
        b = dict(zip(a, b.values(), strict=True))
    perceptual.check(args.metrics or (), args.lpips_weights)
    report = metrics.compare(a, b, roles) | perceptual.compare(a, b, args.metrics or (), args.lpips_weights)
    (common.print_json if args.json else common.print_quality)(report)
