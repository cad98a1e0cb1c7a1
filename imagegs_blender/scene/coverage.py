"""Which texels of a stack any mesh shows, and how much each counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import bpy
import numpy as np

from ..blend import border
from ..blend.properties import FLAT
from ..core.errors import ImageGSError
from ..core.textures import rasterize
from ..core.textures.resample import resize
from .material_stack import ImageRef, StackPlan

MARGIN = 4
"""Texels around what a mesh shows that count as shown: what filtering and coarser levels reach."""

LEAST = 0.1
"""Weight of a black part of an importance mask, where white is 1: less detail, but no holes."""

_WORTHWHILE = 0.98
"""Above this share of texels in use, leaving out the rest is not worth it."""


@dataclass(frozen=True)
class Importance:
    """What decides how much a texel counts.

    ignore_unused   texels that no mesh uses count nothing
    image           name of a gray image in the layout of the textures
    attribute       name of a color attribute of the meshes
    """

    ignore_unused: bool = True
    image: str | None = None
    attribute: str | None = None


def weights(stack: StackPlan, importance: Importance) -> np.ndarray | None:
    """(height, width) float32 0..1 of the stack's largest map, row 0 at the top; None where all texels count the same.

    All texels are in use where it can't be known which are: coordinates other than a plain UV map, or objects
    other than meshes. Raises ImageGSError where the importance image or attribute is missing.
    """
    return prepare(stack, importance)()


def prepare(stack: StackPlan, importance: Importance) -> Callable[[], np.ndarray | None]:
    """weights() in two parts: what needs Blender now, and the rest in what is returned, which may run in a thread."""
    if stack.tiles:
        if importance.image is not None or importance.attribute is not None:
            raise ImageGSError(f"{stack.name}: importance can't be set for UDIM tiles; set Importance to None")
        return lambda: None
    size = (stack.largest.height, stack.largest.width)
    used = _shown(stack, size) if importance.ignore_unused else None
    gray = None if importance.image is None else _gray(importance.image)
    painted = None if importance.attribute is None else _painted(stack, size, importance.attribute)

    def drawn() -> np.ndarray | None:
        result: np.ndarray | None = None
        if used is not None:
            mask = _draw(used, size)
            result = None if mask.mean() > _WORTHWHILE else mask
        if gray is not None:
            result = _times(result, _graded(resize(gray, size[1], size[0], stack.wrap)))
        if painted is not None:
            result = _times(result, _graded(_draw(painted, size)))
        if result is not None and not result.any():
            return None  # no mesh shows any of it: all texels are as good as any other
        return result

    return drawn


_Drawing = list[tuple[np.ndarray, np.ndarray, bool]]
"""Triangles (T, 3, 2) in texels, the values (T, 3) at their corners, and whether the picture repeats; once for each mesh,
UV map and way to show the picture."""


def _draw(drawing: _Drawing, size: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(size, np.float32)
    for triangles, values, wrap in drawing:
        rasterize.draw(triangles, values, mask, wrap)
    return rasterize.grow(mask, MARGIN, any(wrap for *_, wrap in drawing))


def _shown(stack: StackPlan, size: tuple[int, int]) -> _Drawing | None:
    """Every triangle that shows the stack, of value 1; None where that can't be known, or no mesh shows it."""
    layers = _uv_layers(stack)
    if layers is None:
        return None
    drawing: _Drawing = []
    for mesh, slots in _meshes(stack):
        if mesh is None:
            return None
        for name, wrap in layers:
            triangles = _triangles(mesh, slots, name, size)
            if triangles is not None:
                drawing.append((triangles[0], np.ones(triangles[0].shape[:2], np.float32), wrap))
    return drawing or None


