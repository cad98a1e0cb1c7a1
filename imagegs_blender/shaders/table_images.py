"""Decode tables as Blender images, and how image nodes address them.

Images are Non-Color; a .blend holds none of them, unless it is to be self-contained (body.py).
"""

from __future__ import annotations

import bpy
import numpy as np

from ..blend import border, derived
from ..blend.decoder import Decoder
from ..blend.properties import AVERAGE, FINEST, SETTING, TABLE, TEXEL
from ..core.decoding.layout import Layout
from ..core.decoding.node_tables import NodeTables, slabs
from ..core.errors import ImageGSError
from ..core.gaussians import EPS
from .body import Parts

MEANS, CONICS, FEATURES, BLOCKS, CELLS, LEVELS, TEXELS = (
    "means",
    "conics",
    "features",
    "blocks",
    "cells",
    "levels",
    "texels",
)


def settings(tables: NodeTables) -> dict[str, tuple[float, float, float]]:
    """The vectors of a decoder's nodes that depend on its tables.

    units        times which, in a cross product, a point is (y, -x, x + y) in the units of means
    row, middle  factor and term from the number of a Gaussian to the coordinates of its texel; the table repeats
    scale        what lanes of features stand for: core.decoding.places.Scale
    low          its second number in every lane
    start        what sums of parts begin with: low / span EPS less, so that low * sum w is added by adding low in the end
    """
    height, width = tables.means.shape[:2]
    step, low, span = tables.scale
    return {
        "units": (-tables.units, tables.units, tables.units),
        "row": (1 / width, 1 / (width * height), 0.0),
        "middle": (0.5 / width, 0.5 / (width * height), 0.0),
        "scale": (step, low, span),
        "low": (low, low, low),
        "start": (-low / span * EPS,) * 3,
    }


def average_of(decoder: Decoder) -> tuple[np.ndarray, Layout]:
    """The average of every plane of a decoder, and the layout that its nodes or its script were built for.

    Raises ImageGSError where its custom properties were deleted, too.
    """
    layout = decoder.layout
    if layout is None:
        raise ImageGSError(f"{decoder.name}: its custom properties were deleted; compress its textures again")
    values = decoder.average or (0.5,) * layout.plane_count
    if len(values) != layout.plane_count:
        raise ImageGSError(
            f"{decoder.name}: its custom property {AVERAGE.key} has {len(values)} numbers, its nodes show "
            f"{layout.plane_count} planes; compress its textures again"
        )
    return np.array(values, np.float32), layout


def create_images(parts: Parts, tables: NodeTables) -> dict[str, bpy.types.Image]:
    """The table images of a stack."""
    images = {}
    for table, texels in tables.arrays().items():
        is_float = texels.dtype != np.uint8
        images[table] = parts.image(table, is_float)
        _fill(images[table], texels)
    return images


def update_images(decoder: Decoder, tables: NodeTables) -> None:
    """Fill the table images of a decoder again (their pixels are not saved with the file).

    Raises ImageGSError where the decoder's nodes were built for another layout.
    """
    layout = decoder.layout
    if layout is None or not layout.reads(tables.layout):
        raise ImageGSError(
            f"{decoder.name}: was built by another version of the add-on: open its library with this version and save it"
        )
    show(decoder, tables)


def show(decoder: Decoder, tables: NodeTables) -> None:
    """Put tables into a decoder whose nodes are built for them: or for others, but then they must be constant()."""
    arrays, vectors = tables.arrays(), settings(tables)
    images, nodes = decoder.table_images(), list(decoder.nodes())
    unknown = [f"table {name!r}" for name in images if name not in arrays]
    unknown += [f"setting {name!r}" for name in map(SETTING.read, filter(SETTING.is_on, nodes)) if name not in vectors]
    if unknown:
        raise ImageGSError(f"{decoder.name}: its nodes read the {unknown[0]}, which nobody knows; compress again")
    for table, image in images.items():
        _fill(image, arrays[table])
    for node in nodes:
        if isinstance(node, bpy.types.ShaderNodeTexImage) and TEXEL.is_on(node) and TABLE.read(node) != CELLS:
            address(node, TABLE.read(node), TEXEL.read(node), tables)
        elif isinstance(node, bpy.types.ShaderNodeCombineXYZ) and SETTING.is_on(node):
            set_vector(node, vectors[SETTING.read(node)])
        elif FINEST.is_on(node):
            border.set_value(node.inputs[1], tables.tail.detail)


def set_vector(node: bpy.types.ShaderNodeCombineXYZ, vector: tuple[float, float, float]) -> None:
    """Let a node give this vector."""
    for socket, value in zip(border.inputs(node), vector, strict=True):
        border.set_value(socket, value)


def address(node: bpy.types.ShaderNodeTexImage, table: str, texel: int, tables: NodeTables) -> None:
    """Let an image node turn what it is given into the coordinates of a texel, with its own mapping.

    cells       given the coordinates of a cell in the first part of the table
    levels      given the index of a level in x
    texels ...  given the (column, row) of the first of four texels
    """
    TEXEL.write(node, texel)
    height, width = tables.arrays()[table].shape[:2]
    mapping = node.texture_mapping
    if table == CELLS:
        parts_across, parts_down = slabs(tables.layout)
        place = (texel % parts_across / parts_across, texel // parts_across / parts_down, 0)
        border.change(mapping, scale=(1 / parts_across, 1 / parts_down, 1), translation=place)
    elif table == LEVELS:
        border.change(mapping, scale=(1 / width, 1e-4, 1), translation=(0.5 / width, 0.5, 0))
    else:
        across, down = (texel % 2 + 0.5) / width, (texel // 2 + 0.5) / height
        border.change(mapping, scale=(1 / width, 1 / height, 1), translation=(across, down, 0))


def _fill(image: bpy.types.Image, texels: np.ndarray) -> None:
    border.set_color_space(image, "Non-Color")
    image.alpha_mode = "CHANNEL_PACKED"
    image.use_half_precision = False
    derived.put(image, texels)
