"""Shared by the commands: options, reading either side, printing."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .. import files
from ..decoding import decode
from ..errors import ImageGSError
from ..igs import stream
from ..quality import lpips, perceptual
from ..textures import image_files
from ..textures.texture_stack import LARGEST_SIDE, MapInfo, Role, SourceMap
from . import console

T = TypeVar("T")


def command(commands: Any, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
    """A parser for the command named as the function that runs it."""
    p = commands.add_parser(run.__name__, help=text, description=text[0].upper() + text[1:] + ".")
    p.set_defaults(command=run)
    return p


def json_option(p: argparse.ArgumentParser) -> None:
    """The option --json."""
    p.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def metrics_options(p: Any) -> None:
    """Options of the measures beside PSNR and SSIM."""
    p.add_argument("--metrics", nargs="+", choices=perceptual.METRICS, help="measure also, on color maps of 8 bits")
    p.add_argument(
        "--lpips-weights", metavar="FOLDER",
        help=f"for lpips: where {lpips.FILES[0]} (torchvision) and {lpips.FILES[1]} (LPIPS, version 0.1) are",
    )  # fmt: skip


def parsed(path: str, parse: Callable[[bytes], T]) -> T:
    """parse(the bytes of the .igs file at path), with the path in every error."""
    try:
        return parse(Path(path).read_bytes())
    except OSError as error:
        raise ImageGSError(f"{path}: can't be read ({error.strerror}); name a .igs file") from error
    except ImageGSError as error:
        raise ImageGSError(f"{path}: {error}") from error


class Side(NamedTuple):
    """Maps by the name that imagegs render gives their files: pixels as in SourceMap, letters of the channels, role."""

    pixels: dict[str, np.ndarray]
    channels: dict[str, str]
    roles: dict[str, Role]


def side(path: str) -> Side:
    """The maps in a file, a folder or a .igs."""
    maps: Sequence[MapInfo | SourceMap]
    if path.lower().endswith(".igs"):
        source = parsed(path, stream.read)
        maps, pixels = source.maps, decode.images(source)
    else:
        maps = image_files.read_maps(path)
        pixels = {m.name: m.pixels for m in maps}
    names = {m.name: stem(m.name) for m in maps}
    if len({name.lower() for name in names.values()}) < len(
        names
    ):  # not as files: nothing can be told from these names
        names = {name: name for name in names}
    return Side(
        {names[m.name]: pixels[m.name] for m in maps},
        {names[m.name]: m.channels for m in maps},
        {names[m.name]: m.role for m in maps},
    )


def stem(name: str) -> str:
    """A map's name as a file's, without the suffix that an image file's name may have left in it."""
    suffix = PurePath(name).suffix
    return files.file_name(name.removesuffix(suffix) if suffix.lower() in image_files.SUFFIXES else name)


def overwrite_option(p: argparse.ArgumentParser) -> None:
    """The option --overwrite."""
    p.add_argument("--overwrite", action="store_true", help="replace files that exist (default: an error)")


def check_free(paths: Sequence[Path], overwrite: bool) -> None:
    """Raise ImageGSError where files to write exist, and must not be overwritten."""
    there = [] if overwrite else [path for path in paths if files.exists(path)]
    if there:
        others = f" and {len(there) - 1} more" if len(there) > 1 else ""
        exist = "exist" if others else "exists"
        raise ImageGSError(f"{there[0]}{others}: {exist} already; choose another output, or add --overwrite")


def scaled(size: int, factor: float) -> int:
    """A side times a factor, at least 1 texel. Raises ImageGSError above LARGEST_SIDE."""
    result = size * factor
    if not result < LARGEST_SIDE + 0.5:
        raise ImageGSError(f"{result:.10g} texels a side: the limit is {LARGEST_SIDE}; choose a smaller size")
    return max(1, round(result))


def print_json(report: Mapping[str, object]) -> None:
    """One line of JSON on stdout; infinity, the PSNR of identical maps, is null."""
    console.say(json.dumps(_plain(report), allow_nan=False))


def _plain(value: object) -> object:
    """value with NumPy numbers as Python's and infinity (identical maps) as null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_quality(report: Mapping[str, Mapping[str, float]]) -> None:
    """A line for each map of a report: PSNR, SSIM, the angle of normals, and the measures that were asked for."""
    width = max(len(name) for name in report["psnr"])
    for name, decibels in report["psnr"].items():
        angle = report.get("normal_angle", {}).get(name)
        degrees = "" if angle is None else f"   normals {angle:.2f} degrees"
        others = "".join(f"   {m} {report[m][name]:.4f}" for m in perceptual.METRICS if name in report.get(m, {}))
        console.say(f"{name:<{width}}   PSNR {decibels:6.2f} dB   SSIM {report['ssim'][name]:.4f}{degrees}{others}")
