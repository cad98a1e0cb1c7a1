"""How often Undo loses what pointed to a node group that was removed, in a plain file without add-ons.

    python benchmarks/undo.py [--tries 150]

A material has a group, which has another inside. The group's node and both groups are removed, in one of the ways below, and
brought back by Undo; lost is a try after which the node has no group. Blender's memory is made uneven in between, as its
addresses decide.

remove         node_groups.remove, one after the other
batch_remove   both at once
kept           the outer group stays, emptied and renamed, as blend/removal.py does before Blender 5.0
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import bpy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=150, help="of each way (%(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "plain.blend"))
        _make(path)
        for way in WAYS:
            chance = random.Random(0)
            lost = sum(_is_lost(path, way, chance) for _ in range(args.tries))
            print(f"\n{bpy.app.version_string}, {way}: {lost} of {args.tries} lost", flush=True)
    sys.stdout.flush()
    os._exit(0)  # bpy's destructors can wait forever


def _make(path: str) -> None:
    bpy.ops.wm.read_homefile(use_empty=True)
    outer, inner = (bpy.data.node_groups.new(name, "ShaderNodeTree") for name in ("outer", "inner"))
    for tree in (outer, inner):
        tree.interface.new_socket("Color", in_out="OUTPUT", socket_type="NodeSocketColor")
    outer.nodes.new("ShaderNodeGroup").node_tree = inner
    material = bpy.data.materials.new("material")
    material.use_nodes = material.use_fake_user = True
    node = material.node_tree.nodes.new("ShaderNodeGroup")
    node.node_tree = outer
    shader = next(each for each in material.node_tree.nodes if each.bl_idname == "ShaderNodeBsdfPrincipled")
    material.node_tree.links.new(node.outputs[0], shader.inputs[0])
    bpy.ops.wm.save_as_mainfile(filepath=path)


def _is_lost(path: str, way: str, chance: random.Random) -> bool:
    bpy.ops.wm.open_mainfile(filepath=path)
    uneven = [bytearray(chance.randrange(100, 20000)) for _ in range(chance.randrange(300))]
    bpy.ops.ed.undo_push(message="before")
    tree = bpy.data.materials["material"].node_tree
    tree.nodes.remove(tree.nodes["Group"])
    WAYS[way](bpy.data.node_groups["outer"], bpy.data.node_groups["inner"])
    bpy.ops.ed.undo_push(message="after")
    bpy.ops.ed.undo()
    del uneven
    tree = bpy.data.materials["material"].node_tree
    return tree.nodes["Group"].node_tree is None or len(tree.links) < 2


def _one_by_one(outer: Any, inner: Any) -> None:
    bpy.data.node_groups.remove(outer)
    bpy.data.node_groups.remove(inner)


def _at_once(outer: Any, inner: Any) -> None:
    bpy.data.batch_remove([outer, inner])


def _kept(outer: Any, inner: Any) -> None:
    outer.nodes.clear()
    outer.interface.clear()
    outer.name = ".removed"
    bpy.data.node_groups.remove(inner)


WAYS = {"remove": _one_by_one, "batch_remove": _at_once, "kept": _kept}

if __name__ == "__main__":
    main()
