"""Render one still of a .blend with Cycles, small and reproducible, its Gaussians decoded per pixel.

python tools/render_view.py SCENE.blend OUT.png [--width 640] [--samples 16] [--shift 0]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import bpy
from mathutils import Vector

import imagegs_blender


def render(blend: Path, out: Path, width: int, samples: int, shift: float) -> None:
    """The view of the scene's camera; where there is none, of all objects. shift moves it, in parts of its width."""
    bpy.ops.preferences.addon_enable(module="cycles")
    imagegs_blender.register()
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    scene = bpy.context.scene
    if scene.camera is None:
        _frame_all(scene)
    scene.camera.data.shift_x += shift
    settings, cycles = scene.render, scene.cycles
    settings.engine, cycles.device = "CYCLES", "CPU"
    cycles.samples, cycles.seed, cycles.use_animated_seed = samples, 0, False
    cycles.use_adaptive_sampling = False
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    settings.use_motion_blur = settings.use_compositing = settings.use_sequencer = False
    settings.use_border = settings.use_multiview = False
    settings.resolution_y = max(64, round(width * settings.resolution_y / settings.resolution_x))
    settings.resolution_x, settings.resolution_percentage = width, 100
    settings.image_settings.file_format, settings.image_settings.color_mode = "PNG", "RGB"
    settings.filepath, settings.use_file_extension = str(out), False
    bpy.ops.render.render(write_still=True)


def _frame_all(scene: bpy.types.Scene) -> None:
    """A camera that sees every visible mesh; white light all around where the scene has none."""
    meshes = [o for o in scene.objects if o.type == "MESH" and not o.hide_render]
    corners = [o.matrix_world @ Vector(c) for o in meshes for c in o.bound_box] or [Vector()]
    low, high = (Vector(f(c[i] for c in corners) for i in range(3)) for f in (min, max))
    center, radius = (low + high) / 2, max((high - low).length / 2, 0.01)
    data = bpy.data.cameras.new("View")
    camera = scene.camera = bpy.data.objects.new("View", data)
    scene.collection.objects.link(camera)
    away = Vector((0.55, -1, 0.5)).normalized()
    distance = radius * 3.2
    camera.location = center + away * distance
    camera.rotation_euler = away.to_track_quat("Z", "Y").to_euler()
    data.clip_start, data.clip_end = distance / 1000, distance * 10
    if scene.world is None and not any(o.type == "LIGHT" for o in scene.objects):
        scene.world = bpy.data.worlds.new("View")
        scene.world.color = (1, 1, 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("blend", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--shift", type=float, default=0.0)
    args = parser.parse_args()
    render(args.blend.resolve(), args.output.resolve(), args.width, args.samples, args.shift)
