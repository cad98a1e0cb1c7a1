"""What a kind of decoder costs where a scene is rendered: memory of this file's stacks, and time as a multiple of images.

The multiples are those that docs/benchmarks.md has, from objects in a scene to a plane that fills the picture; where
nothing was measured, that is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import bpy

from ..blend.decoder import Decoder
from ..blend.properties import BAKED, NODES, OSL
from ..scene import cost
from . import summary

_CYCLES_CPU = {NODES: "1.5 to 5", OSL: "1.4 to 2.5", BAKED: "about 1"}
_CYCLES_GPU = {NODES: "1.4 to 2.3", BAKED: "about 1"}
_EEVEE = {NODES: "1 to 1.3", BAKED: "1 to 1.7"}
"""Times the render time of images: Cycles on the processor and on a card (CUDA, OptiX), EEVEE on a card and in software."""

OSL_ON_CARD = "not for Cycles on a graphics card, which compiles it for minutes or can't: choose Nodes or Baked"


def text(kind: str, decoders: Iterable[Decoder], scene: bpy.types.Scene) -> str:
    """The cost of the decoders of a kind, in words."""
    memory = sum(cost.decoder(decoder).memory for decoder in decoders if decoder.kind == kind)
    return f"{kind.title() if kind != OSL else kind}: {summary.size(memory)}, {_time(kind, scene)}"


def is_on_card(scene: bpy.types.Scene) -> bool:
    """Whether Cycles renders a scene on a graphics card."""
    cycles: Any = getattr(scene, "cycles", None)  # Cycles adds its settings when it is enabled
    engine: str = scene.render.engine
    return engine == "CYCLES" and cycles is not None and cycles.device == "GPU"


def _time(kind: str, scene: bpy.types.Scene) -> str:
    engine: str = scene.render.engine
    if engine == "CYCLES":
        if kind == OSL and is_on_card(scene):
            return OSL_ON_CARD
        return f"{(_CYCLES_GPU if is_on_card(scene) else _CYCLES_CPU)[kind]} times the render time of images"
    if engine.startswith("BLENDER_EEVEE"):
        if kind == OSL:
            return "not shown by EEVEE: choose Nodes or Baked"
        return f"{_EEVEE[kind]} times the render time of images"
    return f"render time in {engine.title()} not measured"
