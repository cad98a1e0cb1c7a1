"""Meshes that show parts of a texture that were left out when it was compressed: found when the scene is quiet.

Changes of the scene only start a timer. It looks at the meshes of decoders that left something out, once nothing has changed
for a while; panels ask for what it found. Files without such decoders cost nothing.
"""

from __future__ import annotations

import time

import bpy

from ..blend import border
from ..blend.decoder import Decoder, decoders
from ..core.textures import cells
from ..scene import coverage
from ..scene.uses import Uses

QUIET_SECONDS = 1.0
"""Without a change, before meshes are looked at."""

_KINDS = (bpy.types.Object, bpy.types.Mesh, bpy.types.Material, bpy.types.ShaderNodeTree)
"""Datablocks whose changes may show other parts of a texture."""


class Watch:
    """What is known of the open file.

    shown      what each decoder that left parts out has kept, as Record.shown, by the decoder's uid
    outgrown   the decoders of which meshes show more now, by their uid
    changed    when the scene was changed last, by time.perf_counter()
    """

    def __init__(self) -> None:
        self.shown: dict[int, str] = {}
        self.outgrown: set[int] = set()
        self.changed = 0.0


watch = Watch()


def is_outgrown(decoder: Decoder) -> bool:
    """Whether meshes show parts of a decoder's texture that were left out, as far as was seen."""
    return decoder.uid in watch.outgrown


def refresh() -> None:
    """Other decoders may be in the file: find those to watch, and look at them soon."""
    sound = (decoder for decoder in decoders() if decoder.is_sound)
    watch.shown = {decoder.uid: shown for decoder in sound if (shown := decoder.record.shown)}
    watch.outgrown &= watch.shown.keys()
    if watch.shown:
        _look_soon()


def look() -> None:
    """Find the decoders that are outgrown, now."""
    watched = [decoder for decoder in decoders() if decoder.uid in watch.shown and decoder.is_sound]
    watch.outgrown = {
        decoder.uid
        for decoder, uses in (Uses.of_decoders(watched) if watched else {}).items()
        if coverage.is_outgrown(uses, cells.from_text(watch.shown[decoder.uid]))
    }


def _look_soon() -> None:
    watch.changed = time.perf_counter()
    if not bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.register(_on_timer, first_interval=QUIET_SECONDS)


def _on_timer() -> float | None:
    """Look, once it has been quiet for long enough."""
    left = QUIET_SECONDS - (time.perf_counter() - watch.changed)
    if left > 0:
        return left
    before = watch.outgrown
    look()
    if watch.outgrown != before:
        _redraw()
    return None


def _redraw() -> None:
    manager = bpy.context.window_manager
    for window in manager.windows if manager else ():
        for area in window.screen.areas:
            area.tag_redraw()


@bpy.app.handlers.persistent
def _on_update(_: object, graph: bpy.types.Depsgraph) -> None:
    if watch.shown and any(
        (update.is_updated_geometry or update.is_updated_shading) and isinstance(update.id, _KINDS)
        for update in graph.updates
    ):
        _look_soon()


@bpy.app.handlers.persistent
def _on_other_decoders(*_: object) -> None:
    refresh()


_add_handlers, _remove_handlers = border.handled({
    "load_post": _on_other_decoders, "undo_post": _on_other_decoders, "redo_post": _on_other_decoders,
    "blend_import_post": _on_other_decoders, "depsgraph_update_post": _on_update,
})  # fmt: skip


def register() -> None:
    _add_handlers()


def unregister() -> None:
    _remove_handlers()
    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
    watch.shown, watch.outgrown = {}, set()
