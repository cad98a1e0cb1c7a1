"""The LOD of materials' decoders: read and set for several at once, and followed by baked images when a slider rests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import bpy

from ..blend import border
from ..blend.decoder import Decoder, decoder_nodes, decoders
from ..blend.properties import BAKED, LEVEL, MAX_LOD
from ..core.errors import ImageGSError
from ..scene import replace
from ..shaders.decoder import set_level
from . import rebuild


def levels(materials: Iterable[bpy.types.Material]) -> set[float]:
    """The LODs that the decoders of these materials show; inputs that something is linked to do not count."""
    return {min(max(border.value(socket), 0.0), MAX_LOD) for socket in _sockets(materials) if not socket.is_linked}


def set_levels(materials: Iterable[bpy.types.Material], level: float) -> None:
    """Let all decoders of these materials show one LOD."""
    for socket in _sockets(materials):
        border.set_value(socket, level)


def _sockets(materials: Iterable[bpy.types.Material]) -> Iterator[bpy.types.NodeSocket]:
    return (border.input_of(node, "LOD") for tree in replace.trees(materials) for node in decoder_nodes(tree))


def follow_levels() -> int:
    """Decode baked images anew whose decoder nodes have another LOD now: the finest of them; returns how many were.

    Linked decoders, those that no material shows, and those with damaged properties stay as they are.
    """
    baked = {decoder.tree: decoder for decoder in decoders() if not decoder.linked and _is_baked(decoder)}
    finest: dict[bpy.types.ShaderNodeTree, float] = {}
    for tree in replace.trees(bpy.data.materials) if baked else ():
        for node in decoder_nodes(tree):
            group, socket = border.tree_of(node), node.inputs["LOD"]
            if group in baked and not socket.is_linked:
                level = min(max(border.value(socket), 0.0), MAX_LOD)
                finest[group] = min(level, finest.get(group, level))
    changed = [baked[tree] for tree, level in finest.items() if abs(level - baked[tree].level) > 1e-3]
    for decoder in changed:
        try:
            set_level(decoder, finest[decoder.tree])
        except ImageGSError as error:
            LEVEL.write(decoder.tree, finest[decoder.tree])  # said once, not at every change
            rebuild.queue.problems[decoder.uid] = str(error)
            rebuild.tell([str(error)])
    return len(changed)


def _is_baked(decoder: Decoder) -> bool:
    try:
        return decoder.kind == BAKED and 0 <= decoder.level and 0 <= decoder.detail
    except ImageGSError:
        return False


@bpy.app.handlers.persistent
def _on_update(*_: object) -> None:
    """Something was changed, maybe a LOD; in a window, images are decoded when it rests."""
    if bpy.app.background:
        follow_levels()
    elif not bpy.app.timers.is_registered(_on_rest):
        bpy.app.timers.register(_on_rest, first_interval=rebuild.SECONDS)


def _on_rest() -> None:
    follow_levels()


def register() -> None:
    bpy.app.handlers.depsgraph_update_post.append(_on_update)


def unregister() -> None:
    bpy.app.handlers.depsgraph_update_post.remove(_on_update)
