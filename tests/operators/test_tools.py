"""What can be done with compressed materials: compare, bake, export, import, report, make local."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import bpy
import numpy as np
import pytest
from PIL import Image

from imagegs_blender.blend.decoder import Decoder, decoder_nodes, decoders
from imagegs_blender.core.decoding import decode
from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.igs import stream
from imagegs_blender.core.process import looking
from imagegs_blender.scene import pixels
from imagegs_blender.workflow import comparison
from tests.workflow import scene

pytestmark = pytest.mark.usefixtures("addon")


@pytest.fixture
def square(tmp_path: Path) -> bpy.types.Object:
    item = scene.plane("square", tmp_path)
    bpy.ops.imagegs.compress(preset="fast", bpp=16.0, even_if_not_smaller=True)
    return item


def the_decoder() -> Decoder:
    (decoder,) = decoders()
    return decoder


def test_comparison_shows_both_sides(square: bpy.types.Object, tmp_path: Path) -> None:
    assert bpy.ops.imagegs.compare() == {"FINISHED"}
    pair, settings = comparison.current, bpy.context.scene.imagegs_compare
    report = the_decoder().record.report.psnr
    assert pair.psnr == pytest.approx(report[pair.map], abs=0.01)
    original = np.asarray(Image.open(tmp_path / "square color.png").convert("RGB")) / np.float32(255)
    settings.divider = 0.5
    shown = picture()
    np.testing.assert_allclose(shown[:, :14], original[:, :14], atol=1e-6)
    np.testing.assert_allclose(shown[:, 18:], pair.decoded[:, 18:], atol=1e-6)
    comparison.settle()  # as when nothing has moved for a while
    assert not bpy.data.images[comparison.IMAGE].is_dirty
    np.testing.assert_array_equal(picture(), shown)
    settings.view, settings.gain = "DIFFERENCE", 4.0
    np.testing.assert_allclose(picture(), np.clip(np.abs(original - pair.decoded) * 4, 0, 1), atol=1e-6)
    settings.view = "ELLIPSES"
    lines = np.all(np.isclose(picture(), (0.2, 0.9, 1.0), atol=5e-3), axis=2)
    assert 0.05 < lines.mean() < 1, "Gaussians are drawn"
    settings.map = f"{the_decoder().name}\nsquare rough"
    assert comparison.current.map == "square rough" and comparison.current.psnr == pytest.approx(
        report["square rough"], abs=0.01
    )

    bpy.ops.imagegs.drop_originals()
    settings.view = "SPLIT"
    assert bpy.ops.imagegs.compare() == {"FINISHED"} and settings.view == "DECODED" and comparison.current.psnr is None


def test_the_level_slider_parses_nothing_and_reads_no_original(
    square: bpy.types.Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    bpy.ops.imagegs.compare()
    settings, sharp = bpy.context.scene.imagegs_compare, comparison.current
    for module, name in ((stream, "read"), (pixels, "read_as")):
        monkeypatch.setattr(module, name, lambda *_: pytest.fail("moving a slider read a file"))
    settings.lod = 2.0
    coarse = comparison.current
    assert comparison.problem is None and coarse.original is sharp.original and coarse.psnr == sharp.psnr
    assert coarse.decoded.std() < sharp.decoded.std()
    settings.lod = 0.0
    np.testing.assert_array_equal(comparison.current.decoded, sharp.decoded)


def picture() -> np.ndarray:
    image = bpy.data.images[comparison.IMAGE]
    flat = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(flat)
    width, height = image.size
    return flat.reshape(height, width, 4)[::-1, :, :3]


def test_baked_files_take_the_decoders_place(square: bpy.types.Object, tmp_path: Path) -> None:
    decoded = decode.images(the_decoder().stream)
    folder = tmp_path / "baked"
    with pytest.raises(RuntimeError, match="folder not found; create it"):
        bpy.ops.imagegs.bake(directory=str(folder))
    folder.mkdir()
    assert bpy.ops.imagegs.bake(directory=str(folder), use_in_materials=True) == {"FINISHED"}
    for name, texels in decoded.items():
        np.testing.assert_array_equal(np.asarray(Image.open(folder / f"{name}.png")).reshape(texels.shape), texels)
    tree = square.active_material.node_tree
    shader = tree.nodes["Principled BSDF"]
    for socket, name in (("Base Color", "square color"), ("Roughness", "square rough")):
        node = shader.inputs[socket].links[0].from_node
        assert Path(bpy.path.abspath(node.image.filepath)) == folder / f"{name}.png"
        assert node.image.colorspace_settings.name == "sRGB" and node.inputs["Vector"].is_linked
    assert not list(decoder_nodes(tree))


def test_a_full_disk_is_said_and_leaves_nothing(
    square: bpy.types.Object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, target = scene.state(), tmp_path / "full"
    target.mkdir()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RuntimeError, match=r"No space left on device.*choose a folder with space"):
        bpy.ops.imagegs.export_stream(filepath=str(target / "a.igs"))
    with pytest.raises(RuntimeError, match="No space left on device"):
        bpy.ops.imagegs.bake(directory=str(target), use_in_materials=True)
    assert not list(target.iterdir()) and scene.state() == before


def test_a_stream_travels_as_a_file(square: bpy.types.Object, tmp_path: Path) -> None:
    data = the_decoder().data
    path = tmp_path / "square.igs"
    assert bpy.ops.imagegs.export_stream(filepath=str(path)) == {"FINISHED"}
    assert path.read_bytes() == data
    other = scene.plane("other", tmp_path)
    tree = other.active_material.node_tree
    for node in [n for n in tree.nodes if n.bl_idname == "ShaderNodeTexImage"]:
        tree.nodes.remove(node)
    assert bpy.ops.imagegs.import_stream(filepath=str(path)) == {"FINISHED"}
    shader = tree.nodes["Principled BSDF"]
    link = shader.inputs["Base Color"].links[0]
    assert Decoder(link.from_node.node_tree).data == data and link.from_socket.name == "square color"
    assert shader.inputs["Roughness"].links[0].from_socket.name == "square rough"
    path.write_bytes(data[:50])
    before = scene.state()
    with pytest.raises(RuntimeError, match=r"square\.igs: "):
        bpy.ops.imagegs.import_stream(filepath=str(path))
    with pytest.raises(RuntimeError, match="can't be read"):
        bpy.ops.imagegs.import_stream(filepath=str(tmp_path / "none.igs"))
    assert scene.state() == before


def test_a_linked_material_can_be_made_local(tmp_path: Path) -> None:
    scene.plane("square", tmp_path)
    library = tmp_path / "library.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(library))
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(library), link=True) as (_, wanted):
        wanted.objects = ["square"]
    item = wanted.objects[0]
    bpy.context.scene.collection.objects.link(item)
    item.select_set(True)
    assert bpy.ops.imagegs.make_local.poll() and bpy.ops.imagegs.compress(
        preset="fast", bpp=16.0, even_if_not_smaller=True
    ) == {"CANCELLED"}
    assert bpy.ops.imagegs.make_local() == {"FINISHED"}
    assert bpy.ops.imagegs.compress(preset="fast", bpp=16.0, even_if_not_smaller=True) == {"FINISHED"} and decoders()


def test_devices_are_looked_for_when_asked(tmp_path: Path) -> None:
    assert bpy.ops.imagegs.detect_devices() == {"FINISHED"}
    assert looking.devices().lines[0].startswith("cpu: ")
    with pytest.raises(ImageGSError, match="nothing: can't be started"):
        looking.devices(str(tmp_path / "nothing"))
    with pytest.raises(ImageGSError, match="can't run fits"):
        looking.devices(shutil.which("false"))


def test_the_lod_slider_reaches_every_selected_decoder(square: bpy.types.Object, tmp_path: Path) -> None:
    other = scene.plane("other", tmp_path)
    square.select_set(False)
    bpy.ops.imagegs.compress(preset="fast", bpp=16.0, even_if_not_smaller=True)
    bpy.context.scene.imagegs.lod = 2.5
    (node,) = decoder_nodes(other.active_material.node_tree)
    (rest,) = decoder_nodes(square.active_material.node_tree)
    assert (node.inputs["LOD"].default_value, rest.inputs["LOD"].default_value) == (2.5, 0.0)
