"""The coordinator of a batch: says which files are still to be done, gives them away, and alone writes journal and outputs."""

from __future__ import annotations

import os
import queue
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import files, litter
from ..errors import ImageGSError
from . import blend_file, staging, stamp
from .blend_file import Version
from .child import Job, Result
from .engines import Engine
from .journal import ENDED_WELL, Entry, Journal, read
from .plan import Item

Tell = Callable[[Mapping[str, Any]], None]

_LOOK = 1.0
"""Seconds between two looks at whether Ctrl-C was pressed, on Windows."""

_RESERVE = 64 << 20
"""Bytes that stay free on a disk."""


@dataclass(frozen=True)
class Asked:
    """What a batch is to do.

    folder      of the journal; None: no journal, as for one output file
    options     of the conversion: what decides the result. Other options: another result
    job         what every Blender is told beside a file
    versions    of this package and of Blender, by name, for the journal; `blender` is what files are saved by
    shrinks     outputs will be far smaller than inputs: too little space for as many bytes is no error yet
    """

    folder: Path | None
    options: Mapping[str, Any]
    job: Job
    versions: Mapping[str, str]
    blender: Version
    shard: tuple[int, int] | None = None
    overwrite: bool = False
    retry: bool = False
    force: bool = False
    shrinks: bool = False


@dataclass
class _State:
    """journal: lines by key, of earlier runs and this one. ended: entries of this run's files, by key."""

    known: dict[str, Entry] = field(default_factory=dict)
    ended: dict[str, Entry] = field(default_factory=dict)
    made: list[Path] = field(default_factory=list)


def run(items: Sequence[Item], asked: Asked, engine: Engine, tell: Tell) -> list[Entry]:
    """Convert the files of a batch, and return an entry for each: of this run, or of an earlier one (`before`: true).

    tell    hears, as objects with `event`: start, file, progress, end
    Raises ImageGSError where the batch can't begin, or not go on; what is done is in the journal then.
    """
    with ExitStack() as stack:
        journal = None
        if asked.folder is not None:
            journal = stack.enter_context(Journal(asked.folder, asked.shard))
        stack.callback(engine.close)
        return _Batch(items, asked, engine, tell, journal).run()


