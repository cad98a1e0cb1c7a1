"""The options of imagegs fit that say how to fit, under Image-GS's names, and their fields in FitSettings."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import reduce
from typing import Any

from ..settings import (
    AMOUNTS,
    DEFAULT_BPP,
    DEVICES,
    INIT_MODES,
    MAX_BITS,
    PRESETS,
    WEIGHINGS,
    FitSettings,
    QuantizeBits,
)


@dataclass(frozen=True)
class Option:
    """One command-line option.

    field    the field of FitSettings that it sets, or a dotted path for --help's defaults
    parse    text -> value; None: a switch, which sets the field to `switched`
    """

    flag: str
    field: str
    help: str
    parse: Callable[[str], Any] | None = None
    metavar: str | None = None
    choices: tuple[str, ...] | None = None
    switched: Any = True

    @property
    def key(self) -> str:
        """Its name in a configuration file and in the parsed arguments."""
        return self.flag.removeprefix("--").replace("-", "_")


GROUPS: dict[str, tuple[Option, ...]] = {
    "Gaussians": (
        Option("--topk", "topk", "Gaussians blended per texel, 1..16; 0: all", int, "K"),
        Option("--disable-topk-norm", "topk", "sum all Gaussians plainly instead of blending the nearest K", switched=0),
        Option("--init-mode", "init_mode", "where the first Gaussians go", str, choices=INIT_MODES),
        Option("--init-random-ratio", "init_random_ratio", "share of them that is placed anywhere", float, "R"),
        Option("--init-scale", "init_scale", "standard deviation of the first Gaussians, texels", float, "TEXELS"),
        Option("--smap-filter-size", "smap_filter_size", "texels that a saliency map is smoothed by", float, "TEXELS"),
        Option(
            "--importance-weight", "importance_weight",
            "with init-mode mask or saliency: how much more the loss counts what matters most than the rest; 1: alike",
            float, "W",
        ),
        Option("--disable-inverse-scale", "inverse_scale", "optimize the logarithm of scales, not 1 / scale", switched=False),
        Option("--disable-color-init", "color_init", "random colors at first, not the picture's", switched=False),
        Option("--gamma", "gamma", "fit and store texels raised to this power", float, "G"),
    ),
    "loss": (
        Option(
            "--weigh", "weigh", "how much maps count: alike, or as much as they matter in a lit render", str,
            choices=WEIGHINGS[:2],
        ),
        Option("--l1-loss-ratio", "l1", "share of the mean absolute error", float, "R"),
        Option("--l2-loss-ratio", "l2", "share of the mean squared error", float, "R"),
        Option("--ssim-loss-ratio", "ssim", "share of 1 - SSIM", float, "R"),
        Option(
            "--restore", "restore",
            "the picture is noisy or damaged by JPEG: fit with this loss (without a word: l2), and stop where what is left "
            "is the damage", str, choices=("l2", "l1"),
        ),
        Option("--noise-sigma", "noise_sigma", "with --restore: the damage's standard deviation, 8-bit steps", float, "S"),
    ),
    "steps": (
        Option("--max-steps", "max_steps", "optimizer steps at most", int, "N"),
        Option("--pos-lr", "pos_lr", "rate of means: texture coordinates in preset paper, else initial scales", float, "LR"),
        Option("--scale-lr", "scale_lr", "rate of scales: 1 / texels where inverse, else of their logarithm", float, "LR"),
        Option("--rot-lr", "rot_lr", "rate of rotations, radians", float, "LR"),
        Option("--feat-lr", "feat_lr", "rate of features", float, "LR"),
        Option("--bias-lr", "bias_lr", "rate of the bias, a log amplitude that Image-GS does not have; 0: none", float, "LR"),
        Option("--disable-lr-schedule", "lr_schedule", "constant rates, no early stop", switched=False),
        Option(
            "--check-decay-steps", "check_decay_steps",
            "steps without gain after which rates fall, and then the fit ends; 0: rates fall over the last steps", int, "N",
        ),
        Option("--decay-ratio", "decay_ratio", "what rates are then divided by", float, "R"),
        Option("--max-decay-times", "max_decay_times", "how often they fall before the fit ends", int, "N"),
        Option("--decay-threshold", "decay_threshold", "a gain: so much SSIM and 100 times as many dB", float, "T"),
        Option("--disable-prog-optim", "initial_ratio", "place all Gaussians at the start", switched=1.0),
        Option("--initial-ratio", "initial_ratio", "share of the Gaussians placed at the start", float, "R"),
        Option("--add-times", "add_times", "in how many additions the others come, where the error is", int, "N"),
        Option("--add-steps", "add_steps", "steps between additions", int, "N"),
        Option("--post-min-steps", "post_min_steps", "steps after the last addition, where --add-steps is set", int, "N"),
        Option("--disable-tiles", "tiles", "every texel sees every Gaussian: slow, for small pictures", switched=False),
        Option("--seed", "seed", "seed of the random numbers", int, "N"),
        Option("--device", "device", "where to fit", str, choices=DEVICES),
        Option("--adapter", "adapter", "part of the name of the graphics card to fit on", str, "NAME"),
    ),
    "bits": (
        Option("--quantize", "quantize", "round in every step of the fit, gradients pass straight through"),
        Option("--pos-bits", "bits.pos", "of each coordinate of a mean; by size: a quarter of a texel or finer", int, "BITS"),
        Option("--scale-bits", "bits.scale", "of each scale", int, "BITS"),
        Option("--rot-bits", "bits.rot", "of a rotation", int, "BITS"),
        Option("--feat-bits", "bits.feat", "of each component of a feature", int, "BITS"),
    ),
}  # fmt: skip
_ABOUT = {
    "bits": f"4..{MAX_BITS} per number; above 16 they are stored plainly, 32 is float32; with --quantize 16 if not given",
    "steps": "see docs/image-gs.md",
}


def add(p: argparse.ArgumentParser) -> None:
    """The options of GROUPS, and the amounts and the preset, all None where they are not given."""
    size = p.add_mutually_exclusive_group()
    size.add_argument("--num-gaussians", type=int, metavar="N", help="number of Gaussians; not with the next three")
    size.add_argument(
        "--bpp", type=float, metavar="B",
        help="bits per pixel, 8 x file bytes / (width x height of the largest map) "
        f"(default: {DEFAULT_BPP} if no amount is given)",
    )  # fmt: skip
    p.add_argument("--max-bytes", type=int, metavar="BYTES", help="size that the file never exceeds")
    p.add_argument(
        "--target-psnr", type=float, metavar="DB",
        help="the smallest file of this PSNR over all channels, in dB; with --bpp or --max-bytes: as near as they allow",
    )  # fmt: skip
    p.add_argument("--time-budget", type=float, metavar="SECONDS", help="end in time, with what is reached by then")
    p.add_argument(
        "--map-weight", type=_weight, action="append", metavar="NAME=W",
        help="how much a map's squared error counts; once for each map that doesn't count 1",
    )  # fmt: skip
    p.add_argument("--preset", choices=PRESETS, help="how to fit (default: balanced; with --config: paper)")
    for title, group in GROUPS.items():
        section = p.add_argument_group(title, _ABOUT.get(title))
        for option in group:
            if option.parse is None:
                section.add_argument(option.flag, action="store_true", default=None, help=option.help)
                continue
            about: dict[str, Any] = {"type": option.parse, "metavar": option.metavar, "choices": option.choices}
            if option.field == "restore":
                about |= {"nargs": "?", "const": "l2"}
            section.add_argument(option.flag, **about, help=f"{option.help} ({_defaults(option.field)})")


def settings(args: argparse.Namespace) -> FitSettings:
    """The preset, changed by the command line and the configuration."""
    name = args.preset or ("paper" if args.config else "balanced")
    changed: dict[str, Any] = {}
    bits: dict[str, int] = dict.fromkeys((f.name for f in fields(QuantizeBits)), 16) if args.quantize else {}
    for option in (option for group in GROUPS.values() for option in group):
        value = getattr(args, option.key)
        if value is None or value is False:
            continue
        if option.parse is None:
            value = option.switched
        if option.field.startswith("bits."):
            bits[option.field.removeprefix("bits.")] = value
        else:
            changed[option.field] = value
    for amount in (*AMOUNTS, "time_budget"):
        changed[amount] = getattr(args, amount)
    changed["map_weights"] = dict(args.map_weight or [])
    return FitSettings.preset(name, **changed, bits=replace(PRESETS[name].bits, **bits))


def _weight(text: str) -> tuple[str, float]:
    """NAME=W as (name, weight)."""
    name, _, weight = text.rpartition("=")
    try:
        return name, float(weight)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: write a map's name, = and a number, as in normal=0.5") from None


def _defaults(path: str) -> str:
    """A setting's value in each preset, for --help."""
    found = {name: reduce(getattr, path.split("."), settings) for name, settings in PRESETS.items()}
    values = {name: _NONE.get(path, "none") if value is None else value for name, value in found.items()}
    if len(set(values.values())) == 1:
        return f"default: {values['balanced']}"
    return "default: " + ", ".join(f"{name} {value}" for name, value in values.items())


_NONE = {
    "bits.pos": "by size",
    "bits.feat": "by error",
    "init_scale": "by density",
    "add_steps": "even",
    "noise_sigma": "estimated",
    "restore": "no",
}
"""The meaning of a setting that is not set."""
