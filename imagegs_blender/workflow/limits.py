"""How many decoders one material can hold: Cycles keeps 255 floats for a material, and renders wrong beyond."""

from __future__ import annotations

from collections.abc import Iterable

import bpy

from ..blend import border
from ..blend.decoder import Decoder, decoder_nodes
from ..blend.properties import NODES
from ..scene import replace
from .notices import Notice, Severity


def too_many(materials: Iterable[bpy.types.Material]) -> list[Notice]:
    """A warning about each material whose decoders of shader nodes are more than Cycles can hold."""
    warnings = []
    for material in materials:
        decoders = [Decoder(border.tree_of(node)) for tree in replace.trees([material]) for node in decoder_nodes(tree)]
        of_nodes = [decoder for decoder in decoders if decoder.is_sound and decoder.kind == NODES]
        if sum(map(_part, of_nodes)) > 1.001:
            text = (
                f"Cycles can't hold {len(of_nodes)} decoders of the kind Nodes in one material, and renders them wrong: "
                "choose OSL or Baked as Decoder"
            )
            warnings.append(Notice(Severity.WARNING, material.name, text))
    return warnings


def _part(decoder: Decoder) -> float:
    """How much of a material a decoder takes.

    Measured at LOD 0.5 with nine planes: four of K = 6 or of K = 10 render right on 4.5, five of K = 6 do not; on 5.2 ten and
    six do. Of K = 16 with 32 planes one does on 4.5, and three on 5.2.
    """
    layout = decoder.layout
    topk, planes = (layout.topk, layout.plane_count) if layout else (0, 0)
    newer = bpy.app.version >= (5, 0)
    if 0 < topk <= 6 and planes <= 9:
        return 1 / 10 if newer else 1 / 4
    if 0 < topk <= 10 and planes <= 9:
        return 1 / 6 if newer else 1 / 4
    if not topk:
        return 1.0
    return 1 / 3 if newer else 1.0
