"""Decode tables as Blender images, and how image nodes address them.

Images are Non-Color; a .blend stores their names but not their pixels, unless it is to be self-contained (packing.py).
"""

from __future__ import annotations

from collections.abc import Iterator

import bpy
import numpy as np

from ..core.decoding.layout import Layout
from ..core.decoding.lod import average
from ..core.decoding.tables import Tables, constant
from ..core.errors import ImageGSError
from . import images as packing

MEANS, CONICS, FEATURES, BLOCKS, CELLS, LEVELS, TEXELS = (
    "means",
    "conics",
    "features",
    "blocks",
    "cells",
    "levels",
    "texels",
)
TABLE = "imagegs_table"
"""Custom property of an image node that reads a table: which one."""

TEXEL = "imagegs_texel"
"""Custom property of an image node that reads four texels: which of them."""

SLOTS = 32.0
"""Slots that sorted log-weights can tell apart: the largest M of a K, and what fills up the last three."""

LAYOUT = "imagegs_layout"
"""Custom property of a decoder: the layout of the tables that its nodes read."""

SETTING = "imagegs_setting"
"""Custom property of a node that holds a vector which depends on the tables: its name in settings()."""

DETAIL = "imagegs_detail"
"""Custom property of a node of a decoder: its second input is the finest level of detail that is shown."""

AVERAGE = "imagegs_average"
"""Custom property of a decoder: the average of every plane, shown where its stream is lost."""


def layout_of(group: bpy.types.ShaderNodeTree) -> Layout | None:
    """What a decoder's nodes are built for; None where that was deleted, or another version of the add-on built them."""
    try:
        return Layout.parse(str(group.get(LAYOUT, "")))
    except ImageGSError:
        return None


def settings(tables: Tables) -> dict[str, tuple[float, float, float]]:
    """The vectors of a decoder's nodes that depend on its tables.

    grid         blocks of the texture
    row, middle  factor and term from the number of a Gaussian to the coordinates of its texel; the table repeats
    leaf, first  factor and term from (column, row) of a leaf to the coordinates of its first texel
    next         from a texel of a leaf to the next
    slot         from the number of a slot / SLOTS to the coordinates of its texel, from those of slot 0
    half         from the first texel of a leaf to the middle of its first slot
    low i, span i  the features that code 0 stands for, and how far the largest code is from there, three planes each
    """
    height, width = tables.means.shape[:2]
    rows, columns = tables.cells.shape[:2]
    per_texel = tables.layout.per_texel
    per_leaf = tables.layout.candidates // per_texel
    found = {
        "grid": (float(tables.blocks.shape[1]), float(tables.blocks.shape[0]), 0.0),
        "row": (1 / width, 1 / (width * height), 0.0),
        "middle": (0.5 / width, 0.5 / (width * height), 0.0),
        "leaf": (per_leaf / columns, 1 / rows, 0.0),
        "first": (0.5 / columns, 0.5 / rows, 0.0),
        "next": (1 / columns, 0.0, 0.0),
        "slot": (SLOTS / (per_texel * columns), 0.0, 0.0),
        "half": ((0.5 / per_texel - 0.5) / columns, 0.0, 0.0),
    }
    low, high = tables.ranges.astype(float).T
    for i in range(0, tables.layout.plane_count, 3):
        for name, values in (("low", low), ("span", high - low)):
            x, y, z = (*values[i : i + 3], 0.0, 0.0)[:3]
            found[f"{name} {i // 3}"] = (x, y, z)
    return found


def note(group: bpy.types.ShaderNodeTree, tables: Tables) -> None:
    """Keep what a decoder's nodes are built for, and its average color."""
    group[LAYOUT] = str(tables.layout)
    group[AVERAGE] = [float(value) for value in average(tables.tail)]


def averages(group: bpy.types.ShaderNodeTree) -> Tables:
    """Tables that show a decoder's average color, in the layout that its nodes read.

    Raises ImageGSError where its custom properties were deleted, too.
    """
    layout = layout_of(group)
    if layout is None:
        raise ImageGSError(f"{group.name}: its custom properties were deleted; compress its textures again")
    return constant(np.array(group.get(AVERAGE, [0.5] * layout.plane_count), np.float32), layout)


