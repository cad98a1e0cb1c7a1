"""Images shown in the place of decoders for a while: decoded once into files of this session, or the kept originals.

A saved file never holds it: the decoders stand in it as before, and in the open file the images come back after the save.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path

import bpy

from ..blend import border
from ..blend.decoder import Decoder, decoder_nodes, decoders, find
from ..blend.properties import MAP, STAND_IN
from ..blend.record import Original
from ..core.errors import ImageGSError
from ..scene import replace, stand_ins
from . import bake


def show(materials: Iterable[bpy.types.Material], linked: bool = False) -> tuple[int, list[str]]:
    """Let these materials show images instead of decoders, at full detail; linked: also those of another file.

    Returns the number of decoders' nodes, and a message for each decoder that can't be decoded: it stays.
    """
    count, messages = 0, {}
    places = [
        (tree, instance, Decoder(border.tree_of(instance)))
        for tree in replace.trees(materials, linked)
        for instance in decoder_nodes(tree)
        if any(output.is_linked for output in instance.outputs)
    ]
    for place, following in zip_longest(places, places[1:]):
        for _, _, decoder in filter(None, (place, following)):  # while one's files are written the next is decoded
            try:
                _begun(decoder)
            except ImageGSError as error:
                messages[decoder] = str(error)
        tree, instance, decoder = place
        if decoder in messages:
            continue
        try:
            count += bool(stand_ins.put(tree, instance, images(decoder)))
        except ImageGSError as error:
            messages[decoder] = str(error)
    return count, list(messages.values())


def show_originals(materials: Iterable[bpy.types.Material]) -> int:
    """Let these materials show the originals that they keep instead of decoders; returns the number of decoders' nodes."""
    count = 0
    for tree in list(replace.trees(materials)):
        stand_ins.back([tree])
        kept = {(original.decoder, original.map): node for node, original in _originals(tree)}
        for instance in list(decoder_nodes(tree)):
            own = ((name, node.image) for (decoder, name), node in kept.items() if decoder == instance.name)
            images = {name: image for name, image in own if image is not None}
            shown = stand_ins.put(tree, instance, images)
            for node in shown:
                node.interpolation = kept[instance.name, MAP.read(node)].interpolation
            count += bool(shown)
    return count


def shows_originals(materials: Iterable[bpy.types.Material]) -> bool:
    """Whether any of these materials shows originals that it keeps instead of decoders."""
    for tree in replace.trees(materials):
        kept = {node.image for node in replace.originals(tree)}
        if any(node.image in kept for node in STAND_IN.nodes(tree.nodes, bpy.types.ShaderNodeTexImage)):
            return True
    return False


def _originals(tree: bpy.types.NodeTree) -> list[tuple[bpy.types.ShaderNodeTexImage, Original]]:
    return [(node, Original.of(node)) for node in replace.originals(tree)]


def hide(materials: Iterable[bpy.types.Material], linked: bool = False) -> int:
    """The opposite of show(); returns the number of decoders' nodes that are linked again."""
    return stand_ins.back(list(replace.trees(materials, linked)))


def is_shown(materials: Iterable[bpy.types.Material]) -> bool:
    """Whether any of these materials shows images instead of decoders."""
    return any(STAND_IN.is_on(node) for tree in replace.trees(materials) for node in tree.nodes)


def images(decoder: Decoder) -> dict[str, bpy.types.Image]:
    """The maps of a decoder as images of files that live as long as this session, by name.

    Each file is written once, also for several decoders of one stream. Raises ImageGSError where the stream is lost, or where
    a file can't be written.
    """
    return bake.load(decoder, _begun(decoder).files())


def prepare() -> None:
    """Decode what images() will want, a decoder at a time, while nothing else happens."""
    if not bpy.app.timers.is_registered(_prepare_next):
        _waiting[:] = [decoder.name for decoder in decoders()]
        bpy.app.timers.register(_prepare_next, first_interval=_REST)


def _prepare_next() -> float | None:
    if all(baking.done for baking in _bakings.values()) and _waiting:
        name = _waiting.pop()
        try:
            _begun(find(name))
        except ImageGSError:  # images() says it to who asks for them
            return _REST
    return _REST if _waiting else None


def _begun(decoder: Decoder) -> bake.Baking:
    """The baking of a decoder's stream, begun now where it was not before, or where it failed."""
    stamp = hashlib.sha256(decoder.data + repr(decoder.tiles).encode()).hexdigest()[:16]
    folder = Path(bpy.app.tempdir, "imagegs", stamp)
    if folder not in _bakings or _bakings[folder].failed:
        folder.mkdir(parents=True, exist_ok=True)
        _bakings[folder] = bake.Baking(decoder, folder)
    return _bakings[folder]


_bakings: dict[Path, bake.Baking] = {}
"""Of this session, by folder."""

_waiting: list[str] = []
"""Names of the decoders that are still to be prepared."""

_REST = 0.05
"""Seconds between two looks."""

_shown_before_saving: list[bpy.types.Material] = []
_originals_before_saving: list[bpy.types.Material] = []


@bpy.app.handlers.persistent
def _on_saving(*_: object) -> None:
    materials = [material for material in bpy.data.materials if is_shown([material])]
    _originals_before_saving[:] = [material for material in materials if shows_originals([material])]
    _shown_before_saving[:] = [material for material in materials if material not in _originals_before_saving]
    hide(materials)


@bpy.app.handlers.persistent
def _on_saved(*_: object) -> None:
    show(_shown_before_saving)
    show_originals(_originals_before_saving)
    _shown_before_saving.clear()
    _originals_before_saving.clear()


@bpy.app.handlers.persistent
def _on_load(*_: object) -> None:
    """A recovery file was saved without the handlers."""
    hide(bpy.data.materials)


_add_handlers, _remove_handlers = border.handled({
    "save_pre": _on_saving, "save_post": _on_saved, "save_post_fail": _on_saved, "load_post": _on_load,
})  # fmt: skip


def register() -> None:
    _add_handlers()


def unregister() -> None:
    _remove_handlers()
    _bakings.clear()
    if bpy.app.timers.is_registered(_prepare_next):
        bpy.app.timers.unregister(_prepare_next)
