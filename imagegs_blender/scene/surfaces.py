"""The meshes that show materials, with their texture coordinates as renders see them.

Whatever can't be known is said (None), never guessed: objects other than meshes, hair, geometry whose coordinates change
with time, or with modifiers that are not evaluated now.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any

import bpy

from ..blend import border

Surface = tuple[bpy.types.Mesh, dict[int, str]]
"""A mesh, and those of its material slots that are asked for, with their materials' names."""

_KEEP_COORDINATES = {
    "ARMATURE", "BUILD", "CAST", "CLOTH", "COLLISION", "CORRECTIVE_SMOOTH", "CURVE", "DECIMATE", "DISPLACE",
    "DYNAMIC_PAINT", "EDGE_SPLIT", "HOOK", "LAPLACIANDEFORM", "LAPLACIANSMOOTH", "LATTICE", "MASK", "MESH_CACHE",
    "MESH_DEFORM", "MULTIRES", "NORMAL_EDIT", "PARTICLE_SYSTEM", "SHRINKWRAP", "SIMPLE_DEFORM", "SMOOTH", "SOFT_BODY",
    "SUBSURF", "SURFACE", "SURFACE_DEFORM", "TRIANGULATE", "VERTEX_WEIGHT_EDIT", "VERTEX_WEIGHT_MIX",
    "VERTEX_WEIGHT_PROXIMITY", "WARP", "WAVE", "WEIGHTED_NORMAL", "WELD",
}  # fmt: skip
"""Modifiers after which a mesh shows no part of a texture that it did not show before."""

_NEUTRAL: dict[str, dict[str, Any]] = {
    "ARRAY": {"offset_u": 0, "offset_v": 0, "start_cap": None, "end_cap": None},
    "BEVEL": {"material": -1},
    "MIRROR": {"use_mirror_u": False, "use_mirror_v": False, "use_mirror_udim": False, "offset_u": 0, "offset_v": 0},
    "SOLIDIFY": {"material_offset": 0, "material_offset_rim": 0},
    "WIREFRAME": {"material_offset": 0},
}  # fmt: skip
"""Those that do as well where they are set so."""

_MOVING: dict[str, tuple[str, ...]] = {
    "MESH_SEQUENCE_CACHE": ("cache_file",),
    "UV_PROJECT": ("projectors",),
    "UV_WARP": ("object_from", "object_to"),
}
"""Modifiers whose coordinates follow other datablocks, where any of these is set."""


def surfaces(materials: AbstractSet[str], now: bool = False) -> Iterator[Surface | None]:
    """Every mesh of the file that shows one of the open file's own materials; None where something unknown shows one.

    Objects and meshes that a saved file would not hold don't count. Meshes are as modifiers leave them, with what geometry
    nodes make of them. A mesh is valid until the next is asked for.

    now   what can't be known because it is not evaluated now, or may change with time, is left out
    """
    if any(_is_one_of(layer.material_override, materials) for scene in bpy.data.scenes for layer in scene.view_layers):
        yield None
    seen: set[tuple[bpy.types.Mesh, frozenset[int]]] = set()
    objects = [obj for obj in bpy.data.objects if obj.users]
    for obj in objects:
        for found in _of_object(obj, materials, now):
            if found is not None and found[0] == obj.data:  # many objects share a mesh
                key = (found[0], frozenset(found[1]))
                if key in seen:
                    continue
                seen.add(key)
            yield found
    held = {obj.data for obj in objects}
    for mesh in bpy.data.meshes:
        if mesh.users and mesh not in held and (slots := _slots(mesh.materials, materials)):
            yield mesh, slots


def _of_object(obj: bpy.types.Object, materials: AbstractSet[str], now: bool) -> Iterator[Surface | None]:
    slots = _slots([slot.material for slot in obj.material_slots], materials)
    modifiers = [modifier for modifier in obj.modifiers if modifier.show_viewport or modifier.show_render]
    changing = [modifier for modifier in modifiers if not _keeps_coordinates(modifier)]
    brought = any(_brings(modifier, materials) for modifier in changing)
    generates = any(modifier.type == "NODES" for modifier in changing)
    if not (slots or brought or generates):
        return
    if not isinstance(obj.data, bpy.types.Mesh) or _has_hair(obj, slots):
        if slots or brought:
            yield None
        return
    if not changing and obj.mode != "EDIT":
        yield obj.data, slots
        return
    evaluated = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
    alike = all(modifier.show_viewport == modifier.show_render for modifier in changing)
    lasting = alike and not any(_moves(obj, modifier) for modifier in changing)
    if not (evaluated.is_evaluated and (lasting or now)):
        if (slots or brought) and not now:
            yield None
        return
    evaluated_slots = _slots([slot.material for slot in evaluated.material_slots], materials)
    if generates:
        whole: Any = evaluated  # the annotations know too little of it
        yield from _of_geometry(whole.evaluated_geometry(), materials, evaluated_slots)
        return
    try:
        yield evaluated.to_mesh(), evaluated_slots
    finally:
        evaluated.to_mesh_clear()


