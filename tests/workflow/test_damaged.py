"""Decoders whose stream is deleted, damaged, of another version, or linked: said in one line, and something sensible shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest

import imagegs_blender
from imagegs_blender.blend import properties
from imagegs_blender.blend.decoder import Decoder, decoders, is_decoder
from imagegs_blender.blend.properties import BAKED, LAYOUT, NODES, STREAM_VERSION
from imagegs_blender.blend.record import Record
from imagegs_blender.core.decoding import tables
from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.igs import stream
from imagegs_blender.scene import material_stack
from imagegs_blender.scene.replace import replace as put_in_place
from imagegs_blender.shaders.decoder import create, set_kind
from imagegs_blender.workflow import summary
from imagegs_blender.workflow.rebuild import problems, rebuild_tables
from imagegs_blender.workflow.saving import lean_file
from tests.blend.samples import STREAM, made, report
from tests.samples import HEIGHT, MAPS, WIDTH, encoded, expected, shown_by
from tests.scene import trees
from tests.shaders import plane
from tests.workflow import scene


@pytest.fixture(autouse=True)
def empty_file() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    plane.enable_cycles()


def saved(path: Path, kind: str = NODES) -> tuple[Decoder, list[str]]:
    """The decoder and its outputs, staged, in a file that was saved and opened again: without pixels."""
    decoder = made()
    outputs = plane.stage(decoder.tree, WIDTH, HEIGHT)
    set_kind(decoder, kind)
    with lean_file():
        bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.open_mainfile(filepath=str(path))
    return Decoder(bpy.data.node_groups["Stack"]), outputs


def check(folder: Path, outputs: list[str], average: bool) -> None:
    """The render shows the textures, or the average of each everywhere (of normals, Z as well or from X and Y)."""
    found = stream.read(STREAM)
    tail = tables.build(found.gaussians, MAPS).tail
    truth = expected(shown_by(decoders()[0].kind, found.gaussians, tail.last if average else 0.0))
    for name, pixels in encoded(plane.render("CYCLES", folder, outputs)).items():
        off = 255 * np.abs(pixels - truth[name]).max(2)
        assert (off <= (10 if average else 1)).mean() >= 0.999, f"{name}: {off.max()}"


@pytest.mark.parametrize("kind", [NODES, BAKED])
def test_lost_streams(tmp_path: Path, kind: str) -> None:
    """The average is shown; with the stream back, so are the textures."""
    decoder, outputs = saved(tmp_path / "file.blend", kind)
    properties.STREAM.remove(decoder.tree)
    (problem,) = rebuild_tables()
    assert problem == (
        "Stack: its stream was deleted; restore the originals, or append the material again (it shows its average color)"
    )
    check(tmp_path, outputs, average=True)
    assert is_decoder(decoder.tree) and summary.of(decoder).after.disk == 0
    with pytest.raises(ImageGSError, match="Stack: its stream was deleted"):
        _ = decoder.data

    properties.STREAM.write(decoder.tree, STREAM[:-20] + bytes(20))
    (problem,) = rebuild_tables()
    assert problem.startswith("Stack: damaged .igs stream: ") and problem.endswith("(it shows its average color)")
    STREAM_VERSION.write(decoder.tree, properties.VERSION + 1)
    (problem,) = rebuild_tables()
    assert problem.startswith("Stack: compressed by a newer version of the add-on")
    decoder.store(STREAM, decoder.record)
    assert rebuild_tables() == []
    check(tmp_path, outputs, average=False)


def test_nodes_of_another_version_are_built_anew(tmp_path: Path) -> None:
    decoder, outputs = saved(tmp_path / "file.blend")
    assert rebuild_tables() == []
    before = trees.names()
    LAYOUT.write(decoder.body, "1")
    assert rebuild_tables() == []
    assert trees.names() == before
    check(tmp_path, outputs, average=False)


@pytest.mark.parametrize("kind", [NODES, BAKED])
def test_linked_materials(tmp_path: Path, kind: str) -> None:
    """They render as in their own file; damaged, they show the average, and decoders can't be changed here."""
    _, outputs = saved(tmp_path / "library.blend", kind)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    plane.link(tmp_path / "library.blend", WIDTH, HEIGHT * len(outputs))
    assert rebuild_tables() == []
    check(tmp_path, outputs, average=False)
    (decoder,) = decoders()
    with pytest.raises(ImageGSError, match=r"Stack: it is linked from .*library\.blend; make it local first"):
        set_kind(decoder, NODES)


