"""A saved decoder is its sockets and its stream: what a file takes, and what it shows wherever it goes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import bpy
import pytest

from imagegs_blender.blend.decoder import Decoder, decoders
from imagegs_blender.blend.properties import BAKED, NODES
from imagegs_blender.shaders.decoder import set_kind
from imagegs_blender.workflow.rebuild import rebuild_lost, rebuild_tables
from imagegs_blender.workflow.saving import lean_file
from tests.blend.samples import made
from tests.samples import HEIGHT, WIDTH
from tests.scene import trees
from tests.shaders import plane
from tests.workflow.test_damaged import check, empty_file, saved

__all__ = ["empty_file"]

MOST_BYTES = {1: 3200, 10: 2048, 100: 2048}
"""Of a compressed .blend, for each of so many decoders beside its stream. Where memory lies makes them up to 50 more or less."""


@pytest.mark.parametrize("kind", [NODES, BAKED])
def test_what_a_decoder_takes_in_a_file(tmp_path: Path, kind: str) -> None:
    """In a Blender that has done nothing else: what others left in its memory makes pointers, and so files, longer."""
    command = [sys.executable, "-m", "tests.workflow.lean_size", kind, str(tmp_path)]
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[2], check=False
    )
    each = {
        int(count): float(size) for count, size in re.findall(r"^(\d+) decoders: (\d+) bytes", run.stdout, re.MULTILINE)
    }
    assert list(each) == list(MOST_BYTES), run.stdout + run.stderr
    assert all(size <= MOST_BYTES[count] for count, size in each.items()), each


@pytest.mark.parametrize("kind", [NODES, BAKED])
def test_without_the_addon_a_file_shows_averages(tmp_path: Path, kind: str) -> None:
    """And with it, all is there again."""
    decoder, outputs = saved(tmp_path / "file.blend", kind)
    assert decoder.body is None and not decoder.images()
    check(tmp_path, outputs, average=True)
    assert rebuild_tables() == []
    check(tmp_path, outputs, average=False)


@pytest.mark.parametrize("kind", [NODES, BAKED])
def test_appended_from_a_lean_file(tmp_path: Path, kind: str) -> None:
    _, outputs = saved(tmp_path / "library.blend", kind)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    plane.enable_cycles()
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=False) as (there, here):
        here.objects = there.objects
    for obj in here.objects:
        bpy.context.scene.collection.objects.link(obj)
    scene = bpy.context.scene
    scene.camera = next(obj for obj in here.objects if obj.type == "CAMERA")
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT * len(outputs)
    assert rebuild_lost() == []
    check(tmp_path, outputs, average=False)


@pytest.mark.parametrize("kind", [NODES, BAKED])
def test_linked_from_a_lean_file_through_undo_and_another_save(tmp_path: Path, kind: str) -> None:
    """What a linked decoder is built from belongs to its library, so Undo frees nothing under it."""
    _, outputs = saved(tmp_path / "library.blend", kind)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    plane.enable_cycles()
    plane.link(tmp_path / "library.blend", WIDTH, HEIGHT * len(outputs))
    assert rebuild_lost() == []
    (decoder,) = decoders()
    assert decoder.linked and all(part.library for part in [*decoder.trees(), *decoder.images()])
    bpy.ops.ed.undo_push(message="linked")
    bpy.ops.object.camera_add()
    bpy.ops.ed.undo_push(message="added")
    bpy.ops.ed.undo()
    assert rebuild_lost() == []
    check(tmp_path, outputs, average=False)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    assert rebuild_tables() == []
    check(tmp_path, outputs, average=False)


def test_a_copy_of_a_decoder_changes_alone(tmp_path: Path) -> None:
    """Copies share what is derived until one of them changes."""
    decoder = made()
    copy = Decoder(decoder.tree.copy())
    assert copy.body == decoder.body
    set_kind(copy, BAKED)
    assert copy.body != decoder.body and decoder.kind == NODES and decoder.table_images() and not copy.table_images()


@pytest.mark.parametrize("kind", [NODES, BAKED])
def test_blank_parts_are_in_the_file_only(tmp_path: Path, kind: str) -> None:
    decoder = made()
    set_kind(decoder, kind)
    decoder.tree.use_fake_user = True
    before = trees.names()
    with lean_file():
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "file.blend"))
    assert not decoder.parts and trees.names() == before
    derived = set(decoder.table_images()) | set(decoder.map_images())
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "file.blend"))
    (decoder,) = decoders()
    assert set(decoder.parts) - {"level"} == derived and decoder.body is None
    assert rebuild_tables() == [] and not decoder.parts
    assert trees.names() == before
