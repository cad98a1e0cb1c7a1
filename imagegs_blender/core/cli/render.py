"""imagegs render: .igs -> one image file per map."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import files
from ..decoding import decode, renderer
from ..errors import ImageGSError
from ..igs import stream
from ..textures import image_files, texture_stack
from ..textures.texture_stack import LARGEST_SIDE, Depth, MapInfo
from . import common, console
from .common import scaled


def add_parser(commands: Any) -> None:
    """Add imagegs render and its options."""
    p = common.command(commands, render, "decode a .igs file to one image per map: .png for integers, .exr for floats")
    p.add_argument("file", metavar="FILE.igs", help="file to decode")
    p.add_argument(
        "-o", "--output", metavar="DIR|FILE", required=True,
        help="folder for files named after the maps (made if its parent exists), or an image file for a single map",
    )  # fmt: skip
    size = p.add_mutually_exclusive_group()
    size.add_argument(
        "--height", "--render-height", type=_height, metavar="H",
        help="height of the largest map, texels; all other sizes follow (default: the original's)",
    )  # fmt: skip
    size.add_argument(
        "--scale", type=_scale, metavar="S", default=1.0,
        help="sizes as a multiple of the originals' (default: %(default)s)",
    )  # fmt: skip
    p.add_argument(
        "--device", choices=renderer.PLACES, default="cpu",
        help="what decodes: the processor, or a graphics card (default: %(default)s)",
    )  # fmt: skip
    p.add_argument("--adapter", metavar="NAME", default="", help="part of the name of the graphics card")
    common.overwrite_option(p)


def render(args: argparse.Namespace) -> None:
    """imagegs render: .igs -> one image file per map."""
    source = common.parsed(args.file, stream.read)
    gaussians, maps = source.gaussians, source.maps
    factor = args.height / source.head.height if args.height else args.scale
    if factor != 1:
        maps = tuple(replace(m, width=scaled(m.width, factor), height=scaled(m.height, factor)) for m in maps)
    output = Path(args.output)
    paths = _targets(output, maps)
    folder = None if paths == [output] else output
    common.check_free(paths, args.overwrite)
    files.check_writable(paths[0] if folder is None or files.is_folder(folder) else folder)
    with renderer.on(args.device, args.adapter):
        planes = decode.planes(gaussians, scaled(gaussians.width, factor), scaled(gaussians.height, factor))
    pixels = texture_stack.images(planes, maps, gaussians.wrap)
    savers = [image_files.writer(p, pixels[m.name], m.depth, m.channels) for p, m in zip(paths, maps, strict=True)]
    if folder:
        folder.mkdir(exist_ok=True)
    with ExitStack() as pending:
        for path, save in zip(paths, savers, strict=True):
            save(pending.enter_context(files.replacing(path)))
    for path, m in zip(paths, maps, strict=True):
        console.say(f"{path}: {m.width} x {m.height} {m.channels} {m.depth}")


def _height(text: str) -> int:
    value = int(text)
    if not 1 <= value <= LARGEST_SIDE:
        raise argparse.ArgumentTypeError(f"{text}: need 1 to {LARGEST_SIDE} texels")
    return value


def _scale(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text}: need a number above 0")
    return value


def _targets(output: Path, maps: Sequence[MapInfo]) -> list[Path]:
    """The file of each map: `output` itself where it names an image, else one in the folder `output`."""
    if output.suffix.lower() in image_files.SUFFIXES and not files.is_folder(output):
        if len(maps) > 1:
            raise ImageGSError(f"{output}: there are {len(maps)} maps; name a folder")
        return [output]
    if files.is_file(output):
        raise ImageGSError(f"{output}: is a file; name a folder or an image file ({' '.join(image_files.SUFFIXES)})")
    paths: dict[str, Path] = {}
    for m in maps:
        suffix = ".png" if m.depth in (Depth.U8, Depth.U16) else ".exr"
        path = output / (common.stem(m.name) + suffix)
        if paths.setdefault(path.name.lower(), path) is not path:
            raise ImageGSError(f"{m.name}: two maps would be written to {path}; rename one before it is fitted")
    return list(paths.values())
