"""Which decoder a group holds, and how it changes: the sockets stay, so every link to the group does too."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

import bpy
import numpy as np

from ..core.decoding.tables import Tables, build, limited
from ..core.errors import ImageGSError
from ..core.igs.stream import Stream, read
from ..core.textures import texture_stack
from ..core.textures.udim import Tiles
from . import baked, table_images
from . import images as packing
from .nodes import node_group, udim
from .osl import script_node

NODES, OSL, BAKED = "NODES", "OSL", "BAKED"
KINDS = (NODES, OSL, BAKED)

KIND = "imagegs_decoder"
"""Custom property of a decoder: one of KINDS; NODES where there is none."""

LEVEL = "imagegs_level"
"""Custom property of a decoder: the LOD at which BAKED decodes."""


DETAIL = "imagegs_detail"
"""Custom property of a decoder: the finest level of detail that it holds; 0, all of them, where there is none."""

SELF_CONTAINED = "imagegs_self_contained"
"""Custom property of a decoder: saved with all that it reads, so that it renders without the add-on."""


def kind(tree: bpy.types.ShaderNodeTree) -> str:
    """One of KINDS."""
    return tree.get(KIND, NODES)


def detail(tree: bpy.types.ShaderNodeTree) -> int:
    """The finest level of detail that a decoder holds, 0 for full detail."""
    return tree.get(DETAIL, 0)


def create(
    name: str,
    stream: Stream,
    extension: str,
    tiles: Tiles | None = None,
    detail: int = 0,
    projection: str = "FLAT",
) -> bpy.types.ShaderNodeTree:
    """A decoder of the kind NODES, see node_group.build; it holds no level of detail finer than `detail`."""
    tables = build(stream.gaussians, stream.maps, detail=detail)
    tree = node_group.build(name, stream.maps, tables, extension, tiles, projection)
    tree[DETAIL] = detail
    return tree


def set_kind(tree: bpy.types.ShaderNodeTree, wanted: str, stream: Stream, level: float = 0.0, detail: int = 0) -> None:
    """Let a group decode in another way.

    NODES   shader nodes: EEVEE and Cycles
    OSL     a script: Cycles on the CPU and OptiX only, with Open Shading Language switched on
    BAKED   ordinary images at a fixed LOD, `level`: the fastest to render, the most memory
    detail  the finest level of detail that it holds and shows
    Raises ImageGSError for another word, a linked group, or where OSL can't be used; the group is as it was.
    """
    if wanted not in KINDS:
        raise ImageGSError(f"{tree.name}: no decoder is called {wanted}; choose one of {', '.join(KINDS)}")
    if tree.library:
        raise ImageGSError(f"{tree.name}: it is linked from {tree.library.filepath}; make it local first")
    built = build(stream.gaussians, stream.maps, detail=detail, fine=wanted == BAKED)
    if wanted == OSL:
        script_node.prepare(built)  # before anything is changed
    _clear(tree)
    tree[KIND], tree[LEVEL], tree[DETAIL] = wanted, level, detail
    if wanted == NODES:
        node_group.fill(tree, stream.maps, built)
    elif wanted == OSL:
        script_node.fill(tree, stream.maps, built)
    else:
        baked.fill(tree, stream.maps, built)
        baked.update(tree, stream.gaussians, stream.maps, built, level)


@lru_cache(maxsize=4)
def opened(data: bytes) -> tuple[Stream, Tables]:
    """A .igs file and its tables, for what decodes into images, kept for the next call.

    Raises ImageGSError where it can't be read.
    """
    found = read(data)
    return found, build(found.gaussians, found.maps, fine=True)


def set_level(tree: bpy.types.ShaderNodeTree, data: bytes, level: float) -> None:
    """Decode the images of a BAKED decoder that is not linked at another LOD; data: its .igs file."""
    stream, built = opened(data)
    tree[LEVEL] = level
    baked.update(tree, stream.gaussians, stream.maps, limited(built, detail(tree)), level)


def pictures(data: bytes, level: float) -> tuple[dict[str, np.ndarray], str]:
    """Every map's pixels in its own size and dtype at a LOD, by name, and what decoded them: "GPU" or "CPU"."""
    stream, built = opened(data)
    gaussians = stream.gaussians
    planes, device = baked.decoded(gaussians, built, level, gaussians.width, gaussians.height)
    return texture_stack.images(planes, stream.maps, gaussians.wrap), device


