"""imagegs batch-report: what the journal of a batch says, as a table or as JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..batch import summary
from ..batch.journal import ENDED_WELL
from ..errors import ImageGSError
from . import console

NAME = "batch-report"


def add_parser(commands: Any) -> None:
    """Add imagegs batch-report and its options."""
    text = "say what a batch of .blend files has done: a table from the journal in its output folder"
    p = commands.add_parser(NAME, help=text, description=text[0].upper() + text[1:] + ".")
    add_options(p)
    p.set_defaults(command=batch_report)


def add_options(p: argparse.ArgumentParser) -> None:
    """The options, which the batch's own command has as well."""
    p.add_argument("folder", metavar="FOLDER", help="the --output of the batch")
    p.add_argument("--problems", action="store_true", help="list only files that were not converted")
    p.add_argument("--check", action="store_true", help="exit code 1 where a file was not converted")
    p.add_argument("--json", action="store_true", help="print one JSON object: files, as in the journal, and a summary")


def batch_report(args: argparse.Namespace) -> None:
    """imagegs batch-report: what the journal of a batch says. Raises ImageGSError where there is none."""
    entries = summary.entries(Path(args.folder))
    listed = [entry for entry in entries if not args.problems or entry["status"] not in ENDED_WELL]
    totals = summary.totals(entries)
    if args.json:
        console.say(json.dumps({"files": listed, "summary": totals}))
    else:
        for line in [*summary.table(listed), *summary.lines(totals)]:
            console.say(line)
    failed = sum(entry["status"] not in ENDED_WELL for entry in entries)
    if args.check and failed:
        raise ImageGSError(f"{args.folder}: {failed} of {len(entries)} files were not converted; the table names them")