def _painted(stack: StackPlan, size: tuple[int, int], attribute: str) -> _Drawing:
    """Every triangle that shows the stack, with the color attribute of its mesh."""
    layers = _uv_layers(stack)
    if layers is None:
        raise ImageGSError(f"{stack.name}: mapped by more than a UV map, so {attribute} can't be placed; use an image")
    drawing: _Drawing = []
    for mesh, slots in _meshes(stack):
        if mesh is None or attribute not in mesh.color_attributes:
            continue
        values = _corner_values(mesh, attribute)
        for name, wrap in layers:
            triangles = _triangles(mesh, slots, name, size)
            if triangles is not None:
                drawing.append((triangles[0], values[triangles[1]], wrap))
    if not drawing:
        raise ImageGSError(f"{attribute}: no mesh with {stack.name} has this color attribute; paint it or set None")
    return drawing


def _uv_layers(stack: StackPlan) -> list[tuple[str, bool]] | None:
    """The UV maps that the stack is mapped by, "" for the active one, and whether it repeats there.

    None where anything else maps or moves it.
    """
    layers = set()
    for node in stack.nodes:
        if node.sampling.projection != FLAT:
            return None
        if node.vector == "UV":
            layers.add(("", node.sampling.wrap))
        elif node.vector.startswith("UV "):
            layers.add((node.vector[3:].strip("'\""), node.sampling.wrap))
        else:
            return None
    return sorted(layers)


def _meshes(stack: StackPlan) -> Iterator[tuple[bpy.types.Mesh | None, set[int]]]:
    """Every mesh that shows one of the stack's materials, with its slots; None for objects that are no meshes.

    Meshes are as modifiers leave them where the object is in the current view layer.
    """
    names = set(stack.materials)
    graph = bpy.context.evaluated_depsgraph_get()
    layer = bpy.context.view_layer
    assert layer is not None
    present = {obj.name for obj in layer.objects}
    for obj in bpy.data.objects:
        slots = {i for i, slot in enumerate(obj.material_slots) if slot.material and slot.material.name in names}
        if not slots:
            continue
        if not isinstance(obj.data, bpy.types.Mesh):
            yield None, slots
        elif obj.modifiers and obj.name in present:
            evaluated = obj.evaluated_get(graph)
            try:
                yield evaluated.to_mesh(), slots
            finally:
                evaluated.to_mesh_clear()
        else:
            yield obj.data, slots


def _triangles(
    mesh: bpy.types.Mesh, slots: set[int], layer: str, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Triangles of faces with these slots: corners (T, 3, 2) in texels, and (T, 3) indices of the mesh's corners."""
    uv = mesh.uv_layers.get(layer) if layer else next((u for u in mesh.uv_layers if u.active_render), None)
    mesh.calc_loop_triangles()
    count = len(mesh.loop_triangles)
    if uv is None or not count:
        return None
    corners = np.empty(len(mesh.loops) * 2, np.float32)
    uv.uv.foreach_get("vector", corners)
    index = np.empty(count * 3, np.int32)
    mesh.loop_triangles.foreach_get("loops", index)
    material = np.empty(count, np.int32)
    mesh.loop_triangles.foreach_get("material_index", material)
    last = max(len(mesh.materials) - 1, 0)
    index = index.reshape(-1, 3)[np.isin(np.minimum(material, last), list(slots))]
    points = corners.reshape(-1, 2)[index]
    points[..., 1] = 1 - points[..., 1]
    finite = np.isfinite(points).all(axis=(1, 2))
    return points[finite] * np.array((size[1], size[0]), np.float32), index[finite]


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


def _gray(name: str) -> np.ndarray:
    """(height, width) float32 of an image, row 0 at the top."""
    image = ImageRef(name).find()
    width, height = image.size
    if not (width and height):
        raise ImageGSError(f"{name}: the importance image can't be read; relink it or choose another")
    pixels = np.empty(width * height * image.channels, np.float32)
    border.texels(image, pixels)
    colors = pixels.reshape(height, width, image.channels)[::-1, :, : min(image.channels, 3)]
    return np.ascontiguousarray(colors.mean(axis=2))


def _graded(mask: np.ndarray) -> np.ndarray:
    return LEAST + (1 - LEAST) * np.clip(mask, 0, 1)


def _times(first: np.ndarray | None, second: np.ndarray) -> np.ndarray:
    return (second if first is None else first * second).astype(np.float32)
