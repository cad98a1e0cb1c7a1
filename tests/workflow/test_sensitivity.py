"""By Render and By Camera: maps count as much as small renders say, and alike where there are none."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import psutil
import pytest

from imagegs_blender.blend.decoder import decoders
from imagegs_blender.core.decoding import decode
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.core.textures.texture_stack import SourceMap
from imagegs_blender.scene import pixels
from imagegs_blender.scene.material_stack import MapPlan, StackPlan
from imagegs_blender.workflow import compress, sensitivity
from imagegs_blender.workflow.notices import Severity
from imagegs_blender.workflow.run import compress as run
from tests.workflow import scene

pytestmark = pytest.mark.usefixtures("addon")

SETTINGS = replace(FitSettings.preset("fast"), bpp=16.0, max_steps=100, device="cpu", weigh="render")


@pytest.fixture
def material(tmp_path: Path) -> bpy.types.Material:
    """With a color and a roughness map."""
    return scene.plane("square", tmp_path).active_material


def stack(material: bpy.types.Material) -> StackPlan:
    (found,) = compress.planned([material]).stacks
    return found


def measured(material: bpy.types.Material, weigh: str = "render") -> sensitivity.Sensitivity:
    return waited(sensitivity.measured(stack(material), weigh))


def waited(renders: Generator[bool, None, sensitivity.Sensitivity]) -> sensitivity.Sensitivity:
    while True:
        try:
            next(renders)
        except StopIteration as end:
            return end.value


def test_what_shows_counts_and_what_does_not_is_not_given_up(material: bpy.types.Material) -> None:
    """Of a rough surface, the color shows more than how rough it is."""
    before = scene.state()
    color, rough = (m.name for m in stack(material).maps)
    weights = measured(material).weights()
    assert weights[color] == 1.0 and sensitivity.LEAST <= weights[rough] < 0.5
    assert scene.state() == before


def test_nodes_in_groups_are_found(material: bpy.types.Material) -> None:
    tree = material.node_tree
    group = bpy.data.node_groups.new("inside", "ShaderNodeTree")
    group.interface.new_socket("Color", in_out="OUTPUT", socket_type="NodeSocketColor")
    texture = next(node for node in tree.nodes if node.bl_idname == "ShaderNodeTexImage")
    inside, end = group.nodes.new("ShaderNodeTexImage"), group.nodes.new("NodeGroupOutput")
    inside.image = texture.image
    group.links.new(inside.outputs["Color"], end.inputs[0])
    node = tree.nodes.new("ShaderNodeGroup")
    node.node_tree = group
    target = texture.outputs["Color"].links[0].to_socket
    tree.nodes.remove(texture)
    tree.links.new(node.outputs[0], target)
    assert max(measured(material).weights().values()) == 1.0


def test_groups_of_other_materials_are_left_out(material: bpy.types.Material, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack may be shared by materials of which each has groups of its own."""
    told = sensitivity._told

    def with_another(info: MapPlan) -> dict[str, Any]:
        found: dict[str, Any] = told(info)
        found["nodes"].append(("group", "a group of another material", "Image Texture"))
        return found

    monkeypatch.setattr(sensitivity, "_told", with_another)
    assert max(measured(material).weights().values()) == 1.0


def test_a_compression_weighs_and_says_what_to_expect(material: bpy.types.Material) -> None:
    work = compress.steps(compress.planned([material]), SETTINGS)
    phases: dict[compress.Phase, None] = {}
    while True:
        try:
            phases[next(work).phase] = None
        except StopIteration as end:
            outcome = end.value
            break
    assert compress.Phase.WEIGHING in phases
    assert not outcome.of(Severity.ERROR) and not outcome.of(Severity.WARNING)
    (done,) = outcome.done
    assert done.rendered is not None and 20 < done.rendered < 90
    (decoder,) = decoders()
    assert decoder.record.settings["weigh"] == "render"


def test_what_is_compressed_again_is_weighed_by_its_originals(material: bpy.types.Material) -> None:
    assert run(compress.planned([material]), replace(SETTINGS, weigh="alike")).done
    outcome = run(compress.planned([material], again=True), SETTINGS, again=True)
    assert not outcome.of(Severity.WARNING) and not outcome.of(Severity.ERROR)
    assert outcome.done[0].rendered is not None and len(decoders()) == 1


def test_alike_where_nothing_can_be_rendered(material: bpy.types.Material) -> None:
    tree = material.node_tree
    (link,) = next(node for node in tree.nodes if node.bl_idname == "ShaderNodeOutputMaterial").inputs["Surface"].links
    shown, target = link.from_socket, link.to_socket
    hidden, mixed = tree.nodes.new("ShaderNodeHoldout"), tree.nodes.new("ShaderNodeMixShader")
    mixed.inputs[0].default_value = 0.0
    tree.links.new(hidden.outputs[0], mixed.inputs[1])
    tree.links.new(shown, mixed.inputs[2])
    tree.links.new(mixed.outputs[0], target)
    outcome = run(compress.planned([material]), SETTINGS)
    (warning,) = outcome.of(Severity.WARNING)
    assert warning.text == "a render shows none of its maps, so it can't weigh them; all maps count alike"
    assert len(decoders()) == 1


def test_a_render_that_fails_is_one_line(material: bpy.types.Material, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensitivity, "SCRIPT", Path("no such script"))
    outcome = run(compress.planned([material]), SETTINGS)
    (warning,) = outcome.of(Severity.WARNING)
    assert "can't be weighed by a render (" in warning.text and "\n" not in warning.text