def update(tree: bpy.types.ShaderNodeTree, stream: Stream, detail: int = 0) -> None:
    """Bring back what a .blend does not hold: the pixels of tables and baked maps, files of scripts.

    detail   the finest level of detail that it is to hold and show
    Nodes that another version of the add-on built are built anew. Raises ImageGSError where that can't be done, as the
    group is linked.
    """
    built = build(stream.gaussians, stream.maps, detail=detail, fine=kind(tree) == BAKED)
    stale = tree.get(table_images.LAYOUT) != table_images.layout(built) and not tree.library
    if kind(tree) != BAKED and stale:
        _clear(tree)
        (node_group if kind(tree) == NODES else script_node).fill(tree, stream.maps, built)
    elif kind(tree) == NODES:
        table_images.update_images(tree, built)
    elif kind(tree) == OSL:
        script_node.update(tree, built)
    else:
        baked.update(tree, stream.gaussians, stream.maps, built, tree.get(LEVEL, 0.0))
    tree[DETAIL] = detail


def show_average(tree: bpy.types.ShaderNodeTree, stream: Stream | None = None) -> None:
    """Let a decoder whose stream can't be read, or that can't show it, give the average color of each map.

    stream   where it can be read: nodes that another version of the add-on built need it
    Raises ImageGSError where nothing is known of it any more.
    """
    if kind(tree) == BAKED:
        baked.show_average(tree)
        return
    if stream and kind(tree) == NODES and table_images.parts(tree) is None and table_images.AVERAGE in tree:
        _give(tree, udim.outside(stream.maps, np.array(tree[table_images.AVERAGE])))
        return
    average = table_images.averages(tree)
    if kind(tree) == OSL:
        script_node.update(tree, average)
    else:
        table_images.show(tree, average)


def images(tree: bpy.types.ShaderNodeTree) -> list[bpy.types.Image]:
    """The images that a decoder reads; none for OSL."""
    return [*table_images.images_of(tree).values(), *baked.images_of(tree).values()]


def is_whole(tree: bpy.types.ShaderNodeTree, saved_only: bool = False) -> bool:
    """Whether a decoder has all that it reads; saved_only: in a form that a file keeps."""
    if kind(tree) == OSL:
        return not saved_only and script_node.is_whole(tree)
    if saved_only and not is_self_contained(tree):
        return False
    return all(packing.is_kept(image) or (not saved_only and image.is_dirty) for image in images(tree))


def pack(tree: bpy.types.ShaderNodeTree) -> None:
    """Store what a decoder reads in the .blend: it renders without the add-on.

    Raises ImageGSError for OSL, which reads files.
    """
    if kind(tree) == OSL:
        raise ImageGSError(f"{tree.name}: its decoder is OSL, which reads files; choose Nodes or Baked to pack it")
    tree[SELF_CONTAINED] = True
    for image in images(tree):
        image.pack()


def unpack(tree: bpy.types.ShaderNodeTree) -> None:
    """The opposite of pack(): a saved file holds the stream only."""
    tree[SELF_CONTAINED] = False


def is_self_contained(tree: bpy.types.ShaderNodeTree) -> bool:
    """Whether a decoder is saved with all that it reads."""
    return bool(tree.get(SELF_CONTAINED))


def left_out(
    trees: Iterable[bpy.types.ShaderNodeTree], others: Iterable[bpy.types.Image] = ()
) -> AbstractContextManager[None]:
    """Saving in this context leaves out what decoders can derive, but not of those that were packed; and other images."""
    derived = [image for tree in trees if not is_self_contained(tree) for image in images(tree)]
    return packing.left_out([*derived, *others])


def _give(tree: bpy.types.ShaderNodeTree, colors: dict[str, tuple[float, float, float]]) -> None:
    """Let the outputs of a decoder be these colors; its other nodes stay."""
    (end,) = (node for node in tree.nodes if node.bl_idname == "NodeGroupOutput")
    for link in [link for socket in end.inputs for link in socket.links]:
        tree.links.remove(link)
    for name, color in colors.items():
        socket: Any = end.inputs[name]
        socket.default_value = (*color, 1.0) if socket.type == "RGBA" else color[0]


def _clear(tree: bpy.types.ShaderNodeTree) -> None:
    """Remove the nodes of a decoder and what only they use: images and inner groups."""
    inner = table_images.trees(tree)[1:]
    every = [node for t in (tree, *inner) for node in t.nodes]
    images = dict.fromkeys(node.image for node in every if getattr(node, "image", None))
    tree.nodes.clear()
    for group in inner:
        if group.users == 0:
            bpy.data.node_groups.remove(group)
    for image in images:
        if image.users == 0:
            bpy.data.images.remove(image)
