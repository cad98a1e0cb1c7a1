"""imagegs info: the contents of a .igs file."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from ..igs import stream
from . import common, console


def add_parser(commands: Any) -> None:
    """Add imagegs info and its options."""
    p = common.command(commands, info, "say what a .igs file holds")
    p.add_argument("file", metavar="FILE.igs", help="file to describe")
    common.json_option(p)


def info(args: argparse.Namespace) -> None:
    """imagegs info: the contents of a .igs file."""
    facts = common.parsed(args.file, stream.info)
    if args.json:
        common.print_json(facts)
        return
    for key, value in facts.items():
        if isinstance(value, Sequence) and not isinstance(value, str):
            console.say(f"{key}:")
            for item in value:
                console.say("  " + (_listed(item) if isinstance(item, Mapping) else str(item)))
        else:
            console.say(f"{key}: {_listed(value) if isinstance(value, Mapping) else value}")


def _listed(facts: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts.items())
