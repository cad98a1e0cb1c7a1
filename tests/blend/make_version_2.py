"""Made version-2-4.5.blend and version-2-5.2.blend, and what their decoders gave: python -m tests.blend.make_version_2

Run it with the Python of each Blender. The files are lean: Nodes, Baked, and an image with two extension modes, whose
decoders share a stream. They are never made again: they stand for what people have saved.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import bpy
import numpy as np

import imagegs_blender
from imagegs_blender.blend.decoder import decoders, find
from tests.scene import trees
from tests.shaders import plane
from tests.workflow import scene

FILES = Path(__file__).parent / "files"
NAMES = ("nodes", "baked", "shared")


def main() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    imagegs_blender.register()
    plane.enable_cycles()
    stem = FILES / f"version-2-{bpy.app.version[0]}.{bpy.app.version[1]}"
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            material = scene.plane(name, Path(folder)).active_material
            material.name = name
        tree = bpy.data.materials["shared"].node_tree
        node = trees.texture(tree, bpy.data.images["shared color"], ("Color", "Principled BSDF", "Emission Color"))
        node.extension = "EXTEND"
        bpy.ops.file.pack_all()
        bpy.ops.imagegs.compress(preset="fast", bpp=16.0, even_if_not_smaller=True)
        for item in bpy.data.objects:
            item.select_set(item.name == "baked")
        bpy.ops.imagegs.set_decoder(kind="BAKED")
        bpy.ops.wm.save_as_mainfile(filepath=f"{stem}.blend", compress=True)
        np.savez_compressed(f"{stem}.npz", **given(Path(folder)))


def given(folder: Path) -> dict[str, np.ndarray]:
    """What every output of every decoder gives at its texels, by "<decoder> LF <output>", (32, 32, 3) scene-linear."""
    pixels = {}
    for name in [decoder.name for decoder in decoders()]:
        for item in list(bpy.data.objects):
            bpy.data.objects.remove(item)
        outputs = plane.stage(find(name).tree, 32, 32)
        for output, shown in plane.render("CYCLES", folder, outputs).items():
            pixels[f"{name}\n{output}"] = shown.astype(np.float16)
    return pixels


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)
