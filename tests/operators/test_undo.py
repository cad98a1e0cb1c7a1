"""One Undo takes back whatever a button did, and what is back decodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import pytest

import imagegs_blender
from imagegs_blender.blend.decoder import decoders
from tests.workflow import scene

pytestmark = pytest.mark.usefixtures("addon")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """plain.blend: a textured square. compressed.blend: the same, compressed. square.igs: its stream."""
    folder = tmp_path_factory.mktemp("undo")
    (folder / "baked").mkdir()
    bpy.ops.wm.read_homefile(use_empty=True)
    imagegs_blender.register()
    scene.plane("square", folder)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "plain.blend"))
    bpy.ops.imagegs.compress(preset="fast", bpp=16.0, even_if_not_smaller=True)
    bpy.ops.imagegs.export_stream(filepath=str(folder / "square.igs"))
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "compressed.blend"))
    imagegs_blender.unregister()
    return folder


def opened(path: Path) -> None:
    bpy.ops.wm.open_mainfile(filepath=str(path))
    bpy.data.objects["square"].select_set(True)
    bpy.context.view_layer.objects.active = bpy.data.objects["square"]


def everything() -> dict[str, Any]:
    held = {decoder.name: (decoder.kind, decoder.self_contained, decoder.data) for decoder in decoders()}
    return scene.state() | {"decoders": held}


def differences(found: Any, expected: Any, path: str = "") -> list[str]:
    """What differs, by its path: pytest cuts nested dictionaries short."""
    if isinstance(found, dict) and isinstance(expected, dict):
        keys = sorted(found.keys() | expected.keys())
        return [line for key in keys for line in differences(found.get(key), expected.get(key), f"{path}/{key}")]
    return [] if found == expected else [f"{path}: {found!r}, not {expected!r}"]


@pytest.mark.parametrize(
    ("file", "press"),
    [
        (
            "plain",
            lambda ops, folder: ops.compress("EXEC_DEFAULT", True, preset="fast", bpp=16.0, even_if_not_smaller=True),
        ),
        ("plain", lambda ops, folder: ops.import_stream("EXEC_DEFAULT", True, filepath=str(folder / "square.igs"))),
        ("compressed", lambda ops, folder: ops.recompress("EXEC_DEFAULT", True, preset="fast", bpp=8.0)),
        ("compressed", lambda ops, folder: ops.restore("EXEC_DEFAULT", True)),
        ("compressed", lambda ops, folder: ops.drop_originals("EXEC_DEFAULT", True)),
        ("compressed", lambda ops, folder: ops.set_decoder("EXEC_DEFAULT", True, kind="BAKED")),
        ("compressed", lambda ops, folder: ops.self_contained("EXEC_DEFAULT", True)),
        (
            "compressed",
            lambda ops, folder: ops.bake("EXEC_DEFAULT", True, directory=f"{folder}/baked", use_in_materials=True),
        ),
    ],
    ids=["compress", "import", "recompress", "restore", "drop", "decoder", "self-contained", "bake"],
)
def test_undo_and_redo(files: Path, file: str, press: Callable[[Any, Path], set[str]]) -> None:
    opened(files / f"{file}.blend")
    bpy.ops.ed.undo_push(message="before")
    before = everything()
    assert press(bpy.ops.imagegs, files) == {"FINISHED"}
    after = everything()
    assert after != before
    assert bpy.ops.ed.undo() == {"FINISHED"}
    assert differences(everything(), before) == []
    assert all(decoder.is_whole() for decoder in decoders())
    assert bpy.ops.ed.redo() == {"FINISHED"}
    assert differences(everything(), after) == []
    assert all(decoder.is_whole() for decoder in decoders())
