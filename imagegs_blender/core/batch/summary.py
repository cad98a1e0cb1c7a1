"""What a journal says, for people: a table of its files and a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..errors import ImageGSError
from . import journal
from .journal import STATUSES, Entry

_HEAD = ("file", "status", "bytes before", "bytes after", "PSNR", "seconds", "reason")
_ALIGNMENT = "<<>>>><"


def entries(folder: Path) -> list[Entry]:
    """The last line about each file of a folder's journals, by name. Raises ImageGSError where there is no journal."""
    if not folder.is_dir():
        raise ImageGSError(f"{folder}: folder not found; name the --output of a batch")
    found = journal.read(folder)
    if not found:
        raise ImageGSError(f"{folder}: no journal of a batch; name the --output of one")
    return [found[key] for key in sorted(found)]


def totals(of: Iterable[Entry]) -> dict[str, Any]:
    """How many files ended how, and what those that were converted had and have."""
    of = list(of)
    counts = Counter(entry["status"] for entry in of)
    done = [entry for entry in of if entry["status"] == "done" and entry["bytes_before"]]
    return {
        "files": len(of),
        "statuses": {status: counts[status] for status in STATUSES if counts[status]},
        "bytes_before": sum(entry["bytes_before"] for entry in done),
        "bytes_after": sum(entry["bytes_after"] for entry in done),
        "seconds": round(sum(entry["seconds"] for entry in of), 3),
    }


def table(of: Sequence[Entry]) -> list[str]:
    """A line for each file, below a head."""
    rows = [_HEAD, *map(_cells, of)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return ["  ".join(map(_align, row, widths, _ALIGNMENT)).rstrip() for row in rows]


def _align(cell: str, width: int, side: str) -> str:
    return f"{cell:{side}{width}}"


def lines(known: dict[str, Any]) -> list[str]:
    """totals() in words."""
    statuses = ", ".join(f"{count} {status}" for status, count in known["statuses"].items())
    text = [f"{known['files']} files: {statuses}"]
    if known["bytes_after"]:
        before, after = known["bytes_before"], known["bytes_after"]
        text.append(f"done: {after:,} bytes, were {before:,} with textures packed ({before / after:.1f} times smaller)")
    return text


def _cells(entry: Entry) -> tuple[str, ...]:
    before, after, psnr = (entry[key] for key in ("bytes_before", "bytes_after", "psnr"))
    return (
        entry["key"],
        entry["status"],
        f"{before:,}" if before else "",
        f"{after:,}" if after else "",
        f"{psnr:.1f}" if psnr else "",
        f"{entry['seconds']:.1f}",
        entry["reason"] or "",
    )
