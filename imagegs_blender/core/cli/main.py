"""The command imagegs: fit, render, info, compare, devices. Each is a file of this room."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..errors import ImageGSError
from . import compare, devices, fit, info, render


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0, 1 after an error (one line on stderr), 130 after Ctrl-C; usage errors exit with 2."""
    args = parser().parse_args(argv)
    try:
        args.command(args)
    except ImageGSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except MemoryError:
        print("error: there is too little memory; close other programs, or ask for a smaller size", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(f"cancelled: {stop.args[0] if stop.args else 'nothing was written'}", file=sys.stderr)
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """All commands with all their options."""
    parser = argparse.ArgumentParser(
        prog="imagegs", description="Compress images and texture stacks to 2D Gaussians (Image-GS) and decode them."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (fit, render, info, compare, devices):
        command.add_parser(commands)
    return parser
