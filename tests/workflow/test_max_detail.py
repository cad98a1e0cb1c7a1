"""Max Detail: decoders hold and show no level of detail finer than the scene asks for, whatever kind they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import bpy
import numpy as np
import pytest

import imagegs_blender
from imagegs_blender.blend.decoder import Decoder, decoders
from imagegs_blender.blend.properties import BAKED, NODES
from imagegs_blender.core.igs import stream
from imagegs_blender.scene import cost
from imagegs_blender.shaders.decoder import set_kind, update
from imagegs_blender.workflow import rebuild
from imagegs_blender.workflow.levels import follow_levels
from imagegs_blender.workflow.max_detail import wanted_detail
from tests.blend.samples import STREAM, made
from tests.samples import HEIGHT, WIDTH, encoded, expected, shown_by
from tests.shaders import plane


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    plane.enable_cycles()
    imagegs_blender.register()
    yield made()
    imagegs_blender.unregister()


def check(folder: Path, outputs: list[str], level: float) -> None:
    found = stream.read(STREAM)
    truth = expected(shown_by(decoders()[0].kind, found.gaussians, level))
    for name, pixels in encoded(plane.render("CYCLES", folder, outputs)).items():
        off = 255 * np.abs(pixels - truth[name]).max(2)
        assert (off <= 1).mean() >= 0.999, f"{name} at {level}: {off.max()}"


def test_nodes_hold_and_show_the_coarser_levels(decoder: Decoder, tmp_path: Path) -> None:
    """LOD 0 is the level chosen, in a fraction of the memory; saved and opened again, too; and back to full detail."""
    outputs, scene = plane.stage(decoder.tree, WIDTH, HEIGHT), bpy.context.scene
    full = cost.decoder(decoder).memory
    scene.imagegs_max_detail = "1/4"
    assert cost.decoder(decoder).memory < 0.7 * full  # in this dense stack, texels begin early
    check(tmp_path, outputs, 2.0)
    scene.imagegs_max_detail = "1/16"
    assert cost.decoder(decoder).memory < full / 10
    check(tmp_path, outputs, 4.0)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "limited.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "limited.blend"))
    decoder = Decoder(bpy.data.node_groups["Stack"])
    assert bpy.context.scene.imagegs_max_detail == "1/16" and cost.decoder(decoder).memory < full / 10
    check(tmp_path, outputs, 4.0)
    for material in bpy.data.materials:
        next(n for n in material.node_tree.nodes if n.bl_idname == "ShaderNodeGroup").inputs["LOD"].default_value = 4.5
    check(tmp_path, outputs, 4.5)
    bpy.context.scene.imagegs_max_detail = "FULL"
    assert cost.decoder(decoder).memory == full
    check(tmp_path, outputs, 4.5)


def test_baked_follows_and_the_finer_of_both_limits_wins(decoder: Decoder, tmp_path: Path) -> None:
    outputs = plane.stage(decoder.tree, WIDTH, HEIGHT, lod=1.0)
    set_kind(decoder, BAKED, 1.0)
    for choice, level in (("1/4", 2), ("FULL", 1), ("1/2", 1), ("1/8", 3)):
        bpy.context.scene.imagegs_max_detail = choice
        assert {tuple(i.size) for i in decoder.map_images().values()} == {(WIDTH >> level, HEIGHT >> level)}, choice
    assert follow_levels() == 0
    bpy.context.scene.imagegs_max_detail = "1/2"
    set_kind(decoder, NODES, detail=wanted_detail())
    check(tmp_path, outputs, 1.0)


def test_one_setting_for_the_file_and_linked_decoders_follow(decoder: Decoder, tmp_path: Path) -> None:
    """What is linked shows the limit of the file that links it, which stays as it is on disk."""
    outputs = plane.stage(decoder.tree, WIDTH, HEIGHT)
    other = bpy.data.scenes.new("Other")
    other.imagegs_max_detail = "1/4"
    assert bpy.context.scene.imagegs_max_detail == "1/4" and decoder.detail == 2
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


def test_decoders_that_wait_for_their_turn_are_complete_before_a_render(decoder: Decoder) -> None:
    """As in a window, where they follow one after the other."""
    bpy.context.scene.imagegs_max_detail = "1/8"
    update(decoder)
    rebuild.queue.add([decoder])
    assert rebuild.queue.waiting == [decoder.uid] and decoder.detail == 0
    bpy.app.handlers.render_init[-1](bpy.context.scene)
    assert rebuild.queue.waiting == [] and decoder.detail == 3
