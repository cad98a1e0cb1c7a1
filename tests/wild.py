"""What a .blend shows and holds, in a process of its own: python wild.py IN.blend OUT [--restore]

Writes OUT.json, facts that compressing must not change, and with a camera OUT.npy, a small picture. With --restore the
originals are put back first, and no picture is made.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bpy
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import imagegs_blender  # noqa: E402
from imagegs_blender.scene import replace  # noqa: E402
from tests.scene import trees  # noqa: E402

WIDTH = 160
SAMPLES = 8


def main(blend: str, out: str, *options: str) -> None:
    imagegs_blender.register()
    bpy.ops.wm.open_mainfile(filepath=blend, load_ui=False)
    if "--restore" in options:
        replace.restore(bpy.data.materials)
    Path(f"{out}.json").write_text(json.dumps(facts()))
    if bpy.context.scene.camera and "--restore" not in options:
        np.save(f"{out}.npy", picture(bpy.context.scene))
    sys.stdout.flush()
    os._exit(0)  # bpy's destructors can wait forever


def facts() -> dict[str, Any]:
    """Room by room, what is in the open file; `materials` changes where textures are compressed, the rest never.

    Datablocks without a user, which Blender itself leaves out when it saves, do not count.
    """
    materials = [m for m in bpy.data.materials if m.users and m.node_tree and not m.library]
    return {
        "objects": {_name(item): _object(item) for item in bpy.data.objects if item.users},
        "meshes": {_name(mesh): _mesh(mesh) for mesh in bpy.data.meshes if mesh.users},
        "actions": {
            _name(action): [round(frame, 3) for frame in action.frame_range]
            for action in bpy.data.actions
            if action.users
        },
        "drivers": _drivers(),
        "libraries": sorted(os.path.realpath(bpy.path.abspath(library.filepath)) for library in bpy.data.libraries),
        "linked": sorted(f"{type(item).__name__} {_name(item)}" for item in _ids() if item.library),
        "worlds": {_name(world): _tree(world.node_tree) for world in bpy.data.worlds if world.users},
        "scenes": {scene.name: [scene.camera and scene.camera.name, len(scene.objects)] for scene in bpy.data.scenes},
        "collections": {_name(c): sorted(item.name for item in c.objects) for c in bpy.data.collections},
        "material names": sorted(_name(material) for material in bpy.data.materials if material.users),
        "materials": {material.name: _tree(material.node_tree) for material in materials},
        "groups": {tree.name: _tree(tree) for tree in replace.trees(materials) if not tree.is_embedded_data},
    }


def picture(scene: bpy.types.Scene, width: int = WIDTH, samples: int = SAMPLES) -> np.ndarray:
    """(height, width, 3) float32, 0..1 in about what a display shows: Cycles, always with the same noise."""
    import addon_utils  # known once bpy is imported

    addon_utils.enable("cycles")
    render = scene.render
    render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples, scene.cycles.use_denoising = "CPU", samples, False
    scene.cycles.use_adaptive_sampling, scene.cycles.seed, scene.cycles.use_animated_seed = False, 0, False
    height = max(1, round(width * render.resolution_y / render.resolution_x))
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    render.use_border = render.use_compositing = render.use_sequencer = render.use_motion_blur = False
    if bpy.app.version >= (5, 0):
        render.image_settings.media_type = "IMAGE"
    render.image_settings.file_format, render.image_settings.color_depth = "OPEN_EXR", "32"
    with tempfile.TemporaryDirectory() as folder:
        render.filepath = str(Path(folder, "render.exr"))
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(render.filepath)
        texels = np.empty(width * height * image.channels, np.float32)
        image.pixels.foreach_get(texels)
    return np.clip(texels.reshape(height, WIDTH, -1)[..., :3], 0, 1) ** np.float32(1 / 2.2)


def _ids() -> Iterable[bpy.types.ID]:
    for prop in bpy.data.bl_rna.properties:
        if prop.type == "COLLECTION":
            yield from (item for item in getattr(bpy.data, prop.identifier) if isinstance(item, bpy.types.ID))


def _name(item: bpy.types.ID) -> str:
    return f"{item.name} of {Path(item.library.filepath.replace(chr(92), '/')).name}" if item.library else item.name


def _object(item: bpy.types.Object) -> dict[str, Any]:
    return {
        "type": item.type,
        "data": item.data and item.data.name,
        "parent": item.parent and item.parent.name,
        "matrix": [round(value, 4) for row in item.matrix_world for value in row],
        "modifiers": [(modifier.name, modifier.type) for modifier in item.modifiers],
        "constraints": [(constraint.name, constraint.type) for constraint in item.constraints],
        "materials": [slot.material and slot.material.name for slot in item.material_slots],
        "action": item.animation_data and item.animation_data.action and item.animation_data.action.name,
        "properties": sorted(item.keys()),
    }


def _mesh(mesh: bpy.types.Mesh) -> dict[str, Any]:
    points = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", points)
    corners = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    coordinates = {}
    for layer in mesh.uv_layers:
        uv = np.empty(2 * len(layer.uv), np.float32)
        layer.uv.foreach_get("vector", uv)
        coordinates[layer.name] = _hash(uv)
    return {
        "counts": [len(mesh.vertices), len(mesh.edges), len(mesh.polygons)],
        "vertices": _hash(points),
        "corners": _hash(corners),
        "uv": coordinates,
        "attributes": sorted(attribute.name for attribute in mesh.attributes),
        "shape keys": mesh.shape_keys and [block.name for block in mesh.shape_keys.key_blocks],
    }


def _drivers() -> list[str]:
    found = []
    for item in _ids():
        for owner in (item, getattr(item, "node_tree", None), getattr(item, "shape_keys", None)):
            animation = getattr(owner, "animation_data", None)
            found += [
                f"{_name(item)}: {curve.data_path}[{curve.array_index}] = {curve.driver.expression}"
                for curve in (animation.drivers if animation else ())
            ]
    return sorted(found)


def _tree(tree: bpy.types.NodeTree | None) -> Any:
    return None if tree is None else json.loads(json.dumps(trees.dump(tree)))


def _hash(values: np.ndarray) -> str:
    return hashlib.blake2b(values.tobytes(), digest_size=8).hexdigest()


if __name__ == "__main__":
    main(*sys.argv[1:])
