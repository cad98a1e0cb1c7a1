"""The command imagegs: fit, render, info, compare."""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import reduce
from pathlib import Path, PurePath
from typing import Any, TypeVar

import numpy as np

from . import codec, decode, files, images, metrics, stack, stream
from .errors import ImageGSError
from .settings import AMOUNTS, DEFAULT_BPP, PRESETS, FitSettings
from .stack import MAX_SIZE, Depth, MapInfo, Role

T = TypeVar("T")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0, 1 after an error (one line on stderr), 130 after Ctrl-C; usage errors exit with 2."""
    args = _parser().parse_args(argv)
    try:
        args.command(args)
    except ImageGSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cancelled: nothing was written", file=sys.stderr)
        return 130
    return 0


def fit(args: argparse.Namespace) -> None:
    """imagegs fit: image files -> .igs, and what came of it."""
    output = Path(args.output)
    if output.suffix.lower() != ".igs":
        raise ImageGSError(f"{output}: the output is a .igs file; name it so")
    settings = _settings(args)
    files.check_writable(output)
    maps = images.read_maps(args.input)
    textures = stack.build(maps, wrap=args.wrap)
    with _Progress(quiet=args.quiet) as progress:
        encoded = codec.encode(textures, settings, progress)
    decoded = decode.images(stream.read(encoded.data))
    originals = {m.name: m.pixels for m in maps}
    report = encoded.report | metrics.compare(originals, decoded, {m.name: m.role for m in maps})
    files.write(output, encoded.data)
    if args.json:
        return _print_json(report)
    print(
        f"{output}: {report['bytes']:,} bytes, {report['bpp']:.3f} bpp, {report['bppc']:.4f} bppc, "
        f"{report['num_gaussians']:,} Gaussians, {report['steps']:,} steps, {report['seconds']:.1f} s"
    )
    _print_quality(report)


def render(args: argparse.Namespace) -> None:
    """imagegs render: .igs -> one image file per map."""
    source = _parsed(args.file, stream.read)
    gaussians, maps = source.gaussians, source.maps
    factor = args.height / gaussians.height if args.height else args.scale
    if factor != 1:
        maps = tuple(replace(m, width=_scaled(m.width, factor), height=_scaled(m.height, factor)) for m in maps)
    output = Path(args.output)
    paths = _targets(output, maps)
    folder = None if paths == [output] else output
    files.check_writable(paths[0] if folder is None or folder.is_dir() else folder)
    planes = decode.planes(gaussians, _scaled(gaussians.width, factor), _scaled(gaussians.height, factor))
    pixels = stack.images(planes, maps, gaussians.wrap)
    savers = [images.writer(p, pixels[m.name], m.depth, m.channels) for p, m in zip(paths, maps, strict=True)]
    if folder:
        folder.mkdir(exist_ok=True)
    with ExitStack() as pending:
        for path, save in zip(paths, savers, strict=True):
            save(pending.enter_context(files.replacing(path)))
    for path, m in zip(paths, maps, strict=True):
        print(f"{path}: {m.width} x {m.height} {m.channels} {m.depth}")


def info(args: argparse.Namespace) -> None:
    """imagegs info: what a .igs holds."""
    facts = _parsed(args.file, stream.info)
    if args.json:
        return _print_json(facts)
    for key, value in facts.items():
        if isinstance(value, Sequence) and not isinstance(value, str):
            print(f"{key}:")
            for item in value:
                print("  " + (_listed(item) if isinstance(item, Mapping) else str(item)))
        else:
            print(f"{key}: {_listed(value) if isinstance(value, Mapping) else value}")


def compare(args: argparse.Namespace) -> None:
    """imagegs compare: PSNR, SSIM and normal angle of B against the original A."""
    (a, roles), (b, _) = _side(args.a), _side(args.b)
    if len(a) == len(b) == 1:
        b = dict(zip(a, b.values(), strict=True))
    report = metrics.compare(a, b, roles)
    (_print_json if args.json else _print_quality)(report)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="imagegs", description="Compress images and texture stacks to 2D Gaussians (Image-GS) and decode them."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    p = _command(commands, fit, "fit an image, or a folder of maps that share one texture space, and write a .igs file")
    p.add_argument("input", metavar="INPUT", help=f"image file, or folder of images: {' '.join(images.SUFFIXES)}")
    p.add_argument("-o", "--output", metavar="OUT.igs", required=True, help="file to write; its folder must exist")
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
    p.add_argument("--preset", choices=PRESETS, default="balanced", help="how to fit (default: %(default)s)")
    p.add_argument("--seed", type=int, metavar="N", help=f"seed of the random numbers ({_defaults('seed')})")
    p.add_argument(
        "--topk", type=int, metavar="K", help=f"Gaussians blended per texel, 1..16; 0: all ({_defaults('topk')})"
    )
    p.add_argument("--max-steps", type=int, metavar="N", help=f"optimizer steps at most ({_defaults('max_steps')})")
    p.add_argument("--wrap", action="store_true", help="the texture repeats: fit without a seam (default: it does not)")
    for option, (field, what) in _BITS.items():
        p.add_argument(option, type=int, metavar="BITS", help=f"bits of {what}, 4..16 ({_defaults('bits', field)})")
    p.add_argument("--quiet", action="store_true", help="no progress on stderr")
    _json_option(p)

    p = _command(commands, render, "decode a .igs file to one image per map: .png for integers, .exr for floats")
    p.add_argument("file", metavar="FILE.igs", help="file to decode")
    p.add_argument(
        "-o", "--output", metavar="DIR|FILE", required=True,
        help="folder for files named after the maps (made if its parent exists), or an image file for a single map",
    )  # fmt: skip
    size = p.add_mutually_exclusive_group()
    size.add_argument(
        "--height", type=_height, metavar="H",
        help="height of the largest map, texels; all other sizes follow (default: the original's)",
    )  # fmt: skip
    size.add_argument(
        "--scale", type=_scale, metavar="S", default=1.0,
        help="sizes as a multiple of the originals' (default: %(default)s)",
    )  # fmt: skip

    p = _command(commands, info, "say what a .igs file holds")
    p.add_argument("file", metavar="FILE.igs", help="file to describe")
    _json_option(p)

    p = _command(
        commands,
        compare,
        "measure B against the original A on 8-bit values: PSNR (dB), SSIM (0..1), angle between normals (degrees). "
        "Color under zero alpha in A is not compared: nobody sees it",
    )
    p.add_argument("a", metavar="A", help="the original: image file, folder of maps, or .igs file")
    p.add_argument("b", metavar="B", help="what to measure: likewise, with the same maps")
    _json_option(p)
    return parser


_BITS = {
    "--pos-bits": ("pos", "each coordinate of a mean; by size: a quarter of a texel or finer"),
    "--scale-bits": ("scale", "each scale"),
    "--rot-bits": ("rot", "a rotation"),
    "--feat-bits": ("feat", "each component of a feature"),
}


def _defaults(*path: str) -> str:
    """What a setting is in each preset, for --help."""
    found = {name: reduce(getattr, path, settings) for name, settings in PRESETS.items()}
    values = {name: "by size" if value is None else value for name, value in found.items()}
    if len(set(values.values())) == 1:
        return f"default: {values['balanced']}"
    return "default: " + ", ".join(f"{name} {value}" for name, value in values.items())


def _command(commands: Any, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
    p = commands.add_parser(run.__name__, help=text, description=text[0].upper() + text[1:] + ".")
    p.set_defaults(command=run)
    return p


def _json_option(p: argparse.ArgumentParser) -> None:
    p.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def _height(text: str) -> int:
    value = int(text)
    if not 1 <= value <= MAX_SIZE:
        raise argparse.ArgumentTypeError(f"{text}: need 1 to {MAX_SIZE} texels")
    return value


def _scale(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text}: need a number above 0")
    return value


def _settings(args: argparse.Namespace) -> FitSettings:
    """The preset with what the command line says otherwise."""
    given = {field: getattr(args, f"{field}_bits") for field, _ in _BITS.values()}
    bits = {field: value for field, value in given.items() if value is not None}
    options = {name: getattr(args, name) for name in (*AMOUNTS, "time_budget", "seed", "topk", "max_steps")}
    return FitSettings.preset(args.preset, **options, bits=replace(PRESETS[args.preset].bits, **bits))


class _Progress:
    """Shows codec.Progress on stderr: one line rewritten on a terminal, else a line every few seconds."""

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.tty = quiet, sys.stderr.isatty()
        self.seconds_between = 0.1 if self.tty else 5.0
        self.phase, self.shown = "", -math.inf

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self.tty and self.phase:
            print(file=sys.stderr)

    def __call__(self, p: codec.Progress) -> None:
        due = p.phase != self.phase or p.step == p.steps or time.monotonic() - self.shown >= self.seconds_between
        if self.quiet or not due:
            return
        self.phase, self.shown = p.phase, time.monotonic()
        quality = "" if p.psnr is None else f"  {p.psnr:.2f} dB"
        line = f"{p.phase}  {p.step}/{p.steps}{quality}  {p.seconds:.0f} s"
        print(f"\r{line:<70}" if self.tty else line, end="" if self.tty else "\n", file=sys.stderr, flush=True)


def _parsed(path: str, parse: Callable[[bytes], T]) -> T:
    """parse(the bytes of the .igs file at path), with the path in every error."""
    try:
        return parse(Path(path).read_bytes())
    except OSError as error:
        raise ImageGSError(f"{path}: can't be read ({error.strerror}); name a .igs file") from error
    except ImageGSError as error:
        raise ImageGSError(f"{path}: {error}") from error


def _side(path: str) -> tuple[dict[str, np.ndarray], dict[str, Role]]:
    """Pixels and roles of the maps in a file, a folder or a .igs."""
    if path.lower().endswith(".igs"):
        source = _parsed(path, stream.read)
        return decode.images(source), {m.name: m.role for m in source.maps}
    maps = images.read_maps(path)
    return {m.name: m.pixels for m in maps}, {m.name: m.role for m in maps}


def _scaled(size: int, factor: float) -> int:
    scaled = max(1, round(size * factor))
    if scaled > MAX_SIZE:
        raise ImageGSError(f"{scaled} texels a side: the limit is {MAX_SIZE}; choose a smaller size")
    return scaled


def _targets(output: Path, maps: Sequence[MapInfo]) -> list[Path]:
    """The file of each map: `output` itself where it names an image, else one in the folder `output`."""
    if output.suffix.lower() in images.SUFFIXES and not output.is_dir():
        if len(maps) > 1:
            raise ImageGSError(f"{output}: there are {len(maps)} maps; name a folder")
        return [output]
    if output.is_file():
        raise ImageGSError(f"{output}: is a file; name a folder or an image file ({' '.join(images.SUFFIXES)})")
    paths: dict[str, Path] = {}
    for m in maps:
        suffix = ".png" if m.depth in (Depth.U8, Depth.U16) else ".exr"
        path = output / (_stem(m.name) + suffix)
        if paths.setdefault(path.name.lower(), path) is not path:
            raise ImageGSError(f"{m.name}: two maps would be written to {path}; rename one before it is fitted")
    return list(paths.values())


def _stem(name: str) -> str:
    """A map's name as a file's stem on every system: no folders, no image suffix, no character that Windows forbids."""
    stem = name[: -len(PurePath(name).suffix)] if PurePath(name).suffix.lower() in images.SUFFIXES else name
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", stem).strip(". ") or "map"


def _print_json(report: Mapping[str, object]) -> None:
    print(json.dumps(_plain(report), allow_nan=False))


def _plain(value: object) -> object:
    """value with NumPy numbers as Python's and infinity (identical maps) as null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print_quality(report: Mapping[str, Mapping[str, float]]) -> None:
    width = max(len(name) for name in report["psnr"])
    for name, decibels in report["psnr"].items():
        angle = report.get("normal_angle", {}).get(name)
        degrees = "" if angle is None else f"   normals {angle:.2f} degrees"
        print(f"{name:<{width}}   PSNR {decibels:6.2f} dB   SSIM {report['ssim'][name]:.4f}{degrees}")


def _listed(facts: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts.items())
