"""A small scene to press buttons in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from tests.scene import trees


def plane(name: str, folder: Path, uv: tuple[float, float] = (1.0, 1.0)) -> bpy.types.Object:
    """A selected square with a material of a color and a roughness map, 32 x 32; its UV map covers 0..uv."""
    material, tree = trees.material(f"{name} material")
    trees.texture(tree, trees.image(f"{name} color", folder), ("Color", "Principled BSDF", "Base Color"))
    trees.texture(tree, trees.image(f"{name} rough", folder, "L"), ("Color", "Principled BSDF", "Roughness"))
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)], [], [(0, 1, 2, 3)])
    layer = mesh.uv_layers.new(name="UVMap")
    for loop, (x, y) in enumerate(((0, 0), (1, 0), (1, 1), (0, 1))):
        layer.data[loop].uv = (x * uv[0], y * uv[1])
    mesh.materials.append(material)
    item = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(item)
    item.select_set(True)
    bpy.context.view_layer.objects.active = item
    return item


def state() -> dict[str, Any]:
    """All that compressing could change."""
    return trees.names() | {material.name: trees.dump(material.node_tree) for material in bpy.data.materials}
