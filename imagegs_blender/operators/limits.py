"""How many decoders one material can hold: Cycles keeps 255 floats for a material, and renders wrong beyond."""

from __future__ import annotations

from collections.abc import Iterable

import bpy

from ..scene import memory, replace
from ..shaders import decoder, node_group
from ..shaders import tables as table_images


def too_many(materials: Iterable[bpy.types.Material]) -> list[str]:
    """One line for each material whose decoders of shader nodes are more than Cycles can hold, else nothing."""
    lines = []
    for material in materials:
        nodes = [node for tree in replace.trees([material]) for node in memory.decoder_nodes(tree)]
        groups = [node.node_tree for node in nodes if decoder.kind(node.node_tree) == decoder.NODES]
        if sum(_part(group) for group in groups) > 1:
            lines.append(
                f"{material.name}: {len(groups)} decoders of shader nodes are more than Cycles can hold in one material, it "
                "renders them wrong: choose OSL or Baked"
            )
    return lines


def alone(group: bpy.types.ShaderNodeTree) -> str | None:
    """Why Cycles can't render one decoder, that another Blender made, right; None where it can."""
    layout = table_images.parts(group)
    if decoder.kind(group) != decoder.NODES or layout is None or bpy.app.version < (5, 0):
        return None
    if int(layout["K"]) * len(layout["C"]) <= node_group.MOST_IN_CYCLES_5:
        return None
    return "more than Cycles of Blender 5 can hold, it renders it wrong (EEVEE does not): choose OSL or Baked"


def _part(group: bpy.types.ShaderNodeTree) -> float:
    """How much of a material a decoder takes: measured, two of K = 4 with nine planes fit, two of K = 10 do not."""
    layout = table_images.parts(group)
    return 0.5 if layout and 0 < int(layout["K"]) <= 4 and len(layout["C"]) <= 9 else 1.0
