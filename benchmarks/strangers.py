"""What opening a .blend from a stranger takes, whose decoder is at the limits of core/igs/limits.py (Linux).

    python benchmarks/strangers.py [--side 8192]

A texture of 4 planes and this many texels a side: in a few hundred bytes, once and many times, and with as many Gaussians as any
texture may have. Each file is opened in a process of its own, compiled before, with the add-on: seconds of opening, and the
peak of its memory above that of the same file without the decoder.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from imagegs_blender.core.gaussians import Gaussians
from imagegs_blender.core.igs import limits, stream
from imagegs_blender.core.textures.texture_stack import Channel, ColorSpace, Depth, MapInfo, Role

COUNTS = (12, limits.FEW)
KINDS = ("NODES", "BAKED")
MANY = 50
"""Decoders of one file."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=8192, help="texels (%(default)s)")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.make or args.open:
        make(args.make, args.side) if args.make else opened(args.open)
        sys.stdout.flush()
        os._exit(0)  # bpy's destructors can wait forever
    with tempfile.TemporaryDirectory() as folder:
        _again("--make", folder, "--side", args.side)
        for path in sorted(Path(folder).glob("*.blend")):
            _again("--open", path)  # what it needs is compiled
            seconds, peak = map(float, _again("--open", path).split())
            if path.stem == "0 empty":
                least = peak
            else:
                print(f"{path.stem:36} {seconds:5.2f} s  {peak - least:5,.0f} MiB more", flush=True)


def _again(*arguments: object) -> str:
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip().splitlines()[-1]


def make(folder: Path, side: int) -> None:
    """An empty file, and one for each count and kind, called after what is in it."""
    import bpy

    import imagegs_blender
    from imagegs_blender.blend import properties
    from imagegs_blender.blend.decoder import decoders
    from imagegs_blender.blend.record import Record
    from imagegs_blender.shaders import decoder

    bpy.ops.wm.read_factory_settings(use_empty=True)
    imagegs_blender.register()
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "0 empty.blend"))
    sources = tuple(Channel("plane", plane) for plane in range(4))
    info = MapInfo("color", Role.COLOR, ColorSpace.RAW, Depth.U8, "RGBA", side, side, sources)
    for count in COUNTS:
        data = stream.write(_spread(count, side), [info])
        for kind in KINDS:
            made = decoder.create("Stack", stream.read(data), data, Record())
            made.tree.use_fake_user = True
            properties.KIND.write(made.tree, kind)
            path = folder / f"{kind.lower()}, {count} in {len(data):,} bytes.blend"
            bpy.ops.wm.save_as_mainfile(filepath=str(path))
            if count == min(COUNTS):
                for _ in range(MANY - 1):
                    made.tree.copy().use_fake_user = True
                bpy.ops.wm.save_as_mainfile(filepath=str(path.with_stem(f"{path.stem}, {MANY} times")))
            for tree in [each.tree for each in decoders()]:
                bpy.data.node_groups.remove(tree)
    print("made")


def _spread(count: int, side: int) -> Gaussians:
    """Gaussians that overlap as much as they may."""
    rng = np.random.default_rng(0)
    scale = 0.098 * np.sqrt(limits.MOST_REACHED / count)  # a box is 9.8 of them wide
    return Gaussians(
        mean=rng.random((count, 2), np.float32),
        scale=np.full((count, 2), scale, np.float32),
        rotation=np.zeros(count, np.float32),
        feature=rng.random((count, 4), np.float32),
        bias=np.zeros(count, np.float32),
        width=side,
        height=side,
        wrap=True,
        topk=6,
        gamma=1.0,
    )


def opened(path: Path) -> None:
    import bpy

    import imagegs_blender
    from imagegs_blender.blend.decoder import decoders

    imagegs_blender.register()
    started = time.monotonic()
    bpy.ops.wm.open_mainfile(filepath=str(path))
    seconds = time.monotonic() - started
    assert any(each.is_whole() for each in decoders()) or not decoders()
    print(f"\n{seconds} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10}")


if __name__ == "__main__":
    main()
