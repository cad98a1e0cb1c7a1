"""How true the panel is about time: expected before the press, and left while it runs, beside what it took.

    python benchmarks/estimates.py [--stacks 6 1] [--sizes 256 2048] [--bpp 1] [--preset fast]

Files of many stacks, as those of small_stacks.py, are compressed one after the other as the button does it, in one process.
Nothing is known of this computer before the first; the second turn knows what the first took. "Left" is the worst of all
that the panel said from a tenth of the time on, while at least 3 s remained: as a multiple of the truth.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--stacks", type=int, nargs="+", default=[6, 1], help="how many are in each file (%(default)s)")
    add("--sizes", type=int, nargs="+", default=[256, 2048], help="width and height of their maps (%(default)s)")
    add("--bpp", type=float, default=1.0, help="(%(default)s)")
    add("--preset", default="fast", help="(%(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"{number}x{size}.blend") for number, size in zip(args.stacks, args.sizes, strict=True)]
        for file, number, size in zip(files, args.stacks, args.sizes, strict=True):
            command = [ROOT / "benchmarks" / "small_stacks.py", "--task", "make", file, number, size]
            subprocess.run([sys.executable, *map(str, command)], check=True, stdout=subprocess.DEVNULL)
        sys.path.insert(0, str(ROOT))
        print("| stacks | turn | expected, s | took, s | ratio | left, as a multiple |\n|---|---|---:|---:|---:|---:|")
        _warm(files[0], args.bpp, args.preset)
        for turn in (1, 2):
            for file in files:
                expected, took, left = _measured(file, args.bpp, args.preset)
                worst = f"{min(left):.2f} to {max(left):.2f}" if left else ""
                print(
                    f"| {file.stem} | {turn} | {expected:.1f} | {took:.1f} | {expected / took:.2f} | {worst} |",
                    flush=True,
                )
    os._exit(0)  # bpy may wait forever at its end


def _warm(file: Path, bpp: float, preset: str) -> None:
    """Compile the kernels, and forget how long that took."""
    from imagegs_blender.workflow import pace

    _measured(file, bpp, preset)
    pace._known.clear()


def _measured(file: Path, bpp: float, preset: str) -> tuple[float, float, list[float]]:
    """Seconds expected, seconds taken, and what the panel said was left as a multiple of what was."""
    import bpy

    import imagegs_blender
    from imagegs_blender.core.settings import FitSettings
    from imagegs_blender.workflow import forecast, pace, run
    from imagegs_blender.workflow.compress import planned

    if not hasattr(bpy.types.Scene, "imagegs"):
        imagegs_blender.register()
        os.environ.pop("NUMBA_CACHE_DIR", None)  # what is learned stays in this process
    bpy.ops.wm.open_mainfile(filepath=str(file))
    settings = FitSettings.preset(preset, bpp=bpp)
    plan = planned(bpy.data.materials)
    expected = forecast.estimate(plan, settings).seconds
    start, told = time.perf_counter(), []
    work = run.Run(plan, settings)
    while (outcome := work.advance()) is None:
        told.append((time.perf_counter() - start, work.seconds_left))
        time.sleep(run.POLL_SECONDS)
    took = time.perf_counter() - start
    pace.learn(outcome.done, settings)
    late = [(at, left) for at, left in told if left is not None and at > took / 10 and took - at >= 3]
    return expected, took, [left / (took - at) for at, left in late]


if __name__ == "__main__":
    main()
