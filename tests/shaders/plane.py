"""A flat emission plane, texel for pixel: what a decoder gives at every texel center, as rendered."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import bpy
import numpy as np

EEVEE = "BLENDER_EEVEE" if bpy.app.version >= (5, 0) else "BLENDER_EEVEE_NEXT"
ENGINES = ("CYCLES", EEVEE)


Window = tuple[float, float, float]

Shot = tuple[bpy.types.ShaderNodeTree, float, int, int]
"""A group, its LOD, and the width and height in pixels of each of its planes."""


def stage(
    group: bpy.types.ShaderNodeTree, width: int, height: int, lod: float = 0.0, window: Window = (0.0, 0.0, 1.0)
) -> list[str]:
    """Add one plane per output of the group, one above the other, each width x height pixels, and a camera on them.

    window   (u, v, size) of the texture coordinates that a plane shows
    Returns the outputs, top first.
    """
    return stage_shots([(group, lod, width, height)], window)


def stage_shots(shots: Sequence[Shot], window: Window = (0.0, 0.0, 1.0)) -> list[str]:
    """stage() of several groups with the same outputs in one picture, one below the other."""
    scene = bpy.context.scene
    outputs = [item.name for item in shots[0][0].interface.items_tree if item.in_out == "OUTPUT"]
    wide, high = max(shot[2] for shot in shots), len(outputs) * sum(shot[3] for shot in shots)
    bottom = high
    for (group, lod, width, height), output in product(shots, outputs):
        bottom -= height
        bpy.ops.mesh.primitive_plane_add(size=1, location=(0.5 * width, bottom + 0.5 * height, 0))
        plane = bpy.context.object
        plane.scale = (width, height, 1)
        plane.data.materials.append(_material(group, output, lod, window))
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    camera.data.type = "ORTHO"
    camera.data.ortho_scale = max(wide, high)
    camera.location = (0.5 * wide, 0.5 * high, 10)
    scene.render.resolution_x, scene.render.resolution_y = wide, high
    scene.render.resolution_percentage = 100
    return outputs


def summed(group: bpy.types.ShaderNodeTree) -> bpy.types.ShaderNodeTree:
    """A group with one output, "sum": all color outputs added, so that one material needs them all."""
    tree = bpy.data.node_groups.new("Sum", "ShaderNodeTree")
    tree.interface.new_socket("Vector", in_out="INPUT", socket_type="NodeSocketVector")
    tree.interface.new_socket("LOD", in_out="INPUT", socket_type="NodeSocketFloat")
    tree.interface.new_socket("sum", in_out="OUTPUT", socket_type="NodeSocketColor")
    source, target = tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput")
    decoder = tree.nodes.new("ShaderNodeGroup")
    decoder.node_tree = group
    tree.links.new(source.outputs["Vector"], decoder.inputs["Vector"])
    tree.links.new(source.outputs["LOD"], decoder.inputs["LOD"])
    total = decoder.outputs[0]
    for output in decoder.outputs[1:]:
        add = tree.nodes.new("ShaderNodeVectorMath")
        tree.links.new(total, add.inputs[0])
        tree.links.new(output, add.inputs[1])
        total = add.outputs[0]
    tree.links.new(total, target.inputs["sum"])
    return tree


def render(engine: str, folder: Path, outputs: list[str]) -> dict[str, np.ndarray]:
    """Render the stage: output -> (height, width, 3) float32 scene-linear, row 0 on top."""
    return dict(zip(outputs, np.split(_picture(engine, folder), len(outputs)), strict=True))


def render_shots(engine: str, folder: Path, shots: Sequence[Shot], outputs: list[str]) -> list[dict[str, np.ndarray]]:
    """render() for each of several shots."""
    rows = _picture(engine, folder)
    found: list[dict[str, np.ndarray]] = [{} for _ in shots]
    for (shot, (_, _, width, height)), output in product(enumerate(shots), outputs):
        found[shot][output], rows = rows[:height, :width], rows[height:]
    return found


def read(path: Path, outputs: list[str]) -> dict[str, np.ndarray]:
    """The picture that render wrote, cut into its outputs."""
    return dict(zip(outputs, np.split(_read(path), len(outputs)), strict=True))


def link(library: Path, width: int, height: int) -> None:
    """Link the stage of another file, width x height pixels."""
    with bpy.data.libraries.load(str(library), link=True) as (there, here):
        here.objects = there.objects
    scene = bpy.context.scene
    for obj in here.objects:
        scene.collection.objects.link(obj)
    scene.camera = next(obj for obj in here.objects if obj.type == "CAMERA")
    scene.render.resolution_x, scene.render.resolution_y = width, height


def enable_cycles() -> None:
    import addon_utils  # part of Blender: found once bpy is imported

    addon_utils.enable("cycles")


def _picture(engine: str, folder: Path) -> np.ndarray:
    scene = bpy.context.scene
    scene.render.engine = engine
    scene.render.filter_size = 0.01
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "32"
    scene.render.filepath = str(folder / f"{engine}.exr")
    if engine == "CYCLES":
        scene.cycles.samples = 1
        scene.cycles.use_denoising = False
        scene.cycles.use_adaptive_sampling = False
        scene.cycles.pixel_filter_type = "BOX"
        scene.cycles.filter_width = 0.01
        scene.cycles.max_bounces = 0
    else:
        scene.eevee.taa_render_samples = 1
        # OpenGL in software mixes neighboring texels of any image where anisotropic filtering is on, at 1:1, too
        filtering = scene.render if hasattr(scene.render, "anisotropic_filter") else bpy.context.preferences.system
        filtering.anisotropic_filter = "FILTER_0"
    bpy.ops.render.render(write_still=True)
    return _read(Path(scene.render.filepath))


def _read(path: Path) -> np.ndarray:
    picture = bpy.data.images.load(str(path))
    picture.colorspace_settings.name = "Non-Color"
    width, height = picture.size
    pixels = np.empty(width * height * 4, np.float32)
    picture.pixels.foreach_get(pixels)
    bpy.data.images.remove(picture)
    return pixels.reshape(height, width, 4)[::-1, :, :3]


def _material(group: bpy.types.ShaderNodeTree, output: str, lod: float, window: Window) -> bpy.types.Material:
    material = bpy.data.materials.new(output)
    if bpy.app.version < (5, 0):
        material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    decoder = tree.nodes.new("ShaderNodeGroup")
    decoder.node_tree = group
    decoder.inputs["LOD"].default_value = lod
    emission, surface = tree.nodes.new("ShaderNodeEmission"), tree.nodes.new("ShaderNodeOutputMaterial")
    mapping = tree.nodes.new("ShaderNodeMapping")
    mapping.inputs["Location"].default_value = (*window[:2], 0)
    mapping.inputs["Scale"].default_value = (window[2], window[2], 1)
    tree.links.new(tree.nodes.new("ShaderNodeTexCoord").outputs["UV"], mapping.inputs["Vector"])
    tree.links.new(mapping.outputs["Vector"], decoder.inputs["Vector"])
    tree.links.new(decoder.outputs[output], emission.inputs["Color"])
    tree.links.new(emission.outputs[0], surface.inputs["Surface"])
    return material
