"""A batch of many files: files an hour by --jobs, what a file costs beside its fit, and memory.

    python benchmarks/many_files.py [--files 12] [--side 512] [--jobs 1 2] [--rounds 2] [--preset fast] [--bpp 1]

The files are those of tests/library.py, of one color texture each. Each round runs one batch for each number of jobs, one after
the other, into a fresh folder. Wall seconds and CPU seconds are of all processes of a batch; memory is the most that was seen
at once, as resident pages, of the coordinator, of all Blenders and of all fits. "Beside" is a batch of files without textures.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests import library  # noqa: E402

EMPTY = """
import os, sys, bpy
bpy.ops.wm.read_homefile(use_empty=True)
for number in range(int(sys.argv[2])):
    bpy.ops.wm.save_as_mainfile(filepath=f"{sys.argv[1]}/{number}.blend", copy=True)
os._exit(0)
"""


class Run(NamedTuple):
    """Seconds, and MiB of the coordinator, of Blenders, of fits."""

    wall: float
    cpu: float
    memory: tuple[float, float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--files", type=int, default=12, help="(%(default)s)")
    add("--side", type=int, default=512, help="of their textures, texels (%(default)s)")
    add("--jobs", type=int, nargs="+", default=[1, 2], help="(1 2)")
    add("--rounds", type=int, default=2, help="(%(default)s)")
    add("--preset", default="fast", help="(%(default)s)")
    add("--bpp", default="1", help="(%(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library.make(folder / "textured", args.files, side=args.side)
        (folder / "plain").mkdir()
        subprocess.run(
            [sys.executable, "-c", EMPTY, folder / "plain", str(args.files)], check=True, capture_output=True
        )
        options = ["--preset", args.preset, "--bpp", args.bpp, "--device", "cpu", "--even-if-not-smaller"]
        one = folder / "textured" / "part0" / "000.blend"
        batch([one, "-o", folder / "first.blend", *options])  # compiles, where that is needed
        for round_ in range(args.rounds):
            for jobs in args.jobs:
                for kind in ("textured", "plain"):
                    out = folder / f"{kind} {jobs} {round_}"
                    run = batch(["-r", folder / kind, "-o", out, "--jobs", str(jobs), *options])
                    each = f"{run.wall / args.files:.2f} s, CPU {run.cpu / args.files:.2f} s a file"
                    memory = "coordinator {:.0f}, Blenders {:.0f}, fits {:.0f} MiB".format(*run.memory)
                    rate = f"{3600 * args.files / run.wall:.0f} files an hour"
                    print(f"{kind:8} jobs {jobs}: {rate}, {each}; {memory}", flush=True)


def batch(arguments: list[object]) -> Run:
    """Run a batch, which must succeed."""
    started, before = time.perf_counter(), os.times()
    command = [sys.executable, "-m", "imagegs_blender.batch", *map(str, arguments), "--quiet"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    peak, ended = [0.0, 0.0, 0.0], threading.Event()
    watcher = threading.Thread(target=_watch, args=(process.pid, peak, ended))
    watcher.start()
    code = process.wait()
    ended.set()
    watcher.join()
    if code:
        sys.exit(f"error: the batch ended with code {code}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(time.perf_counter() - started, cpu, (peak[0], peak[1], peak[2]))


def _watch(pid: int, peak: list[float], ended: threading.Event) -> None:
    while not ended.wait(0.2):
        try:
            top = psutil.Process(pid)
            blenders = top.children()
            levels = ([top], blenders, [child for one in blenders for child in one.children()])
            for level, processes in enumerate(levels):
                size = sum(process.memory_info().rss for process in processes) / 2**20
                peak[level] = max(peak[level], size)
        except psutil.NoSuchProcess:
            continue


if __name__ == "__main__":
    main()
