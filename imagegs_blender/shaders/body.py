"""Where the nodes of a decoder stand: in an inner group, its body, that no saved file holds.

    decoder:   Group Input -> body -> Group Output, whose own values are the average color of each map

The body, the groups inside it, and their images are runtime data to Blender, which leaves such data out of files. A group
node without its group has no sockets, so in the saved file the output's own values show: the average color, with this
add-on until the body is built, without it for good.

A body has two outputs. Renderers take the active one, which is linked. Python that walks node trees takes the first, which
has the average color and no links: through the nodes of a body lead a billion paths. give_average() leads everybody there.

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

BODY_TREE, LEVEL_TREE = "decoded", "level"
"""The body, and the group inside it that reads one level of detail."""


class Parts:
    """The datablocks that a decoder is being built from: new ones, or where it is linked the blank ones of its file.

    pattern   the body of a decoder that is built alike; groups are copies of its groups
    copied    they are
    """

    def __init__(self, decoder: Decoder, pattern: bpy.types.ShaderNodeTree | None = None) -> None:
        self.decoder = decoder
        self._blank = decoder.parts if decoder.linked else None
        self.copied = pattern is not None
        self._patterns: dict[str, bpy.types.ShaderNodeTree] = {}
        if pattern is not None:
            self._patterns[BODY_TREE] = pattern
            for node in pattern.nodes:
                if isinstance(node, bpy.types.ShaderNodeGroup) and node.node_tree:
                    self._patterns[LEVEL_TREE] = node.node_tree

    def image(self, name: str, is_float: bool) -> bpy.types.Image:
        """An image for the texels of a table or a map; float or 8 bits. Raises ImageGSError where there is no blank one."""
        if self._blank is None:
            return bpy.data.images.new(f"{self.decoder.name} {name}", 1, 1, alpha=True, float_buffer=is_float)
        image = self._blank.get(name)
        if not isinstance(image, bpy.types.Image):
            raise self._lacking()
        return image

    def tree(self, name: str) -> bpy.types.ShaderNodeTree:
        """A group without nodes and sockets, or a copy. Raises ImageGSError where there is no blank one."""
        if self._blank is None:
            title, pattern = f".{self.decoder.name} {name}", self._patterns.get(name)
            return border.new_tree(title) if pattern is None else border.copied(pattern, title)
        tree = self._blank.get(name)
        if not isinstance(tree, bpy.types.ShaderNodeTree):
            raise self._lacking()
        tree.nodes.clear()
        border.interface(tree).clear()
        return tree

    def _lacking(self) -> ImageGSError:
        return ImageGSError(
            f"{self.decoder.name}: was built by another version of the add-on, or with another Max Detail: open its library "
            "with this version and save it"
        )


def attach(decoder: Decoder, body: bpy.types.ShaderNodeTree, colors: Mapping[str, tuple[float, float, float]]) -> None:
    """Let a decoder decode with a body, and show these colors, by output, wherever the body is missing."""
    tree = decoder.tree
    decoder.clear()
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
    """Let these be the colors that a decoder shows wherever its body is missing or gives the average, by output."""
    for tree in filter(None, (decoder.tree, decoder.body)):
        for end in _ends(tree):
            for name, color in colors.items():
                socket = border.input_of(end, name)
                border.set_value(socket, (*color, 1.0) if socket.type == "RGBA" else color[0])


def give_average(decoder: Decoder, yes: bool) -> None:
    """Let a decoder give the average color of each map, or decode again."""
    ends = _ends(decoder.body or decoder.tree)
    if len(ends) == 2:  # built by this version
        ends[0 if yes else 1].is_active_output = True


def _ends(tree: bpy.types.ShaderNodeTree) -> list[bpy.types.NodeGroupOutput]:
    return [node for node in tree.nodes if isinstance(node, bpy.types.NodeGroupOutput)]


def detach(decoder: Decoder) -> None:
    """Take the body away, so that the decoder shows its average color."""
    node = decoder.body_node
    if node is not None:
        node.node_tree = None


def leave_out(decoder: Decoder) -> None:
    """Before a file is saved: keep what is derived out of it, and put blank parts for files that link it into it.

    Nothing where the decoder is self-contained. let_in() takes it back as soon as the file is saved: a decoder that points
    to datablocks loses its links in Undo.
    """
    if decoder.linked or decoder.self_contained or decoder.body is None:
        return
    derived = [*decoder.trees()[1:], *decoder.derived_images()]
    blank: dict[str, bpy.types.ID] = {}
    for name in (*decoder.table_images(), *decoder.map_images()):
        blank[name] = bpy.data.images.new(f".{name}", 1, 1)  # a dot keeps it out of Blender's lists
    if len(decoder.trees()) > 2:
        blank[LEVEL_TREE] = border.new_tree(f".{LEVEL_TREE}")
    if blank:
        PARTS.write(decoder.tree, blank)
    for part in derived:
        part.is_runtime_data = True


def let_in(decoder: Decoder) -> None:
    """The opposite of leave_out()."""
    if decoder.linked:
        return
    for part in [*decoder.trees()[1:], *decoder.derived_images()]:
        part.is_runtime_data = False
    drop_blank(decoder)


def drop_blank(decoder: Decoder) -> None:
    """Remove the blank parts of a decoder of this file: only a saved file needs them."""
    parts = list(decoder.parts.values())
    PARTS.remove(decoder.tree)
    bpy.data.batch_remove([part for part in parts if part.users == 0 and part.library is None])
