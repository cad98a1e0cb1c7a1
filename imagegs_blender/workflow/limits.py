"""How many decoders one material can hold: Cycles keeps 255 floats for a material, and renders wrong beyond."""

from __future__ import annotations

from collections.abc import Iterable

import bpy

from ..scene import cost, replace
from ..shaders import decoder, table_images


def too_many(materials: Iterable[bpy.types.Material]) -> list[str]:
    """One line for each material whose decoders of shader nodes are more than Cycles can hold, else nothing."""
    lines = []
    for material in materials:
        nodes = [node for tree in replace.trees([material]) for node in cost.decoder_nodes(tree)]
        groups = [node.node_tree for node in nodes if decoder.kind(node.node_tree) == decoder.NODES]
        if sum(_part(group) for group in groups) > 1.001:
            lines.append(
                f"{material.name}: {len(groups)} decoders of shader nodes are more than Cycles can hold in one material, it "
                "renders them wrong: choose OSL or Baked"
            )
    return lines


def _part(group: bpy.types.ShaderNodeTree) -> float:
    """How much of a material a decoder takes.

    Measured with nine planes: three of K = 4 or two of K = 10 render right on 4.5, one more does not; on 5.2 eight and four
    do. One of K = 16 with 32 planes does on both; two of these on 5.2.
    """
    layout = table_images.layout_of(group)
    sizes = (layout.topk, layout.plane_count) if layout else (0, 0)
    newer = bpy.app.version >= (5, 0)
    if 0 < sizes[0] <= 4 and sizes[1] <= 9:
        return 1 / 8 if newer else 1 / 3
    if 0 < sizes[0] <= 10 and sizes[1] <= 9:
        return 1 / 4 if newer else 1 / 2
    return 1 / 2 if newer and sizes[0] else 1.0
