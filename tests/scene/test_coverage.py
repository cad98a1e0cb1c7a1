"""Which texels meshes show: triangles against a plain definition, and meshes with their materials, UV maps and masks."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest

from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.textures import rasterize as raster
from imagegs_blender.scene import coverage, material_stack
from imagegs_blender.scene.coverage import LEAST, MARGIN, Importance
from tests.workflow import scene


def plan(item: bpy.types.Object) -> material_stack.StackPlan:
    (stack,) = material_stack.plan([item.active_material]).stacks
    return stack


@pytest.mark.parametrize("wrap", [True, False])
def test_every_texel_that_holds_a_point_of_a_triangle_is_drawn(wrap: bool) -> None:
    """Random triangles, some far outside: texels hit by points inside them are drawn, texels well away are not."""
    rng = np.random.default_rng(5)
    height, width = 24, 40
    corners = rng.uniform(-30, 60, (20, 1, 2)) + rng.uniform(-6, 6, (20, 3, 2))
    mask = np.zeros((height, width), np.float32)
    raster.draw(corners, np.ones((20, 3)), mask, wrap)
    hit = np.zeros_like(mask)
    share = rng.dirichlet((1, 1, 1), 40_000)
    for triangle in corners:
        points = np.floor(share @ triangle).astype(int)
        if wrap:
            points %= (width, height)
        inside = (points >= 0).all(axis=1) & (points < (width, height)).all(axis=1)
        hit[points[inside, 1], points[inside, 0]] = 1
    assert hit.any() and not (hit > mask).any(), "every texel that a triangle touches"
    assert not (mask > raster.grow(hit, 1, wrap)).any(), "and none that is more than a texel away"


def test_only_what_a_mesh_shows_counts(tmp_path: Path) -> None:
    item = scene.plane("square", tmp_path, uv=(0.5, 0.25))
    weights = coverage.weights(plan(item), Importance())
    used = np.zeros((32, 32), bool)
    used[24:, :16] = True  # v counts upwards
    assert weights[used].all()
    wrapped = raster.grow(used.astype(np.float32), MARGIN + 1, True)
    assert not weights[wrapped == 0].any() and 0 < weights.mean() < 0.8
    assert coverage.weights(plan(item), Importance(ignore_unused=False)) is None
    assert coverage.weights(plan(scene.plane("whole", tmp_path)), Importance()) is None, "all is shown"


def test_other_objects_and_coordinates_show_everything(tmp_path: Path) -> None:
    item = scene.plane("square", tmp_path, uv=(0.5, 0.5))
    tree = item.active_material.node_tree
    texture = next(node for node in tree.nodes if node.bl_idname == "ShaderNodeTexImage")
    curve = bpy.data.curves.new("curve", "CURVE")
    curve.materials.append(item.active_material)
    other = bpy.data.objects.new("curve", curve)
    bpy.context.scene.collection.objects.link(other)
    assert coverage.weights(plan(item), Importance()) is None, "a curve has UVs that nobody knows"
    bpy.data.objects.remove(other)
    assert coverage.weights(plan(item), Importance()) is not None
    mapping = tree.nodes.new("ShaderNodeMapping")
    mapping.inputs["Scale"].default_value = (3, 3, 3)
    uv = tree.nodes.new("ShaderNodeTexCoord")
    tree.links.new(uv.outputs["UV"], mapping.inputs["Vector"])
    for node in [n for n in tree.nodes if n.bl_idname == "ShaderNodeTexImage"]:
        tree.links.new(mapping.outputs["Vector"], node.inputs["Vector"])
    assert texture.inputs["Vector"].is_linked and coverage.weights(plan(item), Importance()) is None
    for node in [n for n in tree.nodes if n.bl_idname == "ShaderNodeTexImage"]:
        tree.links.new(uv.outputs["UV"], node.inputs["Vector"])
    assert coverage.weights(plan(item), Importance()) is not None, "a Texture Coordinate node says the same as none"
    for node in [n for n in tree.nodes if n.bl_idname == "ShaderNodeTexImage"]:
        node.projection = "SPHERE"
    assert coverage.weights(plan(item), Importance()) is None, "UVs are points of space here"


def test_modifiers_count(tmp_path: Path) -> None:
    item = scene.plane("square", tmp_path, uv=(0.25, 0.25))
    before = coverage.weights(plan(item), Importance()).mean()
    warp = item.modifiers.new("warp", "UV_WARP")
    warp.scale, warp.uv_layer = (2.0, 2.0), "UVMap"
    bpy.context.view_layer.update()
    assert coverage.weights(plan(item), Importance()).mean() > 1.5 * before


def test_masks_grade_what_counts(tmp_path: Path) -> None:
    item = scene.plane("square", tmp_path)
    mask = bpy.data.images.new("mask", 8, 8, float_buffer=True, is_data=True)
    pixels = np.zeros((8, 8, 4), np.float32)
    pixels[4:] = 1.0  # Blender's rows count upwards: the upper half
    mask.pixels.foreach_set(pixels.ravel())
    weights = coverage.weights(plan(item), Importance(image="mask"))
    assert weights[6:10].min() > 0.99 and np.allclose(weights[22:26], LEAST, atol=0.02), "blurred where they meet"

    colors = item.data.color_attributes.new("paint", "FLOAT_COLOR", "POINT")
    for vertex, value in enumerate((0, 0, 1, 1)):
        colors.data[vertex].color = (value, value, value, 1)
    weights = coverage.weights(plan(item), Importance(attribute="paint"))
    column = weights[:, 16]
    assert column[6] > column[16] > column[26] and np.ptp(column) > 0.5, "dark below, light above"
    with pytest.raises(ImageGSError, match="gone: the importance image was removed"):
        coverage.weights(plan(item), Importance(image="gone"))
