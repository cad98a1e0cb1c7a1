"""imagegs devices: what fits can run on here."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from ..devices import here
from . import common, console


def add_parser(commands: Any) -> None:
    """Add imagegs devices and its options."""
    p = common.command(commands, devices, "list what fits can run on here: the processor, graphics cards, CUDA")
    common.json_option(p)


def devices(args: argparse.Namespace) -> None:
    """imagegs devices: what fits can run on here."""
    found = here.look()
    if args.json:
        common.print_json(asdict(found))
    else:
        for line in found.lines:
            console.say(line)
