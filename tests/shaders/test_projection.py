"""Decoders find texture coordinates as Image Texture nodes of the same projection do: on a ball, in pictures."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import bpy
import numpy as np
import pytest

from imagegs_blender.blend.decoder import Decoder
from imagegs_blender.blend.properties import BAKED, NODES, OSL
from imagegs_blender.blend.record import Record
from imagegs_blender.core.decoding import lod, tables
from imagegs_blender.core.gaussians import Gaussians
from imagegs_blender.core.igs import stream
from imagegs_blender.core.textures.texture_stack import Channel, ColorSpace, Depth, MapInfo, Role
from imagegs_blender.shaders import decoder
from tests import samples

from . import osl_worker, plane

WIDTH, HEIGHT = 160, 128
PIXELS = 96
SPHERE, TUBE = "SPHERE", "TUBE"
CASES = [(SPHERE, "Generated", "REPEAT"), (TUBE, "Object", "EXTEND"),
         (SPHERE, "Object", "EXTEND"), ("FLAT", "Window", "REPEAT"), ("FLAT", "Normal", "MIRROR")]  # fmt: skip
"""Projection, coordinates, extension."""

MAPS = (
    MapInfo("color", Role.COLOR, ColorSpace.SRGB, Depth.U8, "RGB", WIDTH, HEIGHT,
            tuple(Channel("plane", plane) for plane in range(3))),
)  # fmt: skip


def smooth(wrap: bool) -> Gaussians:
    """A smooth picture, different everywhere."""
    rng = np.random.default_rng(3)
    mean = rng.random((300, 2))
    waves = 2 * np.pi * (mean @ np.array([[1, 0, 2], [1, 2, -1]]) + rng.random(3))
    feature = 0.5 + 0.4 * np.sin(waves)
    arrays = (mean, np.full((300, 2), 9.0), np.zeros(300), feature, np.zeros(300))
    return Gaussians(*(a.astype(np.float32) for a in arrays), WIDTH, HEIGHT, wrap, 10)


def stage(group: bpy.types.ShaderNodeTree | None, picture: bpy.types.Image, case: tuple[str, str, str]) -> list[str]:
    """A ball that shows the decoder, or without one the picture, and a camera on it that sees the seam and both poles."""
    projection, coordinates, extension = case
    bpy.ops.mesh.primitive_uv_sphere_add(segments=48, ring_count=24, radius=1.0)
    ball = bpy.context.object
    bpy.ops.object.shade_smooth()
    material = bpy.data.materials.new("ball")
    if material.node_tree is None:
        material.use_nodes = True
    ball.data.materials.append(material)
    tree = material.node_tree
    tree.nodes.clear()
    emission, surface = tree.nodes.new("ShaderNodeEmission"), tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(emission.outputs[0], surface.inputs["Surface"])
    if group is None:
        node = tree.nodes.new("ShaderNodeTexImage")
        node.image, node.projection, node.extension = picture, projection, extension
    else:
        node = tree.nodes.new("ShaderNodeGroup")
        node.node_tree = group
    tree.links.new(tree.nodes.new("ShaderNodeTexCoord").outputs[coordinates], node.inputs["Vector"])
    tree.links.new(node.outputs[0], emission.inputs["Color"])
    scene = bpy.context.scene
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    camera.data.type, camera.data.ortho_scale = "ORTHO", 2.2
    camera.location, camera.rotation_euler = (0.0, -4.0, 3.0), (np.arctan2(4.0, 3.0), 0.0, 0.0)
    scene.render.resolution_x = scene.render.resolution_y = PIXELS
    scene.render.resolution_percentage = 100
    return ["color"]


def picture_of(gaussians: Gaussians) -> bpy.types.Image:
    """What the Gaussians decode to, as an image of bytes."""
    planes = lod.planes(gaussians, tables.build(gaussians, MAPS).tail, 0.0)
    image = bpy.data.images.new("picture", WIDTH, HEIGHT)
    rgba = np.ones((HEIGHT, WIDTH, 4), np.float32)
    rgba[..., :3] = np.moveaxis(np.clip(planes, 0, 1), 0, 2)[::-1]
    image.pixels.foreach_set(rgba.ravel())
    image.pack()
    return image


def built(gaussians: Gaussians, case: tuple[str, str, str], kind: str) -> Decoder:
    data = stream.write(gaussians, MAPS)
    made = decoder.create("Stack", stream.read(data), data, Record(extension=case[2], projection=case[0]))
    if kind != NODES:
        decoder.set_kind(made, kind)
    return made


def shot(engine: str, folder: Path, case: tuple[str, str, str], kind: str | None) -> np.ndarray:
    """The ball as rendered, with a decoder or, where kind is None, with an Image Texture node."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    plane.enable_cycles()
    gaussians = smooth(case[2] == "REPEAT")
    group = built(gaussians, case, kind).tree if kind else None
    outputs = stage(group, picture_of(gaussians), case)
    bpy.context.scene.cycles.shading_system = kind == OSL
    return plane.render(engine, folder, outputs)["color"]


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Decibels of what is encoded as sRGB."""
    codes = [samples.encoded({"color": picture})["color"] for picture in (one, other)]
    return float(-10 * np.log10(np.mean((codes[0] - codes[1]) ** 2)))


@pytest.mark.parametrize(
    ("engine", "case"), [*product(plane.ENGINES, CASES[:2]), *product(["CYCLES"], CASES[2:])], ids=str
)
def test_like_an_image_texture_node(tmp_path: Path, engine: str, case: tuple[str, str, str]) -> None:
    truth = shot(engine, tmp_path, case, None)
    assert truth.std() > 0.05, "the picture is seen"
    for kind in (NODES, BAKED):
        found = psnr(shot(engine, tmp_path, case, kind), truth)
        assert found > 35, f"{kind}: {found:.1f} dB"


@pytest.mark.parametrize("case", CASES[:2], ids="-".join)
def test_osl(tmp_path: Path, case: tuple[str, str, str]) -> None:
    """A seam is no large footprint, and neither is a pole, where every meridian is near."""
    truth = shot("CYCLES", tmp_path, case, None)
    found = psnr(osl_worker.ball(tmp_path, case), truth)
    assert found > 35, f"{found:.1f} dB"