def create_images(name: str, tables: Tables) -> dict[str, bpy.types.Image]:
    """The table images of a stack, named after it."""
    images = {}
    for table, texels in tables.arrays().items():
        is_float = texels.dtype != np.uint8
        images[table] = bpy.data.images.new(f"{name} {table}", 1, 1, alpha=True, float_buffer=is_float, is_data=True)
        _fill(images[table], texels)
    return images


def update_images(group: bpy.types.ShaderNodeTree, tables: Tables) -> None:
    """Fill the table images of a decoder again (their pixels are not saved with the file).

    Raises ImageGSError where the decoder's nodes were built for another layout.
    """
    if group.get(LAYOUT) != str(tables.layout):
        raise ImageGSError(
            f"{group.name}: its nodes are of another version of the add-on; save the file it is linked from anew"
        )
    if not group.library:
        note(group, tables)
    show(group, tables)


def show(group: bpy.types.ShaderNodeTree, tables: Tables) -> None:
    """Put tables into a decoder whose nodes are built for them: or for others, but then they must be constant()."""
    arrays, vectors = tables.arrays(), settings(tables)
    for table, image in images_of(group).items():
        _fill(image, arrays[table])
    for tree in trees(group):
        for node in tree.nodes:
            if TEXEL in node:
                address(node, node[TABLE], node[TEXEL], tables)
            elif SETTING in node:
                set_vector(node, vectors[node[SETTING]])
            elif DETAIL in node:
                node.inputs[1].default_value = tables.tail.detail


def set_vector(node: bpy.types.ShaderNodeCombineXYZ, vector: tuple[float, float, float]) -> None:
    for socket, value in zip(node.inputs, vector, strict=True):
        socket.default_value = value


def images_of(group: bpy.types.ShaderNodeTree) -> dict[str, bpy.types.Image]:
    """The table images of a decoder, by table."""
    return {node[TABLE]: node.image for node in table_nodes(group) if node.image}


def table_nodes(group: bpy.types.ShaderNodeTree) -> Iterator[bpy.types.ShaderNodeTexImage]:
    """The image nodes of a decoder that read tables, those of its inner groups included."""
    for tree in trees(group):
        yield from (node for node in tree.nodes if TABLE in node)


def trees(group: bpy.types.ShaderNodeTree) -> list[bpy.types.ShaderNodeTree]:
    """A decoder and the groups inside it, each once, the decoder first."""
    found = [group]
    for tree in found:
        inner = (getattr(node, "node_tree", None) for node in tree.nodes)
        found += [t for t in dict.fromkeys(inner) if t and t not in found]
    return found


def pack(group: bpy.types.ShaderNodeTree) -> None:
    """Store the tables of a decoder in the .blend (float tables as EXR): it renders without the add-on."""
    for image in images_of(group).values():
        image.pack()


def address(node: bpy.types.ShaderNodeTexImage, table: str, texel: int, tables: Tables) -> None:
    """Let an image node of the coarse levels turn what it is given into the coordinates of a texel, with its own mapping.

    levels      given the index of a level in x
    texels ...  given the (column, row) of the first of four texels
    """
    node[TEXEL] = texel
    height, width = tables.arrays()[table].shape[:2]
    mapping = node.texture_mapping
    if table == LEVELS:
        mapping.scale = (1 / width, 1e-4, 1)
        mapping.translation = (0.5 / width, 0.5, 0)
    else:
        mapping.scale = (1 / width, 1 / height, 1)
        mapping.translation = ((texel % 2 + 0.5) / width, (texel // 2 + 0.5) / height, 0)


def _fill(image: bpy.types.Image, texels: np.ndarray) -> None:
    image.colorspace_settings.name = "Non-Color"  # type: ignore[assignment]
    image.alpha_mode = "CHANNEL_PACKED"
    image.use_half_precision = False
    packing.put(image, texels)
