"""Level of detail by distance: every material decodes no more than the active camera can see.

An object's LOD is the base-2 logarithm of how many texels fall on a pixel, where the object is nearest to the camera;
a material takes the finest LOD of the objects that use it. Both scene properties are drawn by the panel:
`imagegs_lod_by_distance` switches the handler on, `imagegs_lod_bias` is added for every material.
"""

from __future__ import annotations

from collections import defaultdict
from math import floor, log2

import bpy
import numpy as np
from mathutils import Vector

from ..blend import border
from ..blend.decoder import Decoder, decoder_nodes
from ..blend.properties import BAKED, FLAT, MAX_LOD
from ..scene import replace, walk
from .levels import follow_levels

NEAREST = 1e-3
"""Distances below are treated as this, Blender units: the camera is inside."""


def set_levels(scene: bpy.types.Scene) -> int:
    """Set the LOD of every decoder that an object of the scene shows.

    Left alone are sockets that are linked, decoders with damaged properties, and those that are not mapped by UV: how
    large their texels are on a mesh is not known. Baked images are decoded anew where that moves them to another whole
    level. Returns how many group nodes were set; 0 without a camera.
    """
    if scene.camera is None:
        return 0
    finest: dict[bpy.types.Material, float] = defaultdict(lambda: float("inf"))
    for obj in scene.objects:
        if obj.type != "MESH":
            continue
        pixels = _pixels_per_unit(obj, scene)
        for index, slot in enumerate(obj.material_slots):
            material = slot.material
            if material is not None:
                unit = _texture_per_unit(obj, index)
                finest[material] = min(finest[material], log2(max(unit, 1e-12) / pixels))
    count = 0
    for material, level in finest.items():
        for tree in replace.trees([material]):
            for node in decoder_nodes(tree):
                decoder = Decoder(border.tree_of(node))
                if decoder.is_sound and not node.inputs["LOD"].is_linked and _is_mapped_by_uv(node, decoder):
                    width, height = decoder.size
                    wanted = level + log2((width * height) ** 0.5) + border.ours(scene).imagegs_lod_bias
                    wanted = min(max(wanted, 0.0), MAX_LOD)
                    lod = floor(wanted) if decoder.kind == BAKED else wanted
                    border.set_value(node.inputs["LOD"], lod)
                    count += 1
    follow_levels()
    return count


def _pixels_per_unit(obj: bpy.types.Object, scene: bpy.types.Scene) -> float:
    """Pixels that one Blender unit covers at the nearest point of an object's bounding box."""
    camera, render = scene.camera, scene.render
    assert camera is not None and isinstance(camera.data, bpy.types.Camera)
    across = max(render.resolution_x, render.resolution_y) * render.resolution_percentage / 100
    if camera.data.type == "ORTHO":
        return across / camera.data.ortho_scale
    eye = obj.matrix_world.inverted_safe() @ camera.matrix_world.translation
    corners = np.array(obj.bound_box)
    nearest = obj.matrix_world @ Vector(np.clip(np.array(eye), corners.min(0), corners.max(0)).tolist())
    distance = max((nearest - camera.matrix_world.translation).length, NEAREST)
    return across * camera.data.lens / camera.data.sensor_width / distance


def _texture_per_unit(obj: bpy.types.Object, material_index: int) -> float:
    """How often the texture space repeats along one Blender unit of the faces with a material: mean over their area."""
    mesh = border.mesh_of(obj)
    layer = mesh.uv_layers.active
    if layer is None or not len(mesh.polygons):
        return 0.0
    mesh.calc_loop_triangles()
    count = len(mesh.loop_triangles)
    loops, corners = np.empty(3 * count, np.int32), np.empty(3 * count, np.int32)
    faces, slots = np.empty(count, np.int32), np.empty(len(mesh.polygons), np.int32)
    places, uvs = np.empty(3 * len(mesh.vertices), np.float32), np.empty(2 * len(mesh.loops), np.float32)
    mesh.loop_triangles.foreach_get("loops", loops)
    mesh.loop_triangles.foreach_get("vertices", corners)
    mesh.loop_triangles.foreach_get("polygon_index", faces)
    mesh.polygons.foreach_get("material_index", slots)
    mesh.vertices.foreach_get("co", places)
    layer.uv.foreach_get("vector", uvs)
    used = slots[faces] == material_index
    world = places.reshape(-1, 3) @ np.array(obj.matrix_world.to_3x3(), np.float32).T
    a, b, c = np.moveaxis(world[corners.reshape(-1, 3)[used]], 1, 0)
    u, v, w = np.moveaxis(uvs.reshape(-1, 2)[loops.reshape(-1, 3)[used]], 1, 0)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()
    (x1, y1), (x2, y2) = (v - u).T, (w - u).T
    return float((np.abs(x1 * y2 - x2 * y1).sum() / max(area, 1e-12)) ** 0.5)


def _is_mapped_by_uv(node: bpy.types.ShaderNodeGroup, decoder: Decoder) -> bool:
    return decoder.projection == FLAT and walk.foreign_coordinates(border.input_of(node, "Vector")) is None


@bpy.app.handlers.persistent
def _on_frame(scene: bpy.types.Scene, *_: object) -> None:
    if border.ours(scene).imagegs_lod_by_distance:
        set_levels(scene)


def register() -> None:
    border.Scene.imagegs_lod_by_distance = bpy.props.BoolProperty(
        name="LOD by Distance",
        description="Set every decoder's level of detail from how large its texels are for the active camera, each frame",
        update=lambda scene, context: _on_frame(scene),
    )
    border.Scene.imagegs_lod_bias = bpy.props.FloatProperty(
        name="LOD Bias",
        description="Added to the level of detail by distance: above 0 is coarser, below 0 finer",
        soft_min=-2.0, soft_max=4.0, update=lambda scene, context: _on_frame(scene),
    )  # fmt: skip
    bpy.app.handlers.frame_change_post.append(_on_frame)


def unregister() -> None:
    bpy.app.handlers.frame_change_post.remove(_on_frame)
    del border.Scene.imagegs_lod_bias
    del border.Scene.imagegs_lod_by_distance
