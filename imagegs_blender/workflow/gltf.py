"""What the glTF exporter calls: while it runs, images stand in for decoders, or the average color where there are none.

The exporter has no hook for an export that fails. So an export is watched: as soon as Blender goes on without it, which a
timer or a handler notices, the decoders come back.
"""

from __future__ import annotations

import inspect
import traceback
from types import CodeType
from typing import Any

import bpy

from ..blend.decoder import decoders
from ..shaders.body import give_average
from . import as_images


class Extension:
    """One export."""

    is_critical = True
    """An export without the textures would be worse than none."""

    def __init__(self) -> None:
        self._shown: list[bpy.types.Material] = []
        self._exporter: CodeType | None = None

    def pre_export_hook(self, export_settings: dict[str, Any]) -> None:
        """Before the exporter reads anything."""
        caller = inspect.stack(context=0)[2].frame  # the exporter's operator calls what calls this
        self._exporter = caller.f_code
        self._shown = [material for material in bpy.data.materials if not as_images.is_shown([material])]
        _watch(self)
        for decoder in decoders():
            give_average(decoder, True)
        _, messages = as_images.show(self._shown, linked=True)
        for message in messages:
            export_settings["log"].warning(f"{message} (exported as its average color)", popup=True)

    def post_export_hook(self, export_settings: dict[str, Any]) -> None:
        """After the file is written."""
        self.end()

    @property
    def is_running(self) -> bool:
        """Whether the exporter is at work, this call being made from within."""
        return any(frame.f_code is self._exporter for frame, _ in traceback.walk_stack(None))

    def end(self) -> None:
        """Let the decoders come back."""
        _unwatch()
        as_images.hide((material for material in bpy.data.materials if material in self._shown), linked=True)
        for decoder in decoders():
            give_average(decoder, False)


_watched: list[Extension] = []
_HANDLERS = ("depsgraph_update_post", "save_pre", "render_init")


def _watch(export: Extension) -> None:
    _watched.append(export)
    bpy.app.timers.register(_end_left_over, first_interval=0)
    for name in _HANDLERS:
        getattr(bpy.app.handlers, name).append(_end_left_over)


def _unwatch() -> None:
    _watched.clear()
    if bpy.app.timers.is_registered(_end_left_over):
        bpy.app.timers.unregister(_end_left_over)
    for name in _HANDLERS:
        handlers = getattr(bpy.app.handlers, name)
        while _end_left_over in handlers:
            handlers.remove(_end_left_over)


def _end_left_over(*_: object) -> None:
    """End an export that failed."""
    ended = [export for export in _watched if not export.is_running]
    for export in ended:
        export.end()


def unregister() -> None:
    _unwatch()
