"""Where the files of a batch are converted: here, several at once. (cluster: on other machines.)"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from . import child, staging, stamp
from .child import Job, Result

Tell = Callable[[Mapping[str, Any]], None]


class Engine(Protocol):
    """Converts files; submit() returns at once. close() ends what is in progress, in vain."""

    def has_room(self, busy: int) -> bool:
        """Whether it takes another file while so many are in progress."""
        ...

    def submit(self, job: Job, tell: Tell, end: Callable[[Result], None]) -> None:
        """Convert a file; `end` is called once, from another thread."""
        ...

    def close(self) -> None:
        """End what is in progress. Returns when it has ended."""
        ...


class Here:
    """This machine. launcher: see child. count: files at once."""

    def __init__(self, launcher: Sequence[str], count: int) -> None:
        self._launcher, self._count = launcher, count
        self._threads = ThreadPoolExecutor(count)
        self._stopped = threading.Event()

    def has_room(self, busy: int) -> bool:
        return busy < self._count

    def submit(self, job: Job, tell: Tell, end: Callable[[Result], None]) -> None:
        self._threads.submit(lambda: end(attempt(self._launcher, job, tell, lambda: not self._stopped.is_set())))

    def close(self) -> None:
        self._stopped.set()
        self._threads.shutdown(wait=True, cancel_futures=True)


def attempt(launcher: Sequence[str], job: Job, tell: Tell, wanted: Callable[[], bool]) -> Result:
    """One try at a file, under a name of its own beside the output. The result never raises; it has, in addition,

    input     the stamp of the source as it was before
    uses      paths and stamps of the other files that it was made of
    staged    the name of what was saved, and `saved`, its stamp; None where nothing was
    """
    result: Result = {"status": "failed", "reason": "internal error, please report it"}
    source = Path(job["source"])
    staged = staging.new(Path(job["output"]).resolve(), job["key"]) if job["output"] else None
    before = None
    try:
        before = stamp.of(source) if source.is_file() else None
        if staged:
            staged.parent.mkdir(parents=True, exist_ok=True)
        result = child.run(launcher, {**job, "save_as": staged and str(staged)}, tell, wanted)
        uses = [(path, stamp.of(Path(path))) for path in result.get("uses", ()) if Path(path).is_file()]
        saved = stamp.of(staged) if staged and result.get("saved") and staged.exists() else None
        result = {**result, "uses": uses, "saved": saved, "staged": staged.name if staged and saved else None}
    except OSError as error:
        result = {"status": "failed", "reason": f"{source}: {error.strerror or error}; see to it that it can be read"}
    except Exception as error:  # a mistake of ours must not end the thread in silence
        result = {"status": "failed", "reason": f"internal error, please report it: {error!r}"}
    finally:
        if staged and not result.get("staged"):
            staged.unlink(missing_ok=True)
    return {"uses": [], "saved": None, "staged": None, "seconds": 0.0, **result, "input": before}