def _of_geometry(
    geometry: Any, materials: AbstractSet[str], slots: dict[int, str] | None = None
) -> Iterator[Surface | None]:
    """What geometry nodes made: of a GeometrySet its mesh, and those of its instances that are no objects.

    slots   of the mesh, where the object decides on them
    """
    if geometry.mesh is not None:
        slots = _slots(geometry.mesh.materials, materials) if slots is None else slots
        if slots:
            yield geometry.mesh, slots
    others = (geometry.curves, geometry.pointcloud, geometry.volume, geometry.grease_pencil)
    if any(part is not None and _slots(part.materials, materials) for part in others):
        yield None
    for instance in geometry.instance_references():
        if not isinstance(instance, bpy.types.ID):
            yield from _of_geometry(instance, materials)


def _slots(held: Any, materials: AbstractSet[str]) -> dict[int, str]:
    """Of several materials, those that are asked for: their names by their place."""
    return {i: material.name for i, material in enumerate(held) if _is_one_of(material, materials)}


def _is_one_of(material: bpy.types.Material | None, materials: AbstractSet[str]) -> bool:
    return material is not None and material.name in materials and material.library is None


def _has_hair(obj: bpy.types.Object, slots: dict[int, str]) -> bool:
    """Whether particles of an object are drawn as strands of one of these slots."""
    settings = (system.settings for system in obj.particle_systems)
    return any(each.render_type == "PATH" and each.material - 1 in slots for each in settings)


def _keeps_coordinates(modifier: bpy.types.Modifier) -> bool:
    neutral = _NEUTRAL.get(modifier.type)
    if neutral is not None:
        return all(getattr(modifier, name) == value for name, value in neutral.items())
    return modifier.type in _KEEP_COORDINATES


def _brings(modifier: bpy.types.Modifier, materials: AbstractSet[str]) -> bool:
    """Whether a modifier's node tree, or an input of it, names one of the materials."""
    if not isinstance(modifier, bpy.types.NodesModifier) or modifier.node_group is None:
        return False
    given = border.given_to(modifier)
    if any(isinstance(value, bpy.types.Material) and _is_one_of(value, materials) for value in given):
        return True
    return any(
        _is_one_of(socket.default_value, materials)
        for tree in _with_inner(modifier.node_group)
        for node in tree.nodes
        for socket in node.inputs
        if socket.type == "MATERIAL"
    )


def _moves(obj: bpy.types.Object, modifier: bpy.types.Modifier) -> bool:
    """Whether the coordinates that a modifier makes may be others at another time."""
    if any(getattr(modifier, name) for name in _MOVING.get(modifier.type, ())):
        return True
    if isinstance(modifier, bpy.types.NodesModifier) and modifier.node_group is not None:
        trees = _with_inner(modifier.node_group)
        timed = (node.bl_idname == "GeometryNodeInputSceneTime" for tree in trees for node in tree.nodes)
        if any(timed) or any(tree.animation_data is not None for tree in trees):
            return True
    return any(path.startswith(f'modifiers["{bpy.utils.escape_identifier(modifier.name)}"]') for path in _animated(obj))


def _animated(obj: bpy.types.Object) -> Iterator[str]:
    """The paths of an object's properties that drivers or actions change."""
    data = obj.animation_data
    if data is None:
        return
    yield from (curve.data_path for curve in data.drivers)
    strips = (strip.action for track in data.nla_tracks for strip in track.strips)
    for action in filter(None, (data.action, *strips)):
        parts: list[Any] = [strip for layer in action.layers for strip in layer.strips]
        yield from (curve.data_path for part in parts for bag in part.channelbags for curve in bag.fcurves)


def _with_inner(tree: bpy.types.NodeTree) -> list[Any]:
    """A node tree and the groups inside of it, each once."""
    found: list[Any] = [tree]
    for each in found:  # grows
        inner = (getattr(node, "node_tree", None) for node in each.nodes)
        found += {group for group in inner if group is not None and group not in found}
    return found
