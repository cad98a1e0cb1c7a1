"""By Camera: what the renders of real scenes gain at equal bytes, and what cameras lose that it didn't know.

    python benchmarks/camera_weights.py FILE.blend... [--bppc 0.03] [--preset balanced] [--near] [--pictures FOLDER]

Compresses all materials of each file with maps alike, By Render and By Camera. Prints the bytes of the streams and, against the
render of the originals by Cycles, PSNR and FLIP of the scene's own camera, and of one that is turned by 50 degrees around what
the first one looks at. Renders have 32 samples and half again the size that the weights were measured at.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import bpy
import flip_evaluator
import numpy as np
from mathutils import Matrix, Vector
from PIL import Image

import addon_utils  # isort: skip  # part of Blender: there once bpy is imported

import imagegs_blender
from imagegs_blender.blend.decoder import decoders
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.workflow import compress
from imagegs_blender.workflow.run import compress as run

WIDTH, TURN = 480, np.radians(50)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--bppc", type=float, default=0.03, help="bits per pixel per channel (%(default)s)")
    parser.add_argument("--preset", default="balanced", help="(%(default)s)")
    parser.add_argument(
        "--near", action="store_true", help="first move the camera until what is textured fills the picture"
    )
    parser.add_argument("--pictures", type=Path, help="folder for the renders")
    args = parser.parse_args()
    addon_utils.enable("cycles")
    imagegs_blender.register()
    for path in args.files:
        whole = pictures(path, None, args)
        for weigh in ("alike", "render", "camera"):
            found = pictures(path, weigh, args)
            text = []
            for view, (picture, original) in enumerate(zip(found, whole, strict=True)):
                psnr = -10 * np.log10(np.mean((picture - original) ** 2))
                flip = flip_evaluator.evaluate(original, picture, "LDR")[1]
                text.append(f"{('own camera', 'turned')[view]} {psnr:.2f} dB, FLIP {flip:.4f}")
            print(
                path.stem,
                weigh,
                f"{sum(decoder.stream_size for decoder in decoders())} bytes",
                *text,
                sep="\t",
                flush=True,
            )
    os._exit(0)


def pictures(path: Path, weigh: str | None, args: argparse.Namespace) -> list[np.ndarray]:
    """(height, width, 3) float32 0..1 by both cameras; weigh None: of the originals."""
    bpy.ops.wm.open_mainfile(filepath=str(path))
    scene = bpy.context.scene
    if args.near:
        approach(scene)
    if weigh is not None:
        plan = planned()
        settings = FitSettings.preset(args.preset, weigh=weigh, device="cpu")
        for stack in plan.stacks:
            print(f"  {stack.name}: {len(stack.maps)} maps", file=sys.stderr)
        channels = max(sum(len(m.channels) for m in stack.maps) for stack in plan.stacks)
        outcome = run(plan, settings.with_amount({"bpp": args.bppc * channels}), kind="BAKED")
        for notice in outcome.notices:
            print("  ", notice.subject, notice.text, file=sys.stderr)
    scene.render.engine, scene.cycles.samples, scene.cycles.seed = "CYCLES", 32, 7
    scene.cycles.use_denoising = scene.cycles.use_adaptive_sampling = False
    scene.render.resolution_y = round(scene.render.resolution_y * WIDTH / scene.render.resolution_x)
    scene.render.resolution_x, scene.render.resolution_percentage = WIDTH, 100
    scene.render.use_compositing = scene.render.use_sequencer = False
    scene.render.image_settings.file_format, scene.render.image_settings.color_mode = "PNG", "RGB"
    folder = args.pictures or Path(bpy.app.tempdir)
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for view in range(2):
        if view == 1:
            turn(scene)
        scene.render.filepath = str(folder / f"{path.stem}_{weigh}_{view}.png")
        bpy.ops.render.render(write_still=True)
        found.append(np.asarray(Image.open(scene.render.filepath).convert("RGB"), np.float32) / 255)
    return found


def planned() -> compress.Plan:
    return compress.planned([material for material in bpy.data.materials if material.library is None])


def approach(scene: bpy.types.Scene) -> None:
    """Move the camera, without turning it, until it sees all objects with textures and not much else."""
    names = {name for stack in planned().stacks for name in stack.materials}
    meshes = [obj for obj in scene.objects if obj.type == "MESH"]
    textured = [
        obj for obj in meshes if any(slot.material and slot.material.name in names for slot in obj.material_slots)
    ]
    corners = np.array([obj.matrix_world @ Vector(corner) for obj in textured for corner in obj.bound_box])
    middle, radius = Vector((corners.min(0) + corners.max(0)) / 2), np.linalg.norm(np.ptp(corners, 0)) / 2
    camera = scene.camera
    ahead = camera.matrix_world.to_quaternion() @ Vector((0, 0, -1))
    camera.data.clip_start = min(camera.data.clip_start, radius / 100)
    camera.matrix_world.translation = middle - ahead * float(radius / np.sin(camera.data.angle / 2) * 0.7)


def turn(scene: bpy.types.Scene) -> None:
    """Turn the camera around what is in the middle of its picture, about the vertical."""
    camera = scene.camera
    matrix = camera.matrix_world.copy()
    ahead = matrix.to_quaternion() @ Vector((0, 0, -1))
    hit, place, *_ = scene.ray_cast(bpy.context.evaluated_depsgraph_get(), matrix.translation, ahead)
    middle = place if hit else matrix.translation + ahead * 2
    camera.constraints.clear()
    camera.animation_data_clear()
    around = Matrix.Translation(middle) @ Matrix.Rotation(TURN, 4, "Z") @ Matrix.Translation(-middle)
    camera.matrix_world = around @ matrix


if __name__ == "__main__":
    main()