def test_a_render_that_takes_too_long_is_one_line(
    material: bpy.types.Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensitivity, "SECONDS", 0.0)
    outcome = run(compress.planned([material]), SETTINGS)
    (warning,) = outcome.of(Severity.WARNING)
    assert warning.text == "a render to weigh its maps took more than 0 s; all maps count alike"


def test_who_stops_it_leaves_no_process(material: bpy.types.Material) -> None:
    renders = sensitivity.measured(stack(material), "render")
    next(renders)
    mine = [child for child in psutil.Process().children() if str(sensitivity.SCRIPT) in " ".join(child.cmdline())]
    assert len(mine) == 1
    renders.close()
    assert not mine[0].is_running()


def test_errors_of_maps_add_up(material: bpy.types.Material) -> None:
    found = stack(material)
    color, rough = (m.name for m in found.maps)
    known = sensitivity.Sensitivity(found, {color: 0.5, rough: 0.05})
    assert known.psnr({color: 40.0, rough: 30.0}) == pytest.approx(40.0)
    assert known.psnr({color: 40.0, rough: None}) is None


def add_camera(place: tuple[float, float, float], name: str = "camera") -> bpy.types.Object:
    """One that looks down on 0.6 x 0.6 of the square, and a sun."""
    made = bpy.data.objects.new(name, bpy.data.cameras.new(name))
    made.data.type, made.data.ortho_scale = "ORTHO", 0.6
    made.location = place
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.data.energy, sun.rotation_euler = 3, (0.8, 0.4, 0)  # so that the square mirrors it nowhere
    bpy.context.scene.render.resolution_x = bpy.context.scene.render.resolution_y = 64
    for item in (made, sun):
        bpy.context.scene.collection.objects.link(item)
    return made


def test_what_cameras_see_counts_more(material: bpy.types.Material) -> None:
    """The lower left of the square: its texture's last rows, first columns."""
    add_camera((0.3, 0.3, 1))
    before = scene.state()
    found = measured(material, "camera")
    color, rough = (m.name for m in stack(material).maps)
    assert found.weights()[color] == 1.0 > found.weights()[rough]
    side = len(found.texels) // 4
    assert found.texels[-side:, :side].mean() > 0.4
    assert np.all(found.texels[2:side, -side:-2] == np.float32(sensitivity.LEAST_SEEN))
    assert scene.state() == before


def test_every_camera_counts(material: bpy.types.Material) -> None:
    add_camera((0.3, 0.3, 1))
    add_camera((0.7, 0.7, 1), "another")
    texels = measured(material, "camera").texels
    side = len(texels) // 4
    assert texels[-side:, :side].mean() > 0.4 and texels[:side, -side:].mean() > 0.3
    assert texels[:side, :side].mean() < 0.2


def test_a_camera_that_moves_is_asked_thrice(material: bpy.types.Material) -> None:
    camera = add_camera((0.3, 0.3, 1))
    camera.keyframe_insert("location", frame=bpy.context.scene.frame_start)
    camera.location = (0.7, 0.7, 1)
    camera.keyframe_insert("location", frame=bpy.context.scene.frame_end)
    texels = measured(material, "camera").texels
    side = len(texels) // 4
    assert texels[-side:, :side].mean() > 0.3 and texels[:side, -side:].mean() > 0.3


def test_a_stack_of_two_materials_is_seen_in_both(material: bpy.types.Material, tmp_path: Path) -> None:
    """The second square, beside the first, has the same images, and the camera sees only it."""
    other = scene.plane("other", tmp_path)
    other.location.x = 5
    other.data.materials[0] = material.copy()
    add_camera((5.3, 0.3, 1))
    (found,) = compress.planned([material, other.data.materials[0]]).stacks
    assert len(found.materials) == 2
    weights = waited(sensitivity.measured(found, "camera")).weights()
    assert max(weights.values()) == 1.0


def test_a_fit_by_camera_is_better_where_it_looks(material: bpy.types.Material) -> None:
    add_camera((0.3, 0.3, 1))
    outcome = run(compress.planned([material]), replace(SETTINGS, bpp=4.0, weigh="camera"))
    assert not outcome.of(Severity.WARNING) and not outcome.of(Severity.ERROR)
    (decoder,) = decoders()
    assert decoder.record.settings["weigh"] == "camera"
    decoded, color = decode.images(decoder.stream), stack_of_originals(outcome)
    errors = np.abs(decoded[color.name].astype(float) - color.pixels).mean(axis=2)
    assert errors[-12:, :12].mean() < 0.8 * errors[:12, -12:].mean()


def stack_of_originals(outcome: compress.Outcome) -> SourceMap:
    return pixels.read_map(outcome.done[0].stack.maps[0])


@pytest.mark.parametrize("place", [None, (9, 9, 1)])
def test_alike_where_no_camera_sees_it(material: bpy.types.Material, place: tuple[float, float, float] | None) -> None:
    if place:
        add_camera(place)
    outcome = run(compress.planned([material]), replace(SETTINGS, weigh="camera"))
    (warning,) = outcome.of(Severity.WARNING)
    name = f"no camera of the scene sees {material.name}"
    expected = name if place else "Scene: the scene has no camera; add one, or choose By Render"
    assert warning.text == f"{expected}; all maps count alike" and len(decoders()) == 1


def test_alike_in_a_scene_without_light(material: bpy.types.Material) -> None:
    add_camera((0.3, 0.3, 1))
    bpy.data.objects.remove(bpy.data.objects["sun"])
    bpy.context.scene.world = None
    outcome = run(compress.planned([material]), replace(SETTINGS, weigh="camera"))
    (warning,) = outcome.of(Severity.WARNING)
    assert warning.text == "a render shows none of its maps, so it can't weigh them; all maps count alike"
