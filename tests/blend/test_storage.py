"""The stream is the same bytes wherever its node group goes."""

from __future__ import annotations

from pathlib import Path

import bpy

from imagegs_blender.blend import storage

STREAM = bytes(range(256)) * 5000
RECORD = {"settings": {"bpp": 0.5}, "report": {"psnr": {"overall": 30.25}}}


def test_bytes_survive_storing_twice_copying_saving_and_appending(tmp_path: Path) -> None:
    group = bpy.data.node_groups.new("decoder", "ShaderNodeTree")
    storage.store(group, b"other \0 bytes", {})
    storage.store(group, STREAM, RECORD)
    group.use_fake_user = True
    copied = group.copy()
    assert storage.stream(group) == storage.stream(copied) == STREAM
    path = tmp_path / "library.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=True)
    for link in (True, False):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        assert not list(storage.decoders())
        with bpy.data.libraries.load(str(path), link=link) as (_, chosen):
            chosen.node_groups = ["decoder"]
        (found,) = storage.decoders()
        assert storage.stream(found) == STREAM and storage.record(found) == RECORD
