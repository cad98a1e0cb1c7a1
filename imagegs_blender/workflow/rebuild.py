"""Tables and baked images are derived data: made from the stream whenever a file is opened.

In a window the file opens at once, with the average color of each map, and sharpens decoder by decoder; in the
background, and before anything renders, all of them are complete. No decoder holds finer levels of detail than the
scene property `imagegs_max_detail` asks for: one setting for the whole file, choosing it in one scene sets it in all.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager

import bpy

from ..blend import storage
from ..core.errors import ImageGSError
from ..core.igs import stream
from ..scene import cost, replace
from ..shaders import decoder
from . import comparison

SECONDS = 0.05
"""Between the decoders that are completed one after the other, for the window to be drawn and used."""

_TIP = "Tables of Nodes and OSL are as large as for all levels, except of very dense textures; Baked images are smaller"
DETAIL_ITEMS = [
    ("FULL", "Full", "Every level of detail is loaded"),
    ("1/2", "1/2", f"LOD is 1 at least. {_TIP}"),
    ("1/4", "1/4", f"LOD is 2 at least. {_TIP}"),
    ("1/8", "1/8", "LOD is 3 at least: plain texels of an eighth of the width and height, no Gaussians"),
    ("1/16", "1/16", "LOD is 4 at least: plain texels of a sixteenth of the width and height, no Gaussians"),
    ("1/32", "1/32", "LOD is 5 at least: plain texels of 1/32 of the width and height, no Gaussians"),
]
"""Choices of the scene property, in the order of the level that is the finest."""

_problems: dict[int, str] = {}
"""What could not be rebuilt in the open file: the message for each decoder, by its session_uid."""

_waiting: list[int] = []
"""Decoders (session_uid) that show the average color, or another Max Detail, until their turn."""


def rebuild_tables(lost_only: bool = False) -> list[str]:
    """Fill the tables or baked maps of every decoder in the open file from its stream, unless the file holds them packed.

    lost_only   leave decoders alone whose tables are still there, of the Max Detail asked for, and without a problem
    Returns one message for each decoder whose stream is deleted or damaged: it shows the average color of its maps, and
    nothing of it is lost.
    """
    _waiting.clear()
    return _rebuild([group for group in storage.decoders() if _lacks(group, saved_only=not lost_only)])


def problems() -> list[str]:
    """What could not be rebuilt in the open file, as long as that holds: a line for each decoder."""
    return [_problems[group.session_uid] for group in storage.decoders() if group.session_uid in _problems]


def wanted_detail() -> int:
    """The finest level of detail that decoders are to hold, 0 for full detail: the coarsest of the file's scenes."""
    order = [name for name, *_ in DETAIL_ITEMS]
    scenes = (scene for scene in bpy.data.scenes if not scene.library)
    return max((order.index(getattr(scene, "imagegs_max_detail", "FULL")) for scene in scenes), default=0)


def follow_detail() -> None:
    """Build decoders anew that hold another Max Detail than asked for: in a window one after the other, else at once."""
    behind = [group for group in storage.decoders() if decoder.detail(group) != wanted_detail()]
    if bpy.app.background:
        _print(_rebuild(behind))
    else:
        _complete_later(behind)


def pack_tables() -> None:
    """Store the tables of every decoder in the file, which then renders without the add-on."""
    for group in storage.decoders():
        if not group.library:
            decoder.pack(group)


def lean_file() -> AbstractContextManager[None]:
    """A file saved in this context holds streams, and of what is derived from them only what was packed."""
    shown = bpy.data.images.get((comparison.IMAGE, None))
    return decoder.left_out(storage.decoders(), [shown] if shown else [])


def follow_levels() -> int:
    """Decode baked images anew whose decoder nodes have another LOD now: the finest of them; returns how many were.

    Linked decoders, and those that no material shows, stay as they are.
    """
    finest: dict[bpy.types.ShaderNodeTree, float] = {}
    groups = [group for group in storage.decoders() if decoder.kind(group) == decoder.BAKED and not group.library]
    for tree in replace.trees(bpy.data.materials) if groups else ():
        for node in cost.decoder_nodes(tree):
            if node.node_tree in groups and not node.inputs["LOD"].is_linked:
                level = node.inputs["LOD"].default_value
                finest[node.node_tree] = min(level, finest.get(node.node_tree, level))
    changed = [group for group, level in finest.items() if abs(level - group.get(decoder.LEVEL, 0.0)) > 1e-3]
    for group in changed:
        try:
            decoder.set_level(group, storage.stream(group), finest[group])
        except ImageGSError as error:
            group[decoder.LEVEL] = finest[group]  # said once, not at every change
            _say(group, str(error))
    return len(changed)


def _lacks(group: bpy.types.ShaderNodeTree, saved_only: bool) -> bool:
    """Whether a decoder is to be rebuilt: for what it does not hold, or does not hold in a form that a file keeps."""
    if group.session_uid in _problems or decoder.detail(group) != wanted_detail():
        return True
    return not decoder.is_whole(group, saved_only)


