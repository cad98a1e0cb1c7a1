"""LOD by distance: one level coarser each time the camera is twice as far."""

from __future__ import annotations

from collections.abc import Iterator

import bpy
import numpy as np
import pytest

from imagegs_blender.blend.decoder import Decoder
from imagegs_blender.blend.properties import PROJECTION
from imagegs_blender.blend.record import Record
from imagegs_blender.core.decoding import node_tables as tables
from imagegs_blender.core.igs import stream
from imagegs_blender.core.textures.texture_stack import Channel, ColorSpace, Depth, MapInfo, Role
from imagegs_blender.shaders.decoder import from_tables
from imagegs_blender.workflow import distance
from tests import samples

SIZE = 256


@pytest.fixture
def node() -> Iterator[bpy.types.ShaderNodeGroup]:
    """A 2 x 2 plane that shows a texture once, and a camera above it whose pixel is 1/64 unit at distance 1."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    rng = np.random.default_rng(0)
    count = 40
    mean, scale, feature = rng.random((count, 2)), np.full((count, 2), 30), rng.random((count, 1))
    gaussians = samples.gaussians(mean, scale, np.zeros(count), feature, np.zeros(count), SIZE, SIZE)
    info = MapInfo("gray", Role.DATA, ColorSpace.RAW, Depth.U8, "L", SIZE, SIZE, (Channel("plane", 0),))
    group = from_tables("Gray", [info], tables.build(gaussians)).tree
    Decoder(group).store(stream.write(gaussians, (info,)), Record())
    bpy.ops.mesh.primitive_plane_add(size=2)
    material = bpy.data.materials.new("Gray")
    if bpy.app.version < (5, 0):
        material.use_nodes = True
    bpy.context.object.data.materials.append(material)
    found = material.node_tree.nodes.new("ShaderNodeGroup")
    found.node_tree = group
    scene = bpy.context.scene
    scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(scene.camera)
    scene.camera.data.lens = scene.camera.data.sensor_width
    scene.render.resolution_x = scene.render.resolution_y = 64
    distance.register()
    yield found
    distance.unregister()


def test_by_distance(node: bpy.types.ShaderNodeGroup) -> None:
    scene = bpy.context.scene
    seen = []
    for z in (0.25, 1.0, 2.0, 4.0):
        scene.camera.location.z = z
        bpy.context.view_layer.update()
        assert distance.set_levels(scene) == 1
        seen.append(node.inputs["LOD"].default_value)
    # 128 texels a unit, 64 / z pixels a unit
    assert seen == pytest.approx([0.0, 1.0, 2.0, 3.0], abs=1e-3)


def test_what_is_not_mapped_by_uv_is_left_alone(node: bpy.types.ShaderNodeGroup) -> None:
    scene, tree = bpy.context.scene, node.id_data
    scene.camera.location.z = 4.0
    coordinates = tree.nodes.new("ShaderNodeTexCoord")
    link = tree.links.new(coordinates.outputs["Generated"], node.inputs["Vector"])
    assert distance.set_levels(scene) == 0 and node.inputs["LOD"].default_value == 0
    tree.links.remove(link)
    PROJECTION.write(node.node_tree, "SPHERE")
    assert distance.set_levels(scene) == 0 and node.inputs["LOD"].default_value == 0


def test_frames_bias_and_sockets_that_someone_linked(node: bpy.types.ShaderNodeGroup) -> None:
    scene = bpy.context.scene
    for frame, z in ((1, 1.0), (11, 4.0)):
        scene.camera.location.z = z
        scene.camera.keyframe_insert("location", frame=frame)
    scene.frame_set(1)
    assert node.inputs["LOD"].default_value == 0.0  # switched off
    scene.imagegs_lod_by_distance = True
    scene.imagegs_lod_bias = 0.5
    levels = []
    for frame in (1, 11):
        scene.frame_set(frame)
        levels.append(node.inputs["LOD"].default_value)
    assert levels == pytest.approx([1.5, 3.5], abs=1e-3)
    value = node.id_data.nodes.new("ShaderNodeValue")
    node.id_data.links.new(value.outputs[0], node.inputs["LOD"])
    assert distance.set_levels(scene) == 0
