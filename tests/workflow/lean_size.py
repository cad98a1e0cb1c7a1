"""Print what decoders take in a compressed .blend beside their streams: python -m tests.workflow.lean_size KIND FOLDER"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np

import imagegs_blender
from imagegs_blender.blend.decoder import Decoder, decoders
from imagegs_blender.core.textures import cells
from imagegs_blender.shaders.decoder import set_kind
from imagegs_blender.workflow.saving import lean_file
from tests.blend.samples import made
from tests.scene import trees


def ordinary_scene() -> None:
    """A material with image nodes and a node group, as files have them."""
    inner = bpy.data.node_groups.new("Group", "ShaderNodeTree")
    for way in ("INPUT", "OUTPUT"):
        inner.interface.new_socket("Color", in_out=way, socket_type="NodeSocketColor")
    material, tree = trees.material("ordinary")
    for kind in ("ShaderNodeTexImage", "ShaderNodeNormalMap", "ShaderNodeGroup"):
        node = tree.nodes.new(kind)
        if kind == "ShaderNodeTexImage":
            node.image = bpy.data.images.new("ordinary", 16, 16)
        elif kind == "ShaderNodeGroup":
            node.node_tree = inner
    for kind in ("NodeGroupInput", "NodeGroupOutput"):
        inner.nodes.new(kind)
    inner.links.new(inner.nodes[0].outputs[0], inner.nodes[1].inputs[0])
    material.use_fake_user = True


def size(path: Path) -> int:
    with lean_file():
        bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=True)
    return path.stat().st_size


def main(kind: str, folder: Path) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    imagegs_blender.register()
    ordinary_scene()
    empty = size(folder / "empty.blend")
    decoder = made()
    set_kind(decoder, kind)
    decoder.tree.use_fake_user = True
    rng = np.random.default_rng(0)
    decoder.store(decoder.data, replace(decoder.record, shown=cells.to_text(rng.random((24, 24)) < 0.5)))
    assert len(decoder.trees()) > 1 and decoder.images()
    for count in (1, 10, 100):
        while len(decoders()) < count:
            copy = Decoder(decoder.tree.copy())
            copy.tree.use_fake_user = True
            other = bytearray(copy.data)
            other[64:] = rng.bytes(len(other) - 64)  # nothing that compresses by repetition
            copy.store(bytes(other), replace(copy.record, shown=cells.to_text(rng.random((24, 24)) < 0.5)))
        each = (size(folder / f"{count}.blend") - empty) / count - decoder.stream_size
        print(f"\n{count} decoders: {each:.0f} bytes each")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
    sys.stdout.flush()
    os._exit(0)
