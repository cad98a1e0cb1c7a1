"""Baked images follow the LOD of their nodes, and what a file does not hold comes back decoder by decoder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import bpy
import numpy as np
import pytest

import imagegs_blender
from imagegs_blender.blend import properties
from imagegs_blender.blend.decoder import Decoder
from imagegs_blender.blend.properties import BAKED
from imagegs_blender.core.decoding import lod, tables
from imagegs_blender.core.igs import stream
from imagegs_blender.shaders.decoder import set_kind, show_average
from imagegs_blender.workflow import comparison, limits, rebuild
from imagegs_blender.workflow.levels import follow_levels
from tests.blend.samples import STREAM, made
from tests.samples import HEIGHT, MAPS, WIDTH, expected
from tests.shaders import plane


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    imagegs_blender.register()
    found = made()
    plane.stage(found.tree, WIDTH, HEIGHT)
    yield found
    imagegs_blender.unregister()


def decoders_nodes() -> list[bpy.types.ShaderNodeGroup]:
    return [n for m in bpy.data.materials for n in m.node_tree.nodes if n.bl_idname == "ShaderNodeGroup"]


def test_baked_images_follow_the_slider(decoder: Decoder, tmp_path: Path) -> None:
    """The finest LOD of the nodes decides; in the editor, in a saved file, and where nothing changed nothing is done."""
    set_kind(decoder, BAKED)
    for node, level in zip(decoders_nodes(), (3, 2, 2, 4, 2.5, 2), strict=True):
        node.inputs["LOD"].default_value = level
    bpy.context.view_layer.update()
    follow_levels()
    sizes = {tuple(image.size) for image in decoder.map_images().values()}
    assert decoder.level == 2 and sizes == {(WIDTH // 4, HEIGHT // 4)}
    assert follow_levels() == 0
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "baked.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "baked.blend"))
    decoder = Decoder(bpy.data.node_groups["Stack"])
    assert {tuple(image.size) for image in decoder.map_images().values()} == {(WIDTH // 4, HEIGHT // 4)}
    properties.STREAM.remove(decoder.tree)
    decoders_nodes()[0].inputs["LOD"].default_value = 1
    assert follow_levels() == 1 and "its stream was deleted" in rebuild.problems()[0]
    assert follow_levels() == 0


def test_a_window_sharpens_after_it_opened(decoder: Decoder) -> None:
    """The average at first; everything in its turn, or before a render."""
    before = {name: texels(image) for name, image in decoder.table_images().items()}
    show_average(decoder)
    rebuild.queue.add([decoder])
    assert decoder.body is None and not decoder.is_whole()
    bpy.app.handlers.render_init[-1](bpy.context.scene)
    assert not rebuild.queue.waiting and rebuild.problems() == []
    after = {name: texels(image) for name, image in decoder.table_images().items()}
    assert after.keys() == before.keys() and all(np.array_equal(after[name], before[name]) for name in before)


def test_comparison_at_a_level(decoder: Decoder) -> None:
    pair = comparison.load("Stack", "color", 1.5)
    found = stream.read(STREAM)
    built = tables.build(found.gaussians, MAPS)
    truth = expected(lod.planes(found.gaussians, built.tail, 1.5))["color"]
    assert pair.device in ("GPU", "CPU") and (255 * np.abs(pair.decoded - truth).max(2) <= 1.5).mean() >= 0.999


def test_more_decoders_than_cycles_holds(decoder: Decoder) -> None:
    """Five of K = 4 on 4.5, eleven on 5.2; baked ones do not count."""
    material = bpy.data.materials["color"]
    most = 10 if bpy.app.version >= (5, 0) else 4
    for _ in range(most - 1):
        assert limits.too_many([material]) == []
        material.node_tree.nodes.new("ShaderNodeGroup").node_tree = decoder.tree
    assert limits.too_many([material]) == []
    material.node_tree.nodes.new("ShaderNodeGroup").node_tree = decoder.tree
    (line,) = limits.too_many(bpy.data.materials)
    assert str(line).startswith(f"color: Cycles can't hold {most + 1} decoders of the kind Nodes in one material")
    set_kind(decoder, BAKED)
    assert limits.too_many([material]) == []


def texels(image: bpy.types.Image) -> np.ndarray:
    flat = np.empty(image.size[0] * image.size[1] * 4, np.float32)
    image.pixels.foreach_get(flat)
    return flat
