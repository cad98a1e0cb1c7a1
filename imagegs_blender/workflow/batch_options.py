"""The options of a batch, and which of them decide what becomes of a file."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from ..blend import amount
from ..blend.properties import KINDS
from ..core.cli import console
from ..core.edition import COMPLETE
from ..core.settings import AMOUNTS, DEVICES, PRESETS, WEIGHINGS
from . import preset_file

DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(AMOUNTS),
    "time_budget": None, "preset": None, "seed": None, "weigh": None, "device": "auto", "adapter": "", "same_rate": False,
    "selected": False, "materials": None, "all_texels": False, "importance": None, "importance_attribute": None,
    "decoder": "auto", "drop_originals": False, "even_if_not_smaller": False, "self_contained": False, "upgrade": False,
    "without_libraries": False,
}  # fmt: skip
"""Those that decide it. Where one of them is another than in an earlier run, a file is converted again."""


class _Parser(argparse.ArgumentParser):
    """Takes options from a file, too, in lines of any number of words."""

    def convert_arg_line_to_args(self, arg_line: str) -> list[str]:
        return shlex.split(arg_line)


def parser(program: str) -> argparse.ArgumentParser:
    """All options."""
    parser = _Parser(
        prog=program,
        fromfile_prefix_chars="@",
        description="Compress the textures of .blend files into 2D Gaussians that a shader decodes. Each file is converted in a "
        "Blender of its own. The journal in the output folder says what is done: the same command again goes on from there.",
        epilog=f'Exit code: 0 if everything asked for was done, 1 if something was not, 2 for wrong usage. "{program} '
        'batch-report FOLDER" makes a table of a journal. @FILE: options in a file. docs/farm.md: many files, many machines.',
    )
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE.blend", help="files or globs; by default the file that is open in Blender")
    add("--output", "-o", metavar="FILE|FOLDER", help="where to save; an existing folder where there are several files")
    _add_rate(parser)
    _add_choice(parser)
    add("--report", metavar="FILE.json", help="write what was done, and what was not")
    add("--dry-run", action="store_true", help="say what would be compressed, and what not, and save nothing")
    add("--verbose", action="store_true", help="name each material and image that is left as it is")
    add("--quiet", action="store_true", help="print errors only")
    _add_many(parser.add_argument_group("many files"))
    return parser


def take_preset(options: argparse.Namespace) -> None:
    """Take what a preset of the panel says wherever no other option says it. Raises ImageGSError where it is none."""
    path = Path(options.preset_file)
    values, unknown = preset_file.read(path)
    if unknown:
        console.say(f"warning: {path}: made by another version: {', '.join(unknown)} left out", sys.stderr)
    if not any(getattr(options, name) for name in AMOUNTS):
        rate = values.get("rate", "SIZE")
        decisive = amount.DECISIVE.get(rate)
        if decisive in values:
            vars(options).update(amount.as_setting(rate, values[decisive]))
    options.preset = options.preset or values.get("preset")
    options.weigh = options.weigh or values.get("weigh", "alike").lower()
    options.seed = values.get("seed") if options.seed is None else options.seed
    options.even_if_not_smaller |= values.get("even_if_not_smaller", False)
    options.all_texels |= not values.get("ignore_unused", True)
    if values.get("importance") == "ATTRIBUTE" and not options.importance:
        options.importance_attribute = options.importance_attribute or values.get("importance_attribute")


def shard(text: str) -> tuple[int, int]:
    """3/10 as (3, 10)."""
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text}: write 3/10 for the third of ten machines")
    return int(number), int(count)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: choose a number above 0")
    return value


def _count(text: str) -> int:
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text}: choose a whole number above 0")
    return int(text)


def _add_rate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument("--bpp", type=float, help="bits per pixel of the largest map of a stack, all maps together")
    rate.add_argument(
        "--num-gaussians", type=int, metavar="N", help="Gaussians per stack; not with --bpp and the next two"
    )
    add("--max-bytes", type=int, metavar="BYTES", help="size that a stack's stream never exceeds")
    add(
        "--target-psnr",
        type=float,
        metavar="DB",
        help="the smallest streams of this PSNR, in dB, within the bytes allowed",
    )
    add(
        "--same-rate",
        action="store_true",
        help="leave out of account that materials have a size or quality of their own",
    )
    add("--time-budget", type=float, metavar="SECONDS", help="seconds per stack: ends in time, with what is reached")
    add("--preset", help=f"one of {', '.join(PRESETS)} (balanced)")
    add(
        "--preset-file",
        metavar="FILE.py",
        help="settings that the panel's Presets saved; other options come before them",
    )
    add(
        "--weigh",
        choices=WEIGHINGS,
        help="how much maps count: alike, by their use, by renders of each material, or by the scene's cameras (alike)",
    )
    add("--seed", type=int, help="the same seed gives the same bytes (0)")
    add("--device", default="auto", help=f"where to fit: {', '.join(DEVICES)} (%(default)s)")
    add("--adapter", default="", metavar="NAME", help="part of the name of the graphics card to fit on")


def _add_choice(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--selected", action="store_true", help="only the materials of the objects that are selected")
    which.add_argument("--materials", nargs="+", metavar="NAME", help="only these materials")
    add("--all-texels", action="store_true", help="count every texel, not only those that a mesh shows")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--importance", metavar="IMAGE", help="image of the file by name, or a path: more detail where it is white"
    )
    where.add_argument(
        "--importance-attribute", metavar="NAME", help="color attribute of the meshes: more detail where it is light"
    )
    add("--drop-originals", action="store_true", help="remove the original images from the saved file")
    add(
        "--even-if-not-smaller", action="store_true", help="compress textures, too, that would take no less of the file"
    )
    add(
        "--decoder",
        choices=("auto", *(kind.lower() for kind in KINDS)),
        default="auto",
        help="how they are decoded: auto suits each scene where it is opened; nodes, osl and baked stay (default: auto)",
    )
    add("--self-contained", action="store_true", help="pack the decode tables: renders without the add-on")
    add(
        "--upgrade",
        action="store_true",
        help="agree that files of an older Blender become files of this one (default: they are skipped)",
    )
    add(
        "--without-libraries",
        action="store_true",
        help="convert files, too, whose libraries are missing (default: an error)",
    )


def _add_many(group: Any) -> None:
    add = group.add_argument
    add(
        "--recursive",
        "-r",
        action="store_true",
        help="folders: every .blend below them, into the same tree in --output",
    )
    add("--jobs", "-j", type=_count, metavar="N", help="files at once (default: by cores and memory)")
    add("--timeout", type=_positive, default=3600.0, metavar="SECONDS", help="of a file, then it is given up (3600)")
    add(
        "--memory",
        type=_positive,
        metavar="GB",
        help="most memory of a Blender, and of a fit (Linux; default: no limit)",
    )
    add("--overwrite", action="store_true", help="replace files that exist and were not made by this batch")
    add("--retry", action="store_true", help="try again what failed, crashed or timed out in an earlier run")
    add("--force", action="store_true", help="convert again, too, what is done and unchanged")
    add("--no-fail", action="store_true", help="exit code 0 although files were not converted: the journal has them")
    add(
        "--shard", type=shard, metavar="I/N", help="the I-th of N parts, as 3/10, for N machines that share the folders"
    )
    add(
        "--progress",
        choices=("text", "json", "openjd"),
        default="text",
        help="for people; one JSON object a line; or the lines of Open Job Description (%(default)s)",
    )
    if COMPLETE:
        add("--scheduler", metavar="ADDRESS", help="convert on the workers of a Dask scheduler, as tcp://host:8786")
