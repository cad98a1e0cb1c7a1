"""The line of progress: short on a terminal, sparse in a log, and always complete."""

from __future__ import annotations

import io

from imagegs_blender.core.cli.progress import ProgressLine
from imagegs_blender.core.encoding.encode import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO) -> str:
    """What a fit of 60 steps leaves in a stream, and a line that is printed behind it."""
    with ProgressLine(stream) as line:
        for step in range(1, 61):
            line.show(
                Progress("fitting" if step <= 40 else "settling", step, 60, 20 + step / 4, step / 60), "[1/2] wood: "
            )
        line.show(Progress("fitting", 1, 60, None, 0.0), "[2/2] iron: ")
    print("done", file=stream)
    return stream.getvalue()


def test_a_log_has_the_first_line_of_each_phase_and_the_last() -> None:
    assert shown(io.StringIO()).splitlines() == [
        "[1/2] wood: fitting 1/60, 20.25 dB, 0 s",
        "[1/2] wood: settling 41/60, 30.25 dB, 1 s",
        "[1/2] wood: settling 60/60, 35.00 dB, 1 s",
        "[2/2] iron: fitting 1/60, 0 s",
        "done",
    ]


def test_a_terminal_shows_one_line_for_each_fit() -> None:
    lines = [line.rsplit("\r", 1)[-1].strip() for line in shown(Terminal()).split("\n")]
    assert lines == ["[1/2] wood: settling 60/60, 35.00 dB, 1 s", "[2/2] iron: fitting 1/60, 0 s", "done", ""]
