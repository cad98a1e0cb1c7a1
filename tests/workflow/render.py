"""Render a .blend close up, in a process of its own: python render.py IN.blend OUT.npy ENGINE [--without-addon]"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector

EEVEE = "BLENDER_EEVEE_NEXT" if bpy.app.version < (5, 0) else "BLENDER_EEVEE"


def main(blend: str, out: str, engine: str, *options: str) -> None:
    """Write (120, 160, 4) float32 linear texels, row 0 at the bottom, alpha 0 where no object is."""
    import addon_utils  # known once bpy is imported

    if "--without-addon" not in options:
        import imagegs_blender

        imagegs_blender.register()
    bpy.ops.wm.open_mainfile(filepath=blend)
    addon_utils.enable("cycles")
    scene = bpy.context.scene
    scene.render.engine = {"cycles": "CYCLES", "eevee": EEVEE}[engine]
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.device = 16, False, "CPU"
    scene.eevee.taa_render_samples = 4
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 160, 120, 100
    scene.render.film_transparent = True
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "32"
    scene.render.use_compositing = False
    _light_and_frame(scene)
    with tempfile.TemporaryDirectory() as folder:
        scene.render.filepath = str(Path(folder, "render.exr"))
        bpy.ops.render.render(write_still=True)
        picture = bpy.data.images.load(scene.render.filepath)
        texels = np.empty(160 * 120 * 4, np.float32)
        picture.pixels.foreach_get(texels)
    np.save(out, texels.reshape(120, 160, 4))


def _light_and_frame(scene: bpy.types.Scene) -> None:
    """Even white light and a camera that looks at all meshes from above."""
    world = bpy.data.worlds.new("white")
    if world.node_tree is None:
        world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (1, 1, 1, 1)
    scene.world = world
    meshes = [item for item in scene.objects if item.type == "MESH"]
    corners = [item.matrix_world @ Vector(corner) for item in meshes for corner in item.bound_box]
    low, high = (Vector(choose(c[axis] for c in corners) for axis in range(3)) for choose in (min, max))
    camera = bpy.data.objects.new("close", bpy.data.cameras.new("close"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    size = (high - low).length
    camera.location = (low + high) / 2 + Vector((0.5, -1, 0.8)).normalized() * size
    camera.rotation_euler = (camera.location - (low + high) / 2).to_track_quat("Z", "Y").to_euler()
    camera.data.clip_start, camera.data.clip_end = size / 1000, size * 10


if __name__ == "__main__":
    main(*sys.argv[1:])
