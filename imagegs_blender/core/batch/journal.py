"""The journal of a batch: a line of JSON in the output folder for each file that ended, written before its output appears.

An output is saved under a temporary name, then its line is written, then it gets its name. So a process that is killed at
any moment leaves no output without a line; and a line without its output still has the temporary file, which the next run
finds (see staging). A power cut costs the line that was being written.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .. import files, machine
from ..errors import ImageGSError

VERSION = 1
"""Of the lines. A program reads no others."""

Entry = dict[str, Any]
"""A line. docs/farm.md lists its keys; `key` is the output's name below the folder, with slashes."""

STATUSES = ("done", "nothing to do", "skipped", "failed", "crashed", "timed out")
ENDED_WELL = STATUSES[:2]

_NAME = re.compile(r"imagegs_journal(_\d+_of_\d+)?\.jsonl")


def name(shard: tuple[int, int] | None = None) -> str:
    """The file's name; each shard has its own."""
    return "imagegs_journal_{}_of_{}.jsonl".format(*shard) if shard else "imagegs_journal.jsonl"


def read(folder: Path) -> dict[str, Entry]:
    """The last line about each file, by key, of all journals of a folder. Raises ImageGSError where one can't be read."""
    lines: dict[str, Entry] = {}
    for path in sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name)):
        for entry in _entries(path):
            known = lines.get(entry["key"])
            if known is None or known["ended"] <= entry["ended"]:
                lines[entry["key"]] = entry
    return lines


class Journal:
    """The journal that a coordinator writes, alone. Raises ImageGSError where it can't be written, or another one does."""

    def __init__(self, folder: Path, shard: tuple[int, int] | None = None) -> None:
        self.path = folder / name(shard)
        files.check_writable(self.path)
        try:
            self._file = self.path.open("ab+", buffering=0)
        except OSError as error:
            raise ImageGSError(f"{self.path}: can't be written ({error.strerror}); choose another folder") from error
        if not machine.lock(self._file):
            self._file.close()
            raise ImageGSError(
                f"{folder}: another batch is at work in this folder; wait for it, or choose another folder"
            )
        self._drop_cut_line()
        files.sync_folder(folder)

    def write(self, entry: Entry) -> None:
        """Add a line, which is on the disk when this returns. Raises ImageGSError where it can't be written."""
        line = json.dumps({"journal": VERSION, **entry}).encode() + b"\n"
        try:
            if self._file.write(line) != len(line):
                raise OSError(0, "only a part was written")
            os.fsync(self._file.fileno())
        except OSError as error:
            raise ImageGSError(
                f"{self.path}: can't be written ({error.strerror or error}); free some space, then start the same command again"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def _drop_cut_line(self) -> None:
        """Take off what a power cut has left of a line."""
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            self._file.truncate(whole)


def _entries(path: Path) -> Iterable[Entry]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageGSError(f"{path}: can't be read ({error.strerror}); make it readable") from error
    for number, line in enumerate(
        data.split(b"\n")[:-1], 1
    ):  # behind the last line break is nothing, or a line cut short
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict) or "journal" not in entry:
            raise ImageGSError(f"{path}: line {number} is none of a journal; remove that line")
        if entry["journal"] != VERSION:
            raise ImageGSError(
                f"{path}: line {number} is of version {entry['journal']}, this program knows {VERSION}; "
                "use the program that wrote it, or choose another folder"
            )
        if not (
            isinstance(entry.get("key"), str)
            and entry.get("status") in STATUSES
            and isinstance(entry.get("ended"), str)
        ):
            raise ImageGSError(f"{path}: line {number} lacks its key, status or time; remove that line")
        yield entry
