"""A material of UDIM tiles: compressed, compared, baked tile by tile, and restored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import bpy
import numpy as np
import pytest
from PIL import Image

import imagegs_blender
from imagegs_blender.blend.decoder import decoders
from imagegs_blender.core.textures.udim import Tiles
from imagegs_blender.workflow import bake, comparison
from tests.scene.test_udim import tiled
from tests.workflow import scene


@pytest.fixture(autouse=True)
def addon() -> Iterator[None]:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    imagegs_blender.register()
    yield
    imagegs_blender.unregister()


def test_tiles_there_and_back(tmp_path: Path) -> None:
    material = scene.plane("square", tmp_path).active_material
    tree = material.node_tree
    nodes = [node for node in tree.nodes if node.bl_idname == "ShaderNodeTexImage"]
    for number, node in enumerate(nodes):
        node.image = tiled(f"map{number}", tmp_path, {1001: 32, 1002: 32, 1011: 16})
    before = scene.state()[material.name]
    assert bpy.ops.imagegs.compress(preset="fast", bpp=16.0, even_if_not_smaller=True) == {"FINISHED"}
    (decoder,) = decoders()
    assert decoder.tiles == Tiles((1001, 1002, 1011), 32, 32)

    (tmp_path / "baked").mkdir()
    pair = comparison.load(decoder.name, "map0")
    assert pair.original is not None and pair.psnr > 35
    files = bake.bake(decoder, tmp_path / "baked")
    assert files["map0"].name == "map0.<UDIM>.png"
    for number in (1001, 1002):
        original, decoded = (
            np.asarray(Image.open(folder / f"map0.{number}.png").convert("RGB"), np.float32)
            for folder in (tmp_path, tmp_path / "baked")
        )
        assert np.sqrt(np.mean((original - decoded) ** 2)) < 5
    assert bpy.ops.imagegs.restore() == {"FINISHED"}
    assert scene.state()[material.name] == before and not decoders()
    assert bpy.ops.imagegs.compress(preset="fast", bpp=16.0, even_if_not_smaller=True) == {"FINISHED"}
    (decoder,) = decoders()
    bake.use(decoder, files)
    (image,) = {node.image for node in tree.nodes if node.bl_idname == "ShaderNodeTexImage" and "<UDIM>" in node.image.filepath
                and "baked" in node.image.filepath and "map0" in node.image.name}  # fmt: skip
    assert image.source == "TILED" and [tile.number for tile in image.tiles] == [1001, 1002, 1011]
