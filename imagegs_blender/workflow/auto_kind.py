"""Auto: a decoder whose kind nobody chose gets the one that suits the scene and this computer.

OSL where Cycles uses Open Shading Language on the processor. Nodes where images would take much of the memory that is free,
unless Blender's texture cache keeps them out of it. Else Baked, which renders fastest. It is chosen when textures are
compressed, when a file opens, when a scene gets another engine, and before a render; a kind that a person chose stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from importlib.util import find_spec
from typing import Any, NamedTuple

import bpy

from ..blend import border, map_files
from ..blend.decoder import Decoder, decoders
from ..blend.properties import AUTO, BAKED, KIND, NODES, OSL
from ..core import machine
from ..core.errors import ImageGSError
from ..core.textures.texture_stack import Depth, MapInfo
from ..shaders import baked
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
    on_card = engine != "CYCLES" or cycles is None or cycles.device == "GPU"
    if not on_card and cycles.shading_system and find_spec("oslquery"):
        return Choice(OSL, "Cycles uses Open Shading Language")
    if map_files.wanted(scene):
        return Choice(BAKED, "Blender's texture cache loads only what a render needs")
    free = machine.free_memory()
    if free is None:
        return Choice(NODES, "how much memory is free is not known")
    room = min(free, CARD) if on_card else free
    where = "counted as free on a graphics card" if on_card and room == CARD else "of memory free"
    of = f"{summary.size(size)} as images, {summary.size(room)} {where}"
    if size > SHARE * room:
        return Choice(NODES, f"saves memory: {of}")
    return Choice(BAKED, f"renders fastest: {of}")


def decide(scene: bpy.types.Scene, more: Iterable[Iterable[MapInfo]] = (), instead_of: Collection[Decoder] = ()) -> str:
    """The kind that suits a scene, for all decoders that are Auto together.

    more         the maps of decoders to come
    instead_of   decoders that go then
    """
    global _reason
    there = [decoder.maps for decoder in _following() if decoder not in instead_of]
    kind, _reason = choice(scene, sum(map(_image_size, [*there, *more])))
    return kind


_reason = ""
"""Why the last decision was as it was; the panel shows it at every drawing."""


def reason(scene: bpy.types.Scene) -> str:
    """Why decoders that are Auto have the kind that they have, in words."""
    if not _reason:
        decide(scene)
    return _reason


def begin(several: Collection[Decoder], scene: bpy.types.Scene) -> None:
    """Let the kind of these decoders be chosen, now and from now on.

    Raises ImageGSError, and changes nothing, where one is linked or self-contained.
    """
    for decoder in several:
        decoder.require_local()
        if decoder.self_contained:
            raise ImageGSError(
                f"{decoder.name}: a self-contained file needs Nodes or Baked; switch Self-Contained off first"
            )
    for decoder in several:
        AUTO.write(decoder.tree, True)
    follow(scene)


def follow(scene: bpy.types.Scene) -> None:
    """Give each decoder that is Auto the kind that suits the scene now, and Baked ones files where it has a texture cache."""
    found = _following()
    kind = decide(scene) if found else None
    changed = [decoder for decoder in found if decoder.kind != kind]
    for decoder in changed:
        try:
            set_kind(decoder, str(kind), detail=wanted_detail(), auto=True)
        except ImageGSError as error:
            rebuild.queue.problems[decoder.uid] = str(error)  # said once
            rebuild.tell([str(error)])
    if changed:
        levels.follow_levels()
    sound = (d for d in decoders() if d.is_sound and d.kind == BAKED and d.uid not in rebuild.queue.problems)
    rebuild.tell(rebuild.complete(d for d in sound if not baked.is_as_wanted(d)))


def _following() -> list[Decoder]:
    """The decoders that are Auto and can be built in another way: local, sound, not saved with what they read."""
    found = (d for d in decoders() if not d.linked and d.is_sound and d.is_auto and not d.self_contained)
    return [d for d in found if d.uid not in rebuild.queue.problems and d.maps]


def _image_size(maps: Iterable[MapInfo]) -> int:
    """Bytes of these maps as images in memory, without smaller copies."""
    return sum(info.width * info.height * (4 if info.depth is Depth.U8 else 16) for info in maps)


@bpy.app.handlers.persistent
def _on_load(*_: object) -> None:
    """Before anything is built, so that it is built once."""
    global _reason
    _reason = ""
    _seen.clear()
    scene = bpy.context.scene
    found = [decoder for decoder in _following() if decoder.body is None]
    if scene is not None and found:
        kind = decide(scene)
        for decoder in found:
            KIND.write(decoder.tree, kind)


@bpy.app.handlers.persistent
def _on_render(scene: bpy.types.Scene, *_: object) -> None:
    follow(scene)


_seen: list[tuple[object, ...]] = []
"""What the scene asked for when it was last looked at; nothing in a file that was just opened."""


def _asks(scene: bpy.types.Scene) -> tuple[object, ...]:
    cycles: Any = getattr(scene, "cycles", None)
    asked = (getattr(cycles, name, None) for name in ("device", "shading_system"))
    return scene.name, scene.render.engine, *asked, map_files.wanted(scene)


@bpy.app.handlers.persistent
def _on_update(scene: bpy.types.Scene, *_: object) -> None:
    """In a window: when a scene gets another engine, its decoders follow as soon as Blender has time."""
    asked, _seen[:] = list(_seen), [_asks(scene)]
    if asked and asked != _seen and not bpy.app.background and not bpy.app.timers.is_registered(_later):
        bpy.app.timers.register(_later, first_interval=rebuild.SECONDS)


def _later() -> None:
    """What could not be built for the scene as it was is tried again."""
    follow(border.scene(bpy.context))
    rebuild.tell(rebuild.rebuild_lost())


register, unregister = border.handled(
    {"load_post": _on_load, "render_init": _on_render, "depsgraph_update_post": _on_update}
)
