"""Where the nodes of a decoder stand: in an inner group, its body, that no saved file holds.

    decoder:   Group Input -> body -> Group Output, whose own values are the average color of each map

The body, the groups inside it, and their images are runtime data to Blender, which leaves such data out of files. A group
node without its group has no sockets, so in the saved file the output's own values show: the average color, with this
add-on until the body is built, without it for good.

A linked decoder belongs to another file. Nothing of this file may stand inside it, since Undo would free that under its
nodes. So it is built in its own tree, from blank datablocks that its file holds for this (Parts).
"""

from __future__ import annotations

from collections.abc import Mapping

import bpy

from ..blend import border
from ..blend.decoder import Decoder
from ..blend.properties import BODY, PARTS
from ..core.errors import ImageGSError


class Parts:
    """The datablocks that a decoder is being built from: new ones, or where it is linked the blank ones of its file."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder
        self._blank = decoder.parts if decoder.linked else None
        self._kinds: dict[str, type[bpy.types.ID]] = {}

    def image(self, name: str, is_float: bool) -> bpy.types.Image:
        """An image for the texels of a table or a map; float or 8 bits. Raises ImageGSError where there is no blank one."""
        self._kinds[name] = bpy.types.Image
        if self._blank is None:
            return bpy.data.images.new(f"{self.decoder.name} {name}", 1, 1, alpha=True, float_buffer=is_float)
        image = self._blank.get(name)
        if not isinstance(image, bpy.types.Image):
            raise self._lacking()
        return image

    def tree(self, name: str) -> bpy.types.ShaderNodeTree:
        """A group without nodes and sockets. Raises ImageGSError where there is no blank one."""
        self._kinds[name] = bpy.types.ShaderNodeTree
        if self._blank is None:
            return border.new_tree(f".{self.decoder.name} {name}")
        tree = self._blank.get(name)
        if not isinstance(tree, bpy.types.ShaderNodeTree):
            raise self._lacking()
        tree.nodes.clear()
        border.interface(tree).clear()
        return tree

    def keep_blank(self) -> None:
        """Let the decoder's file hold a blank datablock for each that was asked for."""
        decoder = self.decoder
        blank = {name: part for name, part in decoder.parts.items() if isinstance(part, self._kinds.get(name, ()))}
        for name, kind in self._kinds.items():
            if name in blank:
                continue
            label = f".{name}"  # a dot keeps it out of Blender's lists
            if kind is bpy.types.Image:
                blank[name] = bpy.data.images.new(label, 1, 1)
            else:
                blank[name] = border.new_tree(label)
        unneeded = [part for part in decoder.parts.values() if part not in blank.values()]
        if blank:
            PARTS.write(decoder.tree, blank)
        else:
            PARTS.remove(decoder.tree)
        bpy.data.batch_remove([part for part in unneeded if part.users == 0])

    def _lacking(self) -> ImageGSError:
        return ImageGSError(
            f"{self.decoder.name}: was built by another version of the add-on, or with another Max Detail: open its library "
            "with this version and save it"
        )


def attach(decoder: Decoder, body: bpy.types.ShaderNodeTree, colors: Mapping[str, tuple[float, float, float]]) -> None:
    """Let a decoder decode with a body, and show these colors, by output, wherever the body is missing."""
    tree = decoder.tree
    tree.nodes.clear()
    start, node, end = map(tree.nodes.new, ("NodeGroupInput", "ShaderNodeGroup", "NodeGroupOutput"))
    assert isinstance(node, bpy.types.ShaderNodeGroup)
    node.node_tree, node.label = body, "Decoded"
    BODY.write(node, True)
    node.width, node.location, end.location = 300, (250, 0), (600, 0)
    for source, target in zip(start.outputs, node.inputs, strict=False):
        tree.links.new(source, target)
    for source, target in zip(node.outputs, end.inputs, strict=False):
        tree.links.new(source, target)
    show(decoder, colors)


def show(decoder: Decoder, colors: Mapping[str, tuple[float, float, float]]) -> None:
    """Let these be the colors that a decoder shows wherever its body is missing, by output."""
    for end in (node for node in decoder.tree.nodes if node.bl_idname == "NodeGroupOutput"):
        for name, color in colors.items():
            socket = end.inputs[name]
            border.set_value(socket, (*color, 1.0) if socket.type == "RGBA" else color[0])


def detach(decoder: Decoder) -> None:
    """Take the body away, so that the decoder shows its average color."""
    node = decoder.body_node
    if node is not None:
        node.node_tree = None


def leave_out(decoder: Decoder) -> None:
    """Keep what is derived out of every file that is saved from now on; but in it where the decoder is self-contained.

    Blender forgets this in Undo, and when a file is opened.
    """
    if decoder.linked:
        return
    for part in [*decoder.trees()[1:], *decoder.derived_images()]:
        part.is_runtime_data = not decoder.self_contained and decoder.body is not None