def _rebuild(groups: list[bpy.types.ShaderNodeTree]) -> list[str]:
    """The messages about those of these decoders that can't be rebuilt."""
    said = []
    for group in groups:
        _problems.pop(group.session_uid, None)
        found = None
        try:
            found = stream.read(storage.stream(group))
            decoder.update(group, found, wanted_detail())
        except ImageGSError as error:
            shown = "it shows its average color" if _show_average(group, found) else "it stays black"
            group[decoder.DETAIL] = wanted_detail()  # nothing more is to be had for it
            said.append(f"{group.name}: {str(error).removeprefix(f'{group.name}: ')} ({shown})")
            _problems[group.session_uid] = said[-1]
    return said


def _show_average(group: bpy.types.ShaderNodeTree, found: stream.Stream | None = None) -> bool:
    """Whether that is possible."""
    try:
        decoder.show_average(group, found)
    except ImageGSError:
        return False
    return True


def _say(group: bpy.types.ShaderNodeTree, message: str) -> None:
    _problems[group.session_uid] = message
    print(f"Image-GS: {message}", file=sys.stderr)


_saving: list[AbstractContextManager[None]] = []


@bpy.app.handlers.persistent
def _on_saving(*_: object) -> None:
    context = lean_file()
    context.__enter__()
    _saving.append(context)


@bpy.app.handlers.persistent
def _on_saved(*_: object) -> None:
    while _saving:
        _saving.pop().__exit__(None, None, None)


@bpy.app.handlers.persistent
def _on_load(*_: object) -> None:
    _problems.clear()
    if bpy.app.background:
        _print(rebuild_tables())
        return
    _waiting.clear()
    _complete_later([g for g in storage.decoders() if not decoder.is_whole(g, saved_only=True) and _show_average(g)])
    _print(_rebuild([g for g in storage.decoders() if g.session_uid not in _waiting and _lacks(g, saved_only=False)]))


def _complete_later(groups: list[bpy.types.ShaderNodeTree]) -> None:
    _waiting.extend(group.session_uid for group in groups if group.session_uid not in _waiting)
    if _waiting and not bpy.app.timers.is_registered(_next):
        bpy.app.timers.register(_next, first_interval=SECONDS)


def _next() -> float | None:
    """Complete one decoder; called until none is waiting."""
    uid = _waiting.pop(0) if _waiting else None
    _print(_rebuild([group for group in storage.decoders() if group.session_uid == uid]))
    return SECONDS if _waiting else None


@bpy.app.handlers.persistent
def _on_render(*_: object) -> None:
    """Complete what is waiting."""
    while _waiting:
        _next()
    _print(_rebuild([group for group in storage.decoders() if decoder.detail(group) != wanted_detail()]))


@bpy.app.handlers.persistent
def _on_change(*_: object) -> None:
    """Undo, redo and append bring decoders in without the pixels of their tables."""
    _on_render()
    _print(rebuild_tables(lost_only=True))


@bpy.app.handlers.persistent
def _on_update(*_: object) -> None:
    """A slider was moved; in a window, images are decoded when it rests."""
    if bpy.app.background:
        follow_levels()
    elif not bpy.app.timers.is_registered(_follow):
        bpy.app.timers.register(_follow, first_interval=SECONDS)


def _follow() -> None:
    follow_levels()


def _print(messages: list[str]) -> None:
    for message in messages:
        print(f"Image-GS: {message}", file=sys.stderr)


_HANDLERS = {
    "load_post": _on_load, "undo_post": _on_change, "redo_post": _on_change, "blend_import_post": _on_change,
    "render_init": _on_render, "depsgraph_update_post": _on_update, "save_pre": _on_saving, "save_post": _on_saved,
    "save_post_fail": _on_saved,
}  # fmt: skip


def _changed_detail(self: bpy.types.Scene, context: bpy.types.Context) -> None:
    chosen = self.imagegs_max_detail
    for scene in bpy.data.scenes:
        if not scene.library and scene.imagegs_max_detail != chosen:
            scene.imagegs_max_detail = chosen
    follow_detail()


def register() -> None:
    bpy.types.Scene.imagegs_max_detail = bpy.props.EnumProperty(
        name="Max Detail",
        description="The finest level of detail that any decoder of this file loads and shows, in renders too. From 1/8 on it "
        "takes a fraction of the memory. Compare, Export and Bake to Images are not limited",
        items=DETAIL_ITEMS, default="FULL", update=_changed_detail,
    )  # fmt: skip
    for name, handler in _HANDLERS.items():
        getattr(bpy.app.handlers, name).append(handler)


def unregister() -> None:
    for name, handler in _HANDLERS.items():
        getattr(bpy.app.handlers, name).remove(handler)
    del bpy.types.Scene.imagegs_max_detail
    _waiting.clear()
    _problems.clear()
