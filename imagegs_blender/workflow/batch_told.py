"""What a batch prints while it runs: for people, as JSON, or as the lines of Open Job Description."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core.batch import summary
from ..core.batch.journal import ENDED_WELL, Entry
from ..core.cli import console
from ..core.cli.progress import ProgressLine
from ..core.encoding.encode import Progress
from . import batch_result


class Told:
    """Hears the events of a batch (core.batch.run).

    files   how many there are
    jobs    how many of them at once: the fit in progress is shown where there is one
    """

    def __init__(self, options: argparse.Namespace, files: int, jobs: int = 1) -> None:
        self._options, self._files, self._jobs = options, files, jobs
        self._ended = self._not_converted = 0
        self._is_text = options.progress == "text"
        self._line = ProgressLine(sys.stdout)

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Hear one."""
        kind = event["event"]
        if kind == "end":
            self._ended += 1
            self._not_converted += event["status"] not in ENDED_WELL
        if self._options.progress == "json":
            console.say(json.dumps(event))
        elif self._options.progress == "openjd":
            self._openjd(kind)
        elif kind == "start" and self._files > 1 and not self._options.quiet:
            before = f", {self._files - event['to_do']} of them before" if event["to_do"] < self._files else ""
            console.say(f"{self._files} files{before}, {self._jobs} at once")
        elif kind == "progress" and self._jobs == 1 and not self._options.quiet:
            self._progress(event)
        if kind == "warning":
            console.say(f"warning: {event['text']}", sys.stderr)
        elif kind == "end":
            self._end(event)

    def tell_of(self, file: str) -> Callable[[Mapping[str, Any]], None]:
        """Hears the progress of the open file."""
        return lambda message: self({"event": "progress", "file": file, **message})

    def summary(self, entries: Sequence[Entry]) -> None:
        """Say how it went, at the end."""
        totals = summary.totals(entries)
        if self._options.progress == "json":
            console.say(json.dumps({"event": "summary", **totals}))
        elif self._options.progress == "openjd" and self._not_converted and not self._options.no_fail:
            console.say(
                f"openjd_fail: {self._not_converted} of {self._files} files were not converted; see the journal"
            )
        elif self._is_text and self._files > 1 and not self._options.quiet and not self._options.dry_run:
            for line in summary.lines(totals):
                console.say(line)

    def _openjd(self, kind: str) -> None:
        if kind == "end":
            console.say(f"openjd_progress: {100 * self._ended / self._files:.1f}")
            failed = f", {self._not_converted} not converted" if self._not_converted else ""
            console.say(f"openjd_status: {self._ended} of {self._files} files{failed}")

    def _progress(self, event: Mapping[str, Any]) -> None:
        if "preparing" in event:
            self._line.say("preparing: compiling for this computer, once", f"{event['preparing']:.0%}")
        else:
            about = f"[{event['index'] + 1}/{event['stacks']}] {event['stack']}: "
            self._line.show(Progress(**event["progress"]), about)

    def _end(self, event: Mapping[str, Any]) -> None:
        with self._line:  # ends the line on a terminal
            pass
        details = {**batch_result.failure(event["reason"] or ""), **event.get("details", event)}
        result = {**event, **details}
        if self._is_text and not self._options.quiet and not event.get("before"):
            if "text" in details:
                self._lines(details["text"])
            elif result["materials"] or event["status"] in ENDED_WELL:
                self._lines(batch_result.table(result, self._options.verbose))
        for warning in () if event.get("before") else details.get("warnings", ()):
            console.say(f"warning: {warning}", sys.stderr)
        if event["status"] in ENDED_WELL:
            return
        for problem in batch_result.errors(result):
            named = problem if problem.startswith(event["file"]) else f"{event['file']}: {problem}"
            again = " (in an earlier run; --retry tries again)" if event.get("before") else ""
            console.say(f"error: {named}{again}", sys.stderr)

    def _lines(self, text: str) -> None:
        for line in text.split("\n"):
            console.say(line)