class _Batch:
    def __init__(
        self, items: Sequence[Item], asked: Asked, engine: Engine, tell: Tell, journal: Journal | None
    ) -> None:
        self._items, self._asked, self._engine, self._tell, self._journal = items, asked, engine, tell, journal
        self._state = _State(read(asked.folder) if asked.folder else {})
        self._sources = {item.source.resolve(): item for item in items}
        self._messages: queue.SimpleQueue[tuple[Item, Mapping[str, Any] | None, Result | None]] = queue.SimpleQueue()

    def run(self) -> list[Entry]:
        self._recover()
        self._sweep()
        wanted = [item for item in self._items if self._why(item) is None]
        self._check_free(wanted)
        self._check_space(wanted)
        self._tell({"event": "start", "files": len(self._items), "to_do": len(wanted)})
        try:
            self._work()
        finally:
            self._engine.close()
            self._sweep()
            for folder in reversed(self._state.made):
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()
        return [self._state.ended[item.key] for item in self._items]

    def _work(self) -> None:
        waiting, busy = list(self._items), 0
        while waiting or busy:
            left = []
            for index, item in enumerate(waiting):
                if not self._engine.has_room(busy):
                    left += waiting[index:]
                    break
                if any(key not in self._state.ended for key in item.after):
                    left.append(item)
                else:
                    busy += self._begin(item)
            waiting = left
            if not busy:
                continue
            try:
                item, message, result = self._messages.get(timeout=_LOOK)
            except queue.Empty:
                continue
            if result is None:
                self._tell({"event": "progress", "file": str(item.source), **(message or {})})
            else:
                busy -= 1
                self._end(item, result)

    def _begin(self, item: Item) -> bool:
        """Give a file away, or end it at once. Returns whether it was given away."""
        before = self._why(item)
        if before is not None:
            self._say(item, {**before, "before": True})
            return False
        saved_by = blend_file.version(item.source)
        refused = blend_file.refusal(saved_by, self._asked.blender, self._asked.options.get("upgrade", False))
        if refused:
            self._end(
                item, {"status": "skipped", "reason": f"{item.source}: {refused}", "seconds": 0.0, **_stamped(item)}
            )
            return False
        output = None if self._asked.job.get("dry_run") else item.output
        if output is not None:
            self._check_room(item)
            self._make_folder(output.parent)
        links = {source: str(self._item_of(source).output) for source, key in self._links(item).items() if key}
        job = {
            **self._asked.job, "source": str(item.source), "output": output and str(output), "key": item.key,
            "options": dict(self._asked.options), "libraries": links,
        }  # fmt: skip
        self._tell({"event": "file", "file": str(item.source)})
        put = self._messages.put
        self._engine.submit(job, lambda told: put((item, told, None)), lambda result: put((item, None, result)))
        return True

    def _end(self, item: Item, result: Result) -> None:
        """Write a file's line, then give its output its name."""
        staged = item.output.resolve().with_name(result["staged"]) if result.get("staged") else None
        if staged and self._is_foreign(item):
            staged.unlink(missing_ok=True)
            result = {
                "status": "failed",
                "reason": _exists(item.output),
                "seconds": result["seconds"],
                "input": result["input"],
            }
            staged = None
        entry = self._entry(item, result)
        self._write(entry)
        if staged:
            try:
                _finish(staged, item.output.resolve())
            except OSError as error:
                staged.unlink(missing_ok=True)
                reason = f"{item.output}: can't be written ({error.strerror or error}); see to it that it can"
                entry = self._entry(item, {"status": "failed", "reason": reason, "seconds": result["seconds"]})
                self._write(entry)
        self._say(item, entry)

    def _entry(self, item: Item, result: Result) -> Entry:
        details = {key: result[key] for key in _DETAILS if key in result}
        return {
            "key": item.key, "input": os.path.abspath(item.source), **(result.get("input") or _NO_STAMP),
            "status": result["status"], "reason": result.get("reason"),
            "output": os.path.abspath(item.output) if result.get("staged") else None, "staged": result.get("staged"),
            "saved": result.get("saved") or self._state.known.get(item.key, {}).get("saved"),
            **{key: result.get(key) for key in ("bytes_before", "bytes_after", "psnr")},
            "seconds": round(result["seconds"], 3), "ended": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "settings": dict(self._asked.options), "versions": dict(self._asked.versions),
            "libraries": list(map(str, item.libraries)), "links": self._links(item), "uses": result.get("uses", []),
            "details": details,
        }  # fmt: skip

    def _write(self, entry: Entry) -> None:
        if self._journal is not None:
            self._journal.write(entry)
        self._state.known[entry["key"]] = entry

    def _say(self, item: Item, entry: Entry) -> None:
        self._state.ended[item.key] = entry
        self._tell({"event": "end", **entry, "file": str(item.source)})

    def _why(self, item: Item) -> Entry | None:
        """The line of an earlier run that stands for a file; None: it is to be done."""
        entry = self._state.known.get(item.key)
        if entry is None or self._asked.force or entry["settings"] != dict(self._asked.options):
            return None
        if not stamp.fits(item.source, entry if entry["hash"] else None):
            return None
        if any(not stamp.fits(Path(path), known) for path, known in entry["uses"]):
            return None
        ended = all(key in self._state.ended for key in item.after)
        if ended and entry["links"] != self._links(item):
            return None
        if entry["status"] in ENDED_WELL:
            return entry if item.output.exists() else None
        if self._asked.retry and entry["status"] != "skipped":
            return None
        return entry

    def _links(self, item: Item) -> dict[str, str | None]:
        """The files of the batch that a file links: the key of the output that it is to link, or None: the file as it was."""
        found = {}
        for path in item.libraries:
            library = self._sources.get(path)
            if library is not None and library is not item:
                can = library.key in item.after and library.output.exists() and library.key in self._state.known
                found[str(path)] = library.key if can else None
        return found

    def _item_of(self, source: str) -> Item:
        return self._sources[Path(source)]

    def _is_foreign(self, item: Item) -> bool:
        """Whether an output exists that is not this batch's own."""
        if self._asked.overwrite or self._asked.job.get("dry_run") or not files.exists(item.output):
            return False
        entry = self._state.known.get(item.key)
        return entry is None or not stamp.fits(item.output, entry["saved"])

    def _check_free(self, wanted: Sequence[Item]) -> None:
        foreign = [item.output for item in wanted if self._is_foreign(item)]
        if foreign:
            raise ImageGSError(_exists(foreign[0], len(foreign) - 1))

    def _check_space(self, wanted: Sequence[Item]) -> None:
        """Raise ImageGSError where the disk has no room for as many bytes as the inputs take: outputs may take them."""
        if self._asked.folder is None or self._asked.job.get("dry_run"):
            return
        sizes = [item.source.stat().st_size for item in wanted if item.source.is_file()]
        free, need = shutil.disk_usage(self._asked.folder).free, sum(sizes) + _RESERVE
        if sizes and free < need:
            said = f"{self._asked.folder}: {free / 1e9:.1f} GB are free, and the files take {need / 1e9:.1f}"
            if not self._asked.shrinks:
                raise ImageGSError(f"{said}; free some space, choose another folder, or add --drop-originals")
            self._tell({"event": "warning", "text": f"{said}; without their originals they may take less: going on"})

    def _check_room(self, item: Item) -> None:
        """Raise ImageGSError where the disk is nearly full: the files after this one would fail one by one."""
        folder = next(folder for folder in item.output.resolve().parents if folder.is_dir())
        size = item.source.stat().st_size if item.source.is_file() else 0
        free = shutil.disk_usage(folder).free
        if self._journal is not None and free < size + _RESERVE // 4:
            raise ImageGSError(
                f"{folder}: {free / 1e6:.0f} MB are free, too few for {item.source.name}; free some space, then start the "
                "same command again"
            )

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and those above it; those that stay empty are removed at the end."""
        missing = [above for above in (folder, *folder.parents) if not above.is_dir()]
        for path in reversed(missing):
            try:
                path.mkdir(exist_ok=True)
            except OSError as error:
                raise ImageGSError(f"{path}: can't be made ({error.strerror}); choose another --output") from error
            self._state.made.append(path)

    def _recover(self) -> None:
        """Give outputs their names whose lines were written by a run that was killed just then."""
        for item in self._items:
            entry = self._state.known.get(item.key)
            if entry and entry["staged"]:
                staged = item.output.resolve().with_name(entry["staged"])
                if staged.exists() and stamp.fits(staged, entry["saved"]):
                    _finish(staged, item.output.resolve())

    def _sweep(self) -> None:
        outputs = [(item.output.resolve(), item.key) for item in self._items]
        staging.sweep(outputs)
        for folder in {output.parent for output, _ in outputs}:
            litter.sweep_again(folder)


_NO_STAMP = {"size": None, "date": None, "hash": None}

_DETAILS = ("error", "materials", "skipped", "failed", "kept", "bytes_streams", "warnings", "text")
"""What an entry keeps of a result for report.json and for people."""


def _finish(staged: Path, output: Path) -> None:
    staged.replace(output)
    files.sync_folder(output.parent)


def _stamped(item: Item) -> Result:
    return {"input": stamp.of(item.source)}


def _exists(output: Path, more: int = 0) -> str:
    others = f" and {more} more" if more else ""
    return (
        f"{output}{others}: {'exist' if more else 'exists'} already and {'were' if more else 'was'} not made by this batch; "
        "choose another --output, or add --overwrite"
    )
