"""Max Detail: decoders hold and show no level of detail finer than the scene asks for, whatever kind they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import bpy
import numpy as np
import pytest

import imagegs_blender
from imagegs_blender.blend import storage
from imagegs_blender.core.decoding import lod, tables
from imagegs_blender.core.igs import stream
from imagegs_blender.scene import cost
from imagegs_blender.shaders import baked, decoder
from imagegs_blender.workflow import rebuild
from tests.samples import HEIGHT, MAPS, WIDTH, encoded, expected, stack
from tests.shaders import plane

STREAM = stream.write(stack(4, True), MAPS)


@pytest.fixture
def group() -> Iterator[bpy.types.ShaderNodeTree]:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    plane.enable_cycles()
    imagegs_blender.register()
    made = decoder.create("Stack", stream.read(STREAM), "REPEAT")
    storage.store(
        made, STREAM, {"settings": {}, "report": {"psnr": {"overall": None}, "num_gaussians": 600, "seconds": 0.0}}
    )
    yield made
    imagegs_blender.unregister()


def check(folder: Path, outputs: list[str], level: float) -> None:
    found = stream.read(STREAM)
    truth = expected(lod.planes(found.gaussians, tables.build(found.gaussians, MAPS).tail, level))
    for name, pixels in encoded(plane.render("CYCLES", folder, outputs)).items():
        off = 255 * np.abs(pixels - truth[name]).max(2)
        assert (off <= 1).mean() >= 0.999, f"{name} at {level}: {off.max()}"


def test_nodes_hold_and_show_the_coarser_levels(group: bpy.types.ShaderNodeTree, tmp_path: Path) -> None:
    """LOD 0 is the level chosen, in a fraction of the memory; saved and opened again, too; and back to full detail."""
    outputs, scene = plane.stage(group, WIDTH, HEIGHT), bpy.context.scene
    full = cost.decoder(group).memory
    scene.imagegs_max_detail = "1/4"
    assert cost.decoder(group).memory < 0.7 * full  # in this dense stack, texels begin early
    check(tmp_path, outputs, 2.0)
    scene.imagegs_max_detail = "1/16"
    assert cost.decoder(group).memory < full / 10
    check(tmp_path, outputs, 4.0)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "limited.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "limited.blend"))
    group = bpy.data.node_groups["Stack"]
    assert bpy.context.scene.imagegs_max_detail == "1/16" and cost.decoder(group).memory < full / 10
    check(tmp_path, outputs, 4.0)
    for material in bpy.data.materials:
        next(n for n in material.node_tree.nodes if n.bl_idname == "ShaderNodeGroup").inputs["LOD"].default_value = 4.5
    check(tmp_path, outputs, 4.5)
    bpy.context.scene.imagegs_max_detail = "FULL"
    assert cost.decoder(group).memory == full
    check(tmp_path, outputs, 4.5)


def test_baked_follows_and_the_finer_of_both_limits_wins(group: bpy.types.ShaderNodeTree, tmp_path: Path) -> None:
    outputs = plane.stage(group, WIDTH, HEIGHT, lod=1.0)
    decoder.set_kind(group, decoder.BAKED, stream.read(STREAM), 1.0)
    for choice, level in (("1/4", 2), ("FULL", 1), ("1/2", 1), ("1/8", 3)):
        bpy.context.scene.imagegs_max_detail = choice
        assert {tuple(i.size) for i in baked.images_of(group).values()} == {(WIDTH >> level, HEIGHT >> level)}, choice
    assert rebuild.follow_levels() == 0
    bpy.context.scene.imagegs_max_detail = "1/2"
    decoder.set_kind(group, decoder.NODES, stream.read(STREAM), detail=rebuild.wanted_detail())
    check(tmp_path, outputs, 1.0)


def test_one_setting_for_the_file_and_linked_decoders_follow(group: bpy.types.ShaderNodeTree, tmp_path: Path) -> None:
    """What is linked shows the limit of the file that links it, which stays as it is on disk."""
    outputs = plane.stage(group, WIDTH, HEIGHT)
    other = bpy.data.scenes.new("Other")
    other.imagegs_max_detail = "1/4"
    assert bpy.context.scene.imagegs_max_detail == "1/4" and decoder.detail(group) == 2
    other.imagegs_max_detail = "FULL"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    plane.enable_cycles()
    plane.link(tmp_path / "library.blend", WIDTH, HEIGHT * len(outputs))
    check(tmp_path, outputs, 0.0)
    bpy.context.scene.imagegs_max_detail = "1/8"
    check(tmp_path, outputs, 3.0)
    bpy.context.scene.imagegs_max_detail = "FULL"
    check(tmp_path, outputs, 0.0)


def test_decoders_that_wait_for_their_turn_are_complete_before_a_render(group: bpy.types.ShaderNodeTree) -> None:
    """As in a window, where they follow one after the other."""
    bpy.context.scene.imagegs_max_detail = "1/8"
    decoder.update(group, stream.read(STREAM))
    rebuild._complete_later([group])
    assert rebuild._waiting == [group.session_uid] and decoder.detail(group) == 0
    bpy.app.handlers.render_init[-1](bpy.context.scene)
    assert rebuild._waiting == [] and decoder.detail(group) == 3
