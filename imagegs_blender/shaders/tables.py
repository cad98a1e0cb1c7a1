"""Decode tables as Blender images, and how image nodes address them.

Images are float32, Non-Color, generated: a .blend stores their names and sizes but not their pixels, unless packed.
"""

from __future__ import annotations

import bpy
import numpy as np

from ..core.tables import Tables

GAUSSIANS, BLOCKS, CELLS = "gaussians", "blocks", "cells"
TABLE = "imagegs_table"
"""Custom property of an image node that reads a table: which one."""

TEXEL = "imagegs_texel"
"""Custom property of an image node: which texel of its Gaussian or leaf it reads."""


def create_images(name: str, tables: Tables) -> dict[str, bpy.types.Image]:
    """The three table images of a stack, named after it."""
    images = {}
    for table in (GAUSSIANS, BLOCKS, CELLS):
        images[table] = bpy.data.images.new(f"{name} {table}", 1, 1, alpha=True, float_buffer=True, is_data=True)
        _fill(images[table], getattr(tables, table))
    return images


def update_images(group: bpy.types.ShaderNodeTree, tables: Tables) -> None:
    """Fill the table images of a decoder again (their pixels are not saved with the file)."""
    images = images_of(group)
    for table, image in images.items():
        _fill(image, getattr(tables, table))
    for node in group.nodes:
        if TABLE in node:
            address(node, node[TABLE], node[TEXEL], tables)


def images_of(group: bpy.types.ShaderNodeTree) -> dict[str, bpy.types.Image]:
    """The table images of a decoder, by table."""
    return {node[TABLE]: node.image for node in group.nodes if TABLE in node and node.image}


def pack(group: bpy.types.ShaderNodeTree) -> None:
    """Store the tables of a decoder in the .blend (as float32 EXR): it renders without the add-on."""
    for image in images_of(group).values():
        image.pack()


def address(node: bpy.types.ShaderNodeTexImage, table: str, texel: int, tables: Tables) -> None:
    """Let an image node turn what it is given into the coordinates of a texel, with its own mapping.

    gaussians   given index + 0.5 in x and y
    blocks      given texture coordinates, y down
    cells       given the (column, row) of a leaf
    """
    node[TABLE], node[TEXEL] = table, texel
    height, width = getattr(tables, table).shape[:2]
    mapping = node.texture_mapping
    if table == GAUSSIANS:
        per_row = width // tables.texels
        mapping.scale = (1 / per_row, 1 / (per_row * height), 1)
        mapping.translation = ((texel + 0.5) / width - 0.5 / per_row, 0, 0)
    elif table == CELLS:
        mapping.scale = (tables.candidates // 4 / width, 1 / height, 1)
        mapping.translation = ((texel + 0.5) / width, 0.5 / height, 0)


def _fill(image: bpy.types.Image, texels: np.ndarray) -> None:
    height, width = texels.shape[:2]
    image.source = "GENERATED"
    image.use_generated_float = True
    image.generated_width, image.generated_height = width, height
    image.colorspace_settings.name = "Non-Color"  # type: ignore[assignment]
    image.alpha_mode = "CHANNEL_PACKED"
    image.use_half_precision = False
    image.pixels.foreach_set(np.ascontiguousarray(texels, np.float32).ravel())
    image.update()
