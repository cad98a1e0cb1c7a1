"""Decode tables as Blender images, and how image nodes address them.

Images are Non-Color; a .blend stores their names but not their pixels, unless it is to be self-contained (packing.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import bpy
import numpy as np

from ..core.errors import ImageGSError
from ..core.lod import average
from ..core.tables import Tables, constant
from . import packing

GAUSSIANS, BLOCKS, CELLS, LEVELS, TEXELS = "gaussians", "blocks", "cells", "levels", "texels"
TABLE = "imagegs_table"
"""Custom property of an image node that reads a table: which one."""

TEXEL = "imagegs_texel"
"""Custom property of an image node: which texel of its Gaussian, leaf or square of four texels it reads."""

LAYOUT = "imagegs_layout"
"""Custom property of a decoder: the layout of the tables that its nodes read."""


DETAIL = "imagegs_detail"
"""Custom property of a node of a decoder: its second input is the finest level of detail that is shown."""

AVERAGE = "imagegs_average"
"""Custom property of a decoder: the average of every plane, shown where its stream is lost."""


def layout(tables: Tables) -> str:
    """What nodes are built for: tables of another layout can't be put in their place."""
    return f"3 T{tables.texels} M{tables.candidates} K{tables.topk} C{tables.planes} L{tables.tail.first}-{tables.tail.last}"


def parts(group: bpy.types.ShaderNodeTree) -> dict[str, int] | None:
    """What nodes are built for, by letter: texels T and slots M of a Gaussian, K, planes C, levels F(irst) to L(ast)."""
    found = re.fullmatch(r"3 T(?P<T>\d+) M(?P<M>\d+) K(?P<K>\d+) C(?P<C>\d+) L(?P<F>\d+)-(?P<L>\d+)", group.get(LAYOUT, ""))
    return {letter: int(number) for letter, number in found.groupdict().items()} if found else None


def averages(group: bpy.types.ShaderNodeTree) -> Tables:
    """Tables that show a decoder's average color, in the layout that its nodes read.

    Raises ImageGSError where its custom properties were deleted, too.
    """
    found = parts(group)
    if found is None:
        raise ImageGSError(f"{group.name}: its custom properties were deleted; compress its textures again")
    average = np.array(group.get(AVERAGE, [0.5] * found["C"]), np.float32)
    size = 1 << found["L"]
    return constant(average, size, size, found["M"], found["K"], found["F"])


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
    if group.get(LAYOUT) != layout(tables):
        raise ImageGSError(f"{group.name}: its nodes are of another version of the add-on; save the file it is linked from anew")
    arrays = tables.arrays()
    for table, image in images_of(group).items():
        _fill(image, arrays[table])
    if not group.library:
        group[AVERAGE] = [float(value) for value in average(tables.tail)]
    for node in table_nodes(group):
        address(node, node[TABLE], node[TEXEL], tables)
    for limit in (node.inputs[1] for node in group.nodes if DETAIL in node):
        limit.default_value = tables.tail.detail


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
    """Let an image node turn what it is given into the coordinates of a texel, with its own mapping.

    gaussians   given index + 0.5 in x and y
    blocks      given texture coordinates, y down
    cells       given the (column, row) of a leaf
    levels      given the index of a level in x
    texels ...  given the (column, row) of the first of four texels
    """
    node[TABLE], node[TEXEL] = table, texel
    height, width = tables.arrays()[table].shape[:2]
    mapping = node.texture_mapping
    if table == GAUSSIANS:
        per_row = width // tables.texels
        mapping.scale = (1 / per_row, 1 / (per_row * height), 1)
        mapping.translation = ((texel + 0.5) / width - 0.5 / per_row, 0, 0)
    elif table == CELLS:
        mapping.scale = (tables.candidates // 4 / width, 1 / height, 1)
        mapping.translation = ((texel + 0.5) / width, 0.5 / height, 0)
    elif table == LEVELS:
        mapping.scale = (1 / width, 1e-4, 1)
        mapping.translation = (0.5 / width, 0.5, 0)
    elif table != BLOCKS:
        mapping.scale = (1 / width, 1 / height, 1)
        mapping.translation = ((texel % 2 + 0.5) / width, (texel // 2 + 0.5) / height, 0)


def _fill(image: bpy.types.Image, texels: np.ndarray) -> None:
    image.colorspace_settings.name = "Non-Color"  # type: ignore[assignment]
    image.alpha_mode = "CHANNEL_PACKED"
    image.use_half_precision = False
    packing.put(image, texels)
