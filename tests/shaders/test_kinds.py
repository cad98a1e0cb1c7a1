"""Every kind of decoder gives the same picture, through the same sockets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest

from imagegs_blender.blend.decoder import Decoder
from imagegs_blender.blend.properties import BAKED, BAKED_ON, NODES
from imagegs_blender.core.decoding import lod, node_tables, renderer, tables
from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.igs import stream
from imagegs_blender.core.textures.texture_stack import Channel, ColorSpace, Depth, MapInfo, Role
from imagegs_blender.shaders.body import leave_out
from imagegs_blender.shaders.decoder import set_kind, update
from imagegs_blender.shaders.glsl import compute
from tests.blend.samples import made
from tests.core.devices import cards
from tests.samples import HEIGHT, MAPS, WIDTH, check, encoded, expected, scattered, stack
from tests.scene import trees

from . import osl_worker, plane


@pytest.fixture(scope="module")
def found() -> stream.Stream:
    return stream.read(stream.write(stack(4, True), MAPS))


def agree(rendered: dict[str, np.ndarray], found: stream.Stream, level: float, everywhere: bool = True) -> None:
    """With the definition at the size that was rendered."""
    built = tables.build(found.gaussians, found.maps)
    height, width = rendered["color"].shape[:2]
    truth = expected(lod.planes(found.gaussians, built.tail, level, width, height))
    for name, pixels in encoded(rendered).items():
        off = 255 * np.abs(pixels - truth[name]).max(2)
        assert (off <= 1).mean() >= 0.999, f"{name}: {off.max()}"
        assert not everywhere or off.max() <= 2, f"{name}: {off.max()}"


def test_baked(tmp_path: Path, found: stream.Stream) -> None:
    """At every texel center; and after the file was saved without pixels and opened again."""
    decoder = made()
    outputs = plane.stage(decoder.tree, WIDTH, HEIGHT)
    set_kind(decoder, BAKED)
    assert not any("cells" in image.name for image in bpy.data.images)
    path = str(tmp_path / "baked.blend")
    leave_out(decoder)
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    decoder = Decoder(bpy.data.node_groups["Stack"])
    assert decoder.kind == BAKED and not decoder.is_whole()
    update(decoder)
    agree(plane.render("CYCLES", tmp_path, outputs), found, 0.0)


def test_baked_on_a_graphics_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Blender itself reaches no GPU, as in 4.5's background: what the preferences name decodes, to the same pictures."""
    if compute.missing() is None:
        pytest.skip("Blender reaches a GPU by itself")
    card = cards.adapter()
    decoder, pictures = made(), []
    for preferred, expected_name in ((("cpu", ""), "CPU"), (("gpu", card.name), card.name)):
        monkeypatch.setattr(renderer, "preferred", preferred)
        set_kind(decoder, BAKED)
        assert BAKED_ON.read(decoder.tree) == expected_name
        pictures.append([np.array(node.image.pixels[:]) for node in decoder.map_nodes()])
        set_kind(decoder, NODES)
    for ours, theirs in zip(*pictures, strict=True):
        off = 255 * np.abs(ours - theirs)
        assert (off <= 1).mean() >= 0.999 and off.max() <= 2


@pytest.mark.parametrize("engine", plane.ENGINES)
def test_baked_levels(tmp_path: Path, found: stream.Stream, engine: str) -> None:
    """At every texel center of the images, which have the size of the whole level."""
    shots = []
    for level in (0.0, 0.5, 1.0, 2.3):
        decoder = made()
        set_kind(decoder, BAKED, level)
        shots.append((decoder.tree, level, WIDTH >> int(level), HEIGHT >> int(level)))
    outputs = plane.stage_shots(shots)
    for shot, rendered in zip(shots, plane.render_shots(engine, tmp_path, shots, outputs), strict=True):
        agree(rendered, found, shot[1])


def test_baked_16_bit_color(tmp_path: Path) -> None:
    """Its image is a float one, whose values are taken as linear."""
    maps = (replace(MAPS[0], depth=Depth.U16), *MAPS[1:])
    data = stream.write(stack(4, True), maps)
    decoder, found = made(data), stream.read(data)
    outputs = plane.stage(decoder.tree, WIDTH, HEIGHT)
    set_kind(decoder, BAKED)
    agree(plane.render("CYCLES", tmp_path, outputs), found, 0.0)


def test_there_and_back(tmp_path: Path, found: stream.Stream) -> None:
    """Baked at a coarse LOD, and nodes again: every link stays, nothing is left behind."""
    decoder = made()
    outputs = plane.stage(decoder.tree, WIDTH, HEIGHT)
    before = trees.names()
    set_kind(decoder, BAKED, 2.0)
    sizes = {tuple(image.size) for image in decoder.derived_images()}
    assert sizes == {(WIDTH // 4, HEIGHT // 4)}
    set_kind(decoder, NODES)
    assert trees.names() == before
    check(plane.render("CYCLES", tmp_path, outputs), found.gaussians, node_tables.build(found.gaussians, found.maps))
    with pytest.raises(ImageGSError, match="no decoder is called GLSL"):
        set_kind(decoder, "GLSL")


def test_osl(tmp_path: Path, found: stream.Stream) -> None:
    """With the level of each pixel's footprint, which is 0 where a texel is a pixel; and after the script was lost."""
    built = tables.build(found.gaussians, found.maps)
    jobs = {"0": 0.0, "0.5": 0.5, "1": 1.0, "2.3": 2.3, "0@3": 3.0, "reopened": 0.0, "damaged": built.tail.last}
    pictures = osl_worker.rendered(tmp_path, stream.write(stack(4, True), MAPS), *jobs)
    for picture, level in zip(pictures, jobs.values(), strict=True):
        check(picture, found.gaussians, built, level)


def test_osl_of_8_bits_and_many_gaussians(tmp_path: Path) -> None:
    maps = tuple(replace(info, depth=Depth.U8) for info in MAPS)
    data = stream.write(stack(10, False), maps)
    for picture, level in zip(osl_worker.rendered(tmp_path, data, "0.7", "many"), (0.7, 0.0), strict=True):
        agree(picture, stream.read(data), level, everywhere=False)


def test_few_gaussians_are_baked_at_few_texels() -> None:
    """An open file from a stranger takes little memory, and shows what the stream means."""
    few = scattered(6, 2048, 2048, 3, seed=2)
    sources = tuple(Channel("plane", plane) for plane in range(3))
    info = MapInfo("color", Role.COLOR, ColorSpace.RAW, Depth.U8, "RGB", 2048, 2048, sources)
    decoder = made(stream.write(few, [info]))
    set_kind(decoder, BAKED)
    (image,) = decoder.map_images().values()
    assert tuple(image.size) == (256, 256)
    shown = np.empty(256 * 256 * 4, np.float32)
    image.pixels.foreach_get(shown)
    found = decoder.stream
    truth = lod.planes(found.gaussians, tables.build(found.gaussians, found.maps).tail, 0.0, 256, 256)
    assert np.abs(shown.reshape(256, 256, 4)[::-1, :, :3] - np.moveaxis(truth, 0, 2)).max() < 2 / 255
