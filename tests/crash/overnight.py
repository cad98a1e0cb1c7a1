"""A batch of many files, some of them broken, whose coordinator, Blenders and fits are killed at random moments.

Then the same command again: every good file was converted exactly once, every bad one is named.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil

from imagegs_blender.core.batch.journal import ENDED_WELL
from tests import library

ROOT = Path(__file__).resolve().parents[2]
_SEAL = b"\xb1\xea\x92\x8f"


class Lost(Exception):
    """Something is not as it must be."""


def require(condition: object, what: str) -> None:
    """Raise Lost unless it holds."""
    if not condition:
        raise Lost(what)


def overnight(
    folder: Path, kills: int, chance: random.Random, files: int, pause: float, timeout: float
) -> dict[str, int]:
    """Kill so many times, up to `pause` seconds apart. Returns how often each kind of process was killed."""
    source, out, temporary = folder / "in", folder / "out", folder / "tmp"
    temporary.mkdir()
    good = library.make(source, files, broken=True)
    before = _hashes(source)
    options = ["-r", source, "-o", out, *library.QUICK, "--quiet", "--jobs", 2, "--timeout", timeout, "--retry"]
    command = [sys.executable, "-m", "imagegs_blender.batch", *map(str, options)]
    hits: Counter[str] = Counter()
    run = _start(command, temporary)
    while sum(hits.values()) < kills:
        time.sleep(chance.uniform(0, pause))
        if run.poll() is not None:
            run = _start(command, temporary)
            continue
        kind = chance.choice(("coordinator", "Blender", "fit"))
        if _kill(run.pid, kind, chance):
            hits[kind] += 1
        if kind == "coordinator":
            run.wait()
            _whole(out)
            run = _start(command, temporary)
    run.wait()
    last = subprocess.run(command, cwd=ROOT, env=_environment(temporary), capture_output=True, text=True, timeout=7200)
    _check(out, good, last)
    require(_hashes(source) == before, "an input was changed")
    own = (path for path in temporary.iterdir() if not _is_blenders(path))
    left = [*(path for path in out.rglob("*") if path.name.startswith(".")), *own]
    require(not left, f"left over: {left}")
    still = [process.pid for process in psutil.process_iter() if str(source) in " ".join(_words(process))]
    require(not still, f"still running: {still}")
    return dict(hits)


def _check(out: Path, good: list[str], last: subprocess.CompletedProcess[str]) -> None:
    lines = [json.loads(line) for line in (out / "imagegs_journal.jsonl").read_text("utf-8").splitlines()]
    done = Counter(line["key"] for line in lines if line["status"] in ENDED_WELL)
    require(
        done == Counter(good),
        f"converted more than once, or not at all: {done - Counter(good)}, {Counter(good) - done}",
    )
    ended = {line["key"]: line["status"] for line in lines}
    for name, status in library.BROKEN.items():
        require(ended.get(f"{name}.blend") == status, f"{name}: {ended.get(f'{name}.blend')}")
        require(f"{name}.blend" in last.stderr, f"{name} is not named")
    require(last.returncode == 1 and last.stderr.count("error: ") == len(library.BROKEN), last.stderr)
    outputs = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    require(outputs == {*good, "imagegs_journal.jsonl"}, f"{outputs ^ {*good, 'imagegs_journal.jsonl'}}")
    _whole(out)


def _is_blenders(path: Path) -> bool:
    """Each Blender makes a folder for itself, and one that is killed leaves it, empty: here the coordinators' own."""
    return path.name.startswith("blender_") and not any(path.iterdir())


def _whole(out: Path) -> None:
    """A .blend that is compressed ends with the magic number of zstd's seek table."""
    for path in out.rglob("[!.]*.blend"):
        require(path.read_bytes()[-4:] == _SEAL, f"{path}: a part of an output")


def _kill(coordinator: int, kind: str, chance: random.Random) -> bool:
    """Kill a process of a kind, where there is one."""
    try:
        parent = psutil.Process(coordinator)
        blenders = parent.children()
        of = {
            "coordinator": [parent],
            "Blender": blenders,
            "fit": [child for one in blenders for child in one.children()],
        }
        if not of[kind]:
            return False
        chance.choice(of[kind]).kill()
    except psutil.NoSuchProcess:
        return False
    return True


def _start(command: list[str], temporary: Path) -> subprocess.Popen[bytes]:
    nowhere = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=ROOT, env=_environment(temporary), stdout=nowhere, stderr=nowhere)


def _environment(temporary: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(temporary)}


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _hashes(folder: Path) -> dict[Path, str]:
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}
