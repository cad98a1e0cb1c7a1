"""Where textures are shown: the triangles of meshes, in texture space."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import bpy
import numpy as np

from ..blend import border
from ..blend.decoder import Decoder, decoder_nodes
from ..blend.properties import FLAT
from ..core.errors import ImageGSError
from ..core.textures import rasterize
from .material_stack import Sampling, StackPlan
from .replace import trees
from .surfaces import surfaces
from .walk import texture_space


@dataclass(frozen=True)
class Uses:
    """Where textures are shown.

    materials   names of materials of the open file; None where it is not known which
    spaces      texture coordinates as text (walk.texture_space), and what is done with them
    """

    materials: frozenset[str] | None
    spaces: frozenset[tuple[str, Sampling]]

    @classmethod
    def of(cls, stack: StackPlan) -> Uses:
        """Those of a stack: in its materials, and in all others that its node groups are in."""
        groups = {node.tree.find() for node in stack.nodes if node.tree.kind == "group"}
        others = _materials_with(groups)
        materials = None if others is None else others | set(stack.materials)
        return cls(materials, frozenset((node.vector, node.sampling) for node in stack.nodes))

    @classmethod
    def of_decoders(cls, decoders: Container[Decoder]) -> dict[Decoder, Uses]:
        """Those of the decoders, of these, that materials of the open file use."""
        found: dict[Decoder, list[tuple[str, str]]] = defaultdict(list)
        for material in bpy.data.materials:
            for tree in trees([material]) if material.users else ():
                for node in decoder_nodes(tree):
                    decoder = Decoder(border.tree_of(node))
                    if decoder in decoders:
                        found[decoder].append((material.name, texture_space(border.input_of(node, "Vector"))))
        return {
            decoder: cls(
                frozenset(material for material, _ in uses),
                frozenset((vector, Sampling(decoder.extension, decoder.projection)) for _, vector in uses),
            )
            for decoder, uses in found.items()
        }


@dataclass(frozen=True)
class Drawn:
    """Triangles of a mesh in texture space.

    corners     (T, 3, 2) float32: x to the right, y down, 0..1 over the texture
    values      (T, 3) float32 at their corners
    extension   how the texture goes on outside, in Blender's words
    """

    corners: np.ndarray
    values: np.ndarray
    extension: str


def drawing(uses: Uses, now: bool = False) -> list[Drawn] | None:
    """Every triangle that shows textures, of value 1.

    None where that can't be known: coordinates other than a plain UV map, objects other than meshes, materials that no mesh
    shows, or that are assets, for other files to use.
    now   what the meshes of the file show now, as far as that is known; nothing is for later
    """
    layers = _uv_layers(uses)
    if layers is None or uses.materials is None or (not now and any(map(_is_asset, uses.materials))):
        return None
    found: list[Drawn] = []
    shown: set[str] = set()
    for surface in surfaces(uses.materials, now):
        if surface is None:
            return None
        mesh, slots = surface
        for name, extension in layers:
            triangles = _triangles(mesh, slots, name)
            if triangles is None:
                return None
            shown |= triangles.materials
            found.append(Drawn(triangles.corners, np.ones(triangles.corners.shape[:2], np.float32), extension))
    return found if now or shown == uses.materials else None


def painted(uses: Uses, attribute: str) -> list[Drawn]:
    """Every triangle that shows textures, with the color attribute of its mesh.

    Raises ImageGSError where no mesh has it, or its place in the textures can't be known.
    """
    layers = _uv_layers(uses)
    if layers is None or uses.materials is None:
        raise ImageGSError(f"{attribute}: can't be placed where more than a UV map maps textures; use an image")
    found: list[Drawn] = []
    for surface in surfaces(uses.materials):
        if surface is None or attribute not in surface[0].color_attributes:
            continue
        mesh, slots = surface
        values = _corner_values(mesh, attribute)
        for name, extension in layers:
            triangles = _triangles(mesh, slots, name)
            if triangles is not None:
                found.append(Drawn(triangles.corners, values[triangles.loops], extension))
    if not found:
        raise ImageGSError(
            f"{attribute}: no mesh that shows these textures has this color attribute; paint it, or use none"
        )
    return found


def draw(drawing: Iterable[Drawn], size: tuple[int, int]) -> np.ndarray:
    """(height, width) float32: the largest value of any triangle at each texel that shows a part of it."""
    mask = np.zeros(size, np.float32)
    height, width = size
    for drawn in drawing:
        points = drawn.corners * np.array((width, height), np.float32)
        if drawn.extension == "MIRROR":
            twice = np.zeros((2 * height, 2 * width), np.float32)
            rasterize.draw(points, drawn.values, twice, True)
            for part in (twice[:height], twice[: height - 1 : -1]):
                np.maximum(mask, np.maximum(part[:, :width], part[:, : width - 1 : -1]), out=mask)
            continue
        rasterize.draw(points, drawn.values, mask, drawn.extension == "REPEAT")
        if drawn.extension == "EXTEND":
            rasterize.draw(*_at_borders(points, drawn.values, size), mask, False)
    return mask


def _at_borders(points: np.ndarray, values: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """What triangles outside of a texture show of its border, as triangles without area along it, and their values."""
    last = np.array((size[1], size[0]), np.float32) - 0.5
    low, high = (np.clip(ends, 0.5, last) for ends in (points.min(1), points.max(1)))
    lines, largest = [], []
    for axis in (0, 1):
        for beyond, place in (
            (points[..., axis].min(1) < 0, 0.5),
            (points[..., axis].max(1) > last[axis] + 0.5, last[axis]),
        ):
            ends = np.stack([low[beyond], high[beyond], high[beyond]], 1)
            ends[..., axis] = place
            lines.append(ends)
            largest.append(np.repeat(values[beyond].max(1, keepdims=True), 3, 1))
    return np.concatenate(lines), np.concatenate(largest)


def _uv_layers(uses: Uses) -> list[tuple[str, str]] | None:
    """The UV maps that textures are mapped by, "" for the active one, and how they go on outside of 0..1.

    None where anything else maps or moves them.
    """
    layers = set()
    for vector, sampling in uses.spaces:
        if sampling.projection != FLAT:
            return None
        if vector == "UV":
            layers.add(("", sampling.extension))
        elif vector.startswith("UV "):
            layers.add((ast.literal_eval(vector[3:]), sampling.extension))
        else:
            return None
    return sorted(layers)


def _materials_with(groups: Iterable[bpy.types.NodeTree]) -> frozenset[str] | None:
    """The names of the materials that node groups are in; None where they are in anything else, too."""
    ahead: list[bpy.types.ID] = list(groups)
    found: set[str] = set()
    for group in ahead:  # grows
        for user in bpy.data.user_map(subset=[group])[group]:
            if isinstance(user, bpy.types.Material):
                found.add(user.name)
            elif not isinstance(user, bpy.types.NodeTree):
                return None
            elif user not in ahead:
                ahead.append(user)
    return frozenset(name for name in found if bpy.data.materials[name].users)


def _is_asset(name: str) -> bool:
    material = bpy.data.materials.get((name, None))
    return material is not None and material.asset_data is not None


class _Triangles(NamedTuple):
    """Those of a mesh's triangles that are asked for.

    corners     (T, 3, 2) float32: x to the right, y down, 0..1 over the texture
    loops       (T, 3) int32: the mesh's corners
    materials   names of those that they have
    """

    corners: np.ndarray
    loops: np.ndarray
    materials: set[str]


def _triangles(mesh: bpy.types.Mesh, slots: dict[int, str], layer: str) -> _Triangles | None:
    """The triangles of faces with these slots; None where their coordinates are an attribute that is no UV map.

    A mesh without the UV map has the coordinates 0, 0 everywhere, as renderers have it.
    """
    uv = mesh.uv_layers.get(layer) if layer else next((u for u in mesh.uv_layers if u.active_render), None)
    if uv is None and layer in mesh.attributes:
        return None
    mesh.calc_loop_triangles()
    count = len(mesh.loop_triangles)
    corners = np.zeros(len(mesh.loops) * 2, np.float32)
    if uv is not None:
        uv.uv.foreach_get("vector", corners)
    index = np.empty(count * 3, np.int32)
    mesh.loop_triangles.foreach_get("loops", index)
    material = np.empty(count, np.int32)
    mesh.loop_triangles.foreach_get("material_index", material)
    material = np.minimum(material, max(len(mesh.materials) - 1, 0))
    asked = np.isin(material, list(slots))
    index = index.reshape(-1, 3)[asked]
    points = corners.reshape(-1, 2)[index]
    points[..., 1] = 1 - points[..., 1]
    finite = np.isfinite(points).all(axis=(1, 2))
    return _Triangles(points[finite], index[finite], {slots[slot] for slot in np.unique(material[asked]).tolist()})


def _corner_values(mesh: bpy.types.Mesh, attribute: str) -> np.ndarray:
    """(corners,) float32: the mean of red, green and blue."""
    layer = mesh.color_attributes[attribute]
    assert isinstance(layer, bpy.types.ByteColorAttribute | bpy.types.FloatColorAttribute)
    colors = np.empty(len(layer.data) * 4, np.float32)
    layer.data.foreach_get("color", colors)
    values = colors.reshape(-1, 4)[:, :3].mean(axis=1)
    if layer.domain == "CORNER":
        return values
    vertex = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", vertex)
    return values[vertex]
