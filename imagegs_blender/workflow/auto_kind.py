"""Auto: a decoder whose kind nobody chose gets the one that suits the scene and this computer.

OSL where Cycles uses Open Shading Language on the processor. Nodes where images would take much of the memory that is free.
Else Baked, which renders fastest. It is chosen when textures are compressed, when a file opens, when a scene gets another
engine, and before a render; a kind that a person chose stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any, NamedTuple

import bpy

from ..blend import border
from ..blend.decoder import Decoder, decoders
from ..blend.properties import AUTO, BAKED, KIND, NODES, OSL
from ..core import machine
from ..core.errors import ImageGSError
from ..core.textures.texture_stack import Depth, MapInfo
from ..shaders.decoder import set_kind
from . import levels, rebuild, summary
from .max_detail import wanted_detail

SHARE = 0.25
"""Of the free memory: what the images of all Baked decoders may take, so that the rest of a scene has room."""

CARD = 4 << 30
"""Bytes that are taken to be free on a graphics card, which no one can be asked about."""


class Choice(NamedTuple):
    """A kind, one of properties.KINDS, and why, in words."""

    kind: str
    why: str


def choice(scene: bpy.types.Scene, size: int) -> Choice:
    """What suits a scene, if the decoders' maps take so many bytes as images."""
    cycles: Any = getattr(scene, "cycles", None)
    engine: str = scene.render.engine
    is_cycles = engine == "CYCLES" and cycles is not None
    on_card = cycles.device == "GPU" if is_cycles else not bpy.app.background
    if is_cycles and not on_card and cycles.shading_system and find_spec("oslquery"):
        return Choice(OSL, "Cycles uses Open Shading Language")
    free = machine.free_memory()
    if free is None:
        return Choice(NODES, "how much memory is free is not known")
    room = min(free, CARD) if on_card else free
    where = "counted as free on a graphics card" if on_card and room == CARD else "of memory free"
    of = f"{summary.size(size)} as images, {summary.size(room)} {where}"
    if size > SHARE * room:
        return Choice(NODES, f"saves memory: {of}")
    return Choice(BAKED, f"renders fastest: {of}")


def image_size(maps: Iterable[MapInfo]) -> int:
    """Bytes of these maps as images in memory, without smaller copies."""
    return sum(info.width * info.height * (4 if info.depth is Depth.U8 else 16) for info in maps)


def total_size(more: Iterable[Iterable[MapInfo]] = ()) -> int:
    """image_size() of all decoders of the open file that are Auto, and of the maps of more to come."""
    return sum(image_size(decoder.stream.maps) for decoder in _following()) + sum(map(image_size, more))


def begin(decoder: Decoder) -> None:
    """Let the kind of a decoder be chosen from now on, by the next follow(). Raises ImageGSError where it is linked."""
    if decoder.linked:
        raise ImageGSError(f"{decoder.name}: it is linked from {decoder.tree.library.filepath}; make it local first")
    if decoder.self_contained:
        raise ImageGSError(
            f"{decoder.name}: a self-contained file needs Nodes or Baked; switch Self-Contained off first"
        )
    AUTO.write(decoder.tree, True)


def reason(scene: bpy.types.Scene) -> str:
    """Why decoders that are Auto have the kind that they have, in words."""
    return choice(scene, total_size()).why


def follow(scene: bpy.types.Scene) -> None:
    """Give each decoder that is Auto the kind that suits the scene now."""
    found = _following()
    if not found:
        return
    kind = choice(scene, total_size()).kind
    changed = [decoder for decoder in found if decoder.kind != kind]
    for decoder in changed:
        try:
            set_kind(decoder, kind, detail=wanted_detail(), auto=True)
        except ImageGSError as error:
            rebuild.tell([str(error)])
    if changed:
        levels.follow_levels()


def _following() -> list[Decoder]:
    """The decoders that are Auto, and can be built in another way: not linked, sound, and not saved with what they read."""
    return [
        d for d in decoders() if not d.linked and d.is_sound and d.is_auto and not d.self_contained and _readable(d)
    ]


def _readable(decoder: Decoder) -> bool:
    try:
        return bool(decoder.stream)
    except ImageGSError:
        return False


@bpy.app.handlers.persistent
def _on_load(*_: object) -> None:
    """Before anything is built: only what is going to be."""
    found = _following()
    scene = bpy.context.scene
    if found and scene is not None:
        kind = choice(scene, total_size()).kind
        for decoder in found:
            if decoder.body is None:
                KIND.write(decoder.tree, kind)
        _seen.clear()
        _seen.append(_asks(scene))


@bpy.app.handlers.persistent
def _on_render(scene: bpy.types.Scene, *_: object) -> None:
    follow(scene)


_seen: list[tuple[object, ...]] = []
"""What the scene asked for when it was last looked at."""


def _asks(scene: bpy.types.Scene) -> tuple[object, ...]:
    cycles: Any = getattr(scene, "cycles", None)
    return scene.name, scene.render.engine, getattr(cycles, "device", None), getattr(cycles, "shading_system", None)


@bpy.app.handlers.persistent
def _on_update(scene: bpy.types.Scene, *_: object) -> None:
    """In a window: when a scene gets another engine, its decoders follow as soon as Blender has time."""
    if bpy.app.background or _seen == [_asks(scene)]:
        return
    is_first = not _seen
    _seen[:] = [_asks(scene)]
    if not is_first and not bpy.app.timers.is_registered(_later):
        bpy.app.timers.register(_later, first_interval=rebuild.SECONDS)


def _later() -> None:
    follow(border.scene(bpy.context))


_HANDLERS = {"load_post": _on_load, "render_init": _on_render, "depsgraph_update_post": _on_update}


def register() -> None:
    for name, handler in _HANDLERS.items():
        getattr(bpy.app.handlers, name).append(handler)


def unregister() -> None:
    for name, handler in _HANDLERS.items():
        getattr(bpy.app.handlers, name).remove(handler)
    _seen.clear()
