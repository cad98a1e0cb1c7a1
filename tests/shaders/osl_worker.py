"""Renders a stack with the OSL decoder, in a process of its own: OSL wants Blender's own OpenImageIO, not PyPI's.

Arguments: the folder to write to, then LODs, "0@3" for 0 where the finest that is held is 3, or "damaged", for 0 after
the file was saved with a stream that can't be read and opened again; prints what is said then. Writes LOD.npz: output -> pixels.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import bpy
import numpy as np

version = f"python{sys.version_info.major}.{sys.version_info.minor}"
sys.path.insert(0, str(Path(bpy.utils.resource_path("LOCAL")) / "python" / "lib" / version / "site-packages"))

from imagegs_blender.core import stream, tables  # noqa: E402
from imagegs_blender.operators import rebuild  # noqa: E402
from imagegs_blender.scene import storage  # noqa: E402
from imagegs_blender.shaders import decoder, node_group  # noqa: E402

from . import plane  # noqa: E402
from .test_decoder import HEIGHT, MAPS, WIDTH  # noqa: E402


def main(folder: Path, levels: list[str]) -> None:
    found = stream.read((folder / "stack.igs").read_bytes())
    for level in levels:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        plane.enable_cycles()
        group = node_group.build("Stack", MAPS, tables.build(found.gaussians, MAPS))
        lod, _, detail = level.replace("damaged", "0").partition("@")
        decoder.set_kind(group, decoder.OSL, found, detail=int(detail or 0))
        outputs = plane.stage(group, WIDTH, HEIGHT, lod=float(lod))
        if level == "damaged":
            storage.store(group, (folder / "stack.igs").read_bytes()[:-20] + bytes(20), {})
            bpy.ops.wm.save_as_mainfile(filepath=str(folder / "damaged.blend"))
            bpy.ops.wm.open_mainfile(filepath=str(folder / "damaged.blend"))
            print(*rebuild.rebuild_tables())
        bpy.context.scene.cycles.shading_system = True
        np.savez(folder / f"{level}.npz", **plane.render("CYCLES", folder, outputs))


main(Path(sys.argv[1]), sys.argv[2:])
sys.stdout.flush()
os._exit(0)
