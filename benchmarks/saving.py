"""Seconds to save and to open a .blend of many decoders, each of a stream of its own.

    python benchmarks/saving.py STREAM.igs [--decoders 50] [--times 3]

Saved with the add-on, which leaves out what is derived, and as Blender saves by itself; "compressed" is Blender's option.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import bpy

import imagegs_blender
from imagegs_blender.blend.decoder import decoders
from imagegs_blender.blend.record import OriginalMap, Record
from imagegs_blender.core.encoding.report import FitReport
from imagegs_blender.core.igs import stream
from imagegs_blender.shaders import decoder as builder
from imagegs_blender.workflow import rebuild, saving


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stream", type=Path)
    parser.add_argument("--decoders", type=int, default=50, help="(%(default)s)")
    parser.add_argument("--times", type=int, default=3, help="(%(default)s)")
    args = parser.parse_args()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    imagegs_blender.register()
    found = stream.read(args.stream.read_bytes())
    for index in range(args.decoders):
        darker = replace(found.gaussians, feature=found.gaussians.feature * (1 - 1e-3 * index))
        data = stream.write(darker, found.maps)
        own = stream.read(data)
        originals = {m.name: OriginalMap(m.name, (), False, 0, 0) for m in own.maps}
        record = Record({}, FitReport.of_stream(own, len(data)), "REPEAT", originals)
        builder.create(f"Stack {index}", own, data, record).tree.use_fake_user = True
    with tempfile.TemporaryDirectory() as folder:
        for compress in (False, True):
            path = Path(folder, f"{compress}.blend")
            with_addon = _median(lambda path=path, compress=compress: _save(path, compress), args.times)
            size = path.stat().st_size
            saving.unregister()
            alone = _median(
                lambda path=path, compress=compress: _save(path.with_suffix(".whole"), compress), args.times
            )
            saving.register()
            whole = path.with_suffix(".whole").stat().st_size
            print(
                f"{args.decoders} decoders{', compressed' if compress else ''}: saved in {with_addon:.2f} s, {size:,} bytes; "
                f"as Blender saves by itself {alone:.2f} s, {whole:,} bytes", flush=True,
            )  # fmt: skip
        opened = _median(lambda: _open(Path(folder, "True.blend")), args.times)
        print(f"{len(decoders())} decoders: opened in {opened:.2f} s")
    sys.stdout.flush()
    os._exit(0)


def _save(path: Path, compress: bool) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=compress, copy=True)


def _open(path: Path) -> None:
    bpy.ops.wm.open_mainfile(filepath=str(path))
    assert rebuild.rebuild_tables() == []


def _median(work: Callable[[], None], times: int) -> float:
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


if __name__ == "__main__":
    main()