@pytest.mark.parametrize("kind", [NODES, BAKED])
@pytest.mark.parametrize("lost", ["deleted", "damaged"])
def test_linked_materials_whose_stream_is_lost_in_the_library(tmp_path: Path, kind: str, lost: str) -> None:
    """The average, and the library by name; saved and opened again it is the same, and the library is as it was."""
    decoder, outputs = saved(tmp_path / "library.blend", kind)
    if lost == "deleted":
        properties.STREAM.remove(decoder.tree)
    else:
        decoder.store(STREAM[:-20] + bytes(20), decoder.record)
    bpy.ops.wm.save_mainfile()
    before = (tmp_path / "library.blend").read_bytes()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    plane.enable_cycles()
    plane.link(tmp_path / "library.blend", WIDTH, HEIGHT * len(outputs))
    for _ in range(2):
        (problem,) = rebuild_tables()
        assert problem.startswith("Stack: ") and problem.endswith(" (it shows its average color)")
        assert ("its stream was deleted" if lost == "deleted" else "damaged .igs stream: ") in problem
        assert problems() == [problem]
        check(tmp_path, outputs, average=True)
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    assert (tmp_path / "library.blend").read_bytes() == before


def test_linked_nodes_of_another_version(tmp_path: Path) -> None:
    """A library of version 1 holds nodes, which can't be built anew in it: the average, and what to do."""
    bpy.ops.wm.open_mainfile(filepath=str(Path(__file__).parents[1] / "blend" / "files" / "version-1.blend"))
    for decoder in decoders():
        if decoder.kind == NODES:
            LAYOUT.write(decoder.tree, "1")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (there, here):
        here.materials = there.materials
    late = [decoder.name for decoder in decoders() if decoder.kind == NODES]
    assert late
    for _ in range(2):
        said = rebuild_tables()
        for name in late:
            assert (
                f"{name}: was built by another version of the add-on: open its library with this version and save it "
                "(it shows its average color)"
            ) in said


@pytest.mark.parametrize("kind", [NODES, BAKED])
def test_originals_of_a_decoder_that_lost_its_stream(tmp_path: Path, kind: str) -> None:
    """They come back with every link, and what was said about the decoder goes with it."""
    imagegs_blender.register()
    try:
        name, found = scene.plane("square", tmp_path).active_material.name, stream.read(STREAM)
        before = scene.state()
        (plan,) = material_stack.plan([bpy.data.materials[name]]).stacks
        maps = tuple(replace(info, name=m.name) for info, m in zip(MAPS, plan.maps, strict=False))
        data = stream.write(found.gaussians, maps)
        decoder = create("Stack", stream.read(data), data, Record(report=report(data)))
        put_in_place(plan, dict.fromkeys(plan.samplings, decoder))
        set_kind(decoder, kind)
        properties.STREAM.remove(decoder.tree)
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "lost.blend"))
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "lost.blend"))
        (problem,) = problems()
        assert problem.startswith(
            "Stack: its stream was deleted; restore the originals, or append the material again (it"
        )
        bpy.context.view_layer.objects.active.select_set(True)
        assert bpy.ops.imagegs.restore() == {"FINISHED"}
        assert scene.state() == before and problems() == []
    finally:
        imagegs_blender.unregister()
