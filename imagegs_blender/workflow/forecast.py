"""What a press of the button would do: planned once and kept until something in the file changes."""

from __future__ import annotations

from dataclasses import dataclass

import bpy

from ..blend import amount, border
from ..blend.decoder import decoders
from ..blend.properties import BAKED
from ..core.settings import FitSettings
from ..scene import material_stack
from ..scene.cost import Cost
from ..scene.material_stack import Plan, StackPlan
from . import auto_kind, pace, worth

_MAX_KEPT = 8
"""Plans in memory: for the selections that a person goes back and forth between."""

_MEMORY_PER_BYTE = 12
"""Bytes of memory that a decoder's tables take for each byte of the stream: 10 to 14 in the scene of `make demo`."""

_plans: dict[tuple[object, ...], Plan] = {}
_costs: dict[Plan, Cost] = {}
_kinds: dict[Plan, str] = {}
_notes: dict[StackPlan, list[str]] = {}


@dataclass(frozen=True)
class Estimate:
    """Of all stacks together.

    before    what their images take now
    bytes     at most; None where quality decides
    memory    of the decoders that Auto takes now, their tables or images, roughly; None where quality decides
    seconds   roughly, on this machine
    """

    before: Cost
    bytes: int | None
    memory: int | None
    seconds: float


def plan(materials: list[bpy.types.Material], settings: FitSettings | None = None) -> Plan:
    """What compressing these materials means, from memory where nothing changed since.

    settings   leave out what would not get smaller with them; None: nothing
    """
    names = (
        f"{material.name}\0{material.library.filepath if material.library is not None else ''}"
        for material in materials
    )
    key = (settings, *names, *(tuple(amount.own(material.name).items()) for material in materials))
    if key not in _plans:
        if len(_plans) >= _MAX_KEPT:
            _forget()
        whole = material_stack.plan(materials)
        _plans[key] = whole if settings is None else worth.sifted(whole, settings)
    return _plans[key]


def estimate(plan: Plan, settings: FitSettings) -> Estimate:
    """Size and time of compressing a plan, before anything is read."""
    seconds = sum(pace.expected(plan.stacks, settings)) + pace.BUILDING * len(plan.stacks)
    sizes = [worth.stream_bytes(stack, settings) for stack in plan.stacks]
    known = [size for size in sizes if size is not None]
    size = sum(known) if len(known) == len(sizes) else None
    if plan not in _costs:
        _costs[plan] = sum(map(worth.now, plan.stacks), Cost(0, 0))
        _kinds[plan] = auto_kind.choice(border.scene(bpy.context), _costs[plan].memory).kind
    memory = None if size is None else _MEMORY_PER_BYTE * size
    return Estimate(_costs[plan], size, _costs[plan].memory if _kinds[plan] == BAKED else memory, seconds)


def notes(stack: StackPlan) -> list[str]:
    """What is worth knowing of a stack before it is compressed, in words."""
    if stack not in _notes:
        _notes[stack] = [
            *(
                f"Shares images with {name}: choose both and press Recompress to share one stack"
                for name in _sharing(stack)
            ),
            *_without_uv(stack),
        ]
    return _notes[stack]


def _sharing(stack: StackPlan) -> list[str]:
    """The decoders that were made from an image of this stack, too: compressed together, they would share it."""
    names = {m.image.name for m in stack.maps}
    own = [decoder for decoder in decoders() if not decoder.linked and decoder.is_sound]
    return [d.name for d in own if names & {original.image for original in d.record.originals.values()}]


def _without_uv(stack: StackPlan) -> list[str]:
    """The meshes that show one point of the textures only, as they have no UV map; geometry nodes may give them one."""
    if not any("UV" in node.vector for node in stack.nodes):
        return []
    names = set()
    for obj in bpy.data.objects:
        if obj.type != "MESH" or border.mesh_of(obj).uv_layers or any(m.type == "NODES" for m in obj.modifiers):
            continue
        if any(slot.material and slot.material.name in stack.materials for slot in obj.material_slots):
            names.add(obj.name)
    if not names:
        return []
    first, *others = sorted(names)
    return [f"No UV map: {first}{f' and {len(others)} more' if others else ''} shows one color of these textures"]


@bpy.app.handlers.persistent
def _forget(*_: object) -> None:
    for known in (_plans, _costs, _kinds, _notes):
        known.clear()


register, _remove_handlers = border.handled(
    dict.fromkeys(("depsgraph_update_post", "undo_post", "redo_post", "load_post"), _forget)
)


def unregister() -> None:
    _remove_handlers()
    _forget()
