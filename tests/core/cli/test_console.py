"""What commands print: one line each, also where names hold anything, the reader has gone, or Ctrl-C comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from imagegs_blender.core.cli import console
from tests.samples import QUICK

ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-m", "imagegs_blender.core"]

posix = pytest.mark.skipif(os.name != "posix", reason="signals, and bytes in names, of POSIX")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\nb\r\t\x1b[31m", "a\\nb\\r\\t\\x1b[31m"),
        ("\u2028\u202egnp", "\\u2028\\u202egnp"),
        ("Farbe é 色", "Farbe é 色"),
        ("\udcff.png", "\\udcff.png"),
    ],
)
def test_a_message_is_one_printable_line(text: str, line: str) -> None:
    assert console.printable(text) == line
    assert console.printable(console.printable(text)) == line
    assert console.printable("é", "ascii") == "\\xe9"


def test_a_line_break_in_a_path_stays_inside_of_the_message(tmp_path: Path, imagegs) -> None:
    for argv in (["info", tmp_path / "a\nb.igs"], ["fit", tmp_path / "a\nb.png", "-o", tmp_path / "x.igs"]):
        done = imagegs(*argv)
        assert (done.code, done.err.count("\n")) == (1, 1) and "a\\nb" in done.err


@posix
def test_ctrl_c_inside_of_a_kernel_is_ctrl_c() -> None:
    """Numba runs Python code when a kernel returns arrays; the interrupt then comes as a SystemError about that code."""

    @numba.njit
    def kernel(count: int) -> tuple[np.ndarray, np.ndarray]:
        x = np.zeros(3)
        for i in range(count):
            x[i % 3] += np.sin(i)
        return x, x + 1

    def interrupted() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        kernel(10_000_000)

    kernel(3)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), console.interruptible():
            interrupted()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_other_system_errors_stay_what_they_are() -> None:
    with pytest.raises(SystemError, match="bad"), console.interruptible():
        raise SystemError("bad")


@posix
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_nobody_reads_the_output(source: Path, tmp_path: Path, imagegs, options: list[str]) -> None:
    assert imagegs("fit", source, "-o", tmp_path / "a.igs", *QUICK).code == 0
    reading, writing = os.pipe()
    os.close(reading)
    command = [*COMMAND, "info", tmp_path / "a.igs", *options]
    done = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (console.READER_GONE, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_can_not_be_written_is_an_error(source: Path, tmp_path: Path, imagegs) -> None:
    assert imagegs("fit", source, "-o", tmp_path / "a.igs", *QUICK).code == 0
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "info", tmp_path / "a.igs"], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1) and "the output can't be written" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take no such names")
def test_names_that_are_not_utf_8(source: Path, tmp_path: Path, imagegs) -> None:
    bad = tmp_path / os.fsdecode(b"\xff.png")
    bad.write_bytes(source.read_bytes())
    done = imagegs("fit", bad, "-o", tmp_path / "x.igs")
    assert done.code == 1 and "\\udcff.png: the file's name is not UTF-8; rename the file" in done.err
    out = tmp_path / os.fsdecode(b"\xfe.igs")
    assert imagegs("fit", source, "-o", out, *QUICK).out.startswith(f"{tmp_path}/\\udcfe.igs: ")
    assert imagegs("render", out, "-o", tmp_path / os.fsdecode(b"\xfd")).code == 0
    assert (tmp_path / os.fsdecode(b"\xfd") / "source.png").is_file()
