"""The command imagegs: fit, render, info, compare, devices, batch-report. Each is a file of this room."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..errors import ImageGSError
from . import batch_report, compare, console, devices, fit, info, render


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0, 1 after an error (one line on stderr), or a code of console; usage errors exit with 2."""
    try:
        with console.written(), console.interruptible():
            args = parser().parse_args(argv)
            args.command(args)
    except ImageGSError as error:
        return console.fail(f"error: {error}")
    except MemoryError:
        return console.fail("error: there is too little memory; close other programs, or ask for a smaller size")
    except KeyboardInterrupt as stop:
        return console.fail(f"cancelled: {stop.args[0] if stop.args else 'nothing was written'}", console.CANCELLED)
    except console.ReaderGone:
        return console.READER_GONE
    return 0


def parser() -> argparse.ArgumentParser:
    """All commands with all their options."""
    parser = argparse.ArgumentParser(
        prog="imagegs", description="Compress images and texture stacks to 2D Gaussians (Image-GS) and decode them."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (fit, render, info, compare, devices, batch_report):
        command.add_parser(commands)
    return parser
