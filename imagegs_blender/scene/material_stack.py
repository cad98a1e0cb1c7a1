"""Which images of which materials become which texture stacks: described before any pixel is read.

plan() looks and touches nothing. Its result is plain data: names instead of datablocks, so that it can be printed,
compared and kept while the file changes. pixels.py reads what it names, replace.py carries it out.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import bpy

from ..core.errors import ImageGSError
from ..core.gaussians import MAX_PLANES
from ..core.textures.texture_stack import ColorSpace, Role
from ..core.textures.udim import Tiles
from . import color_spaces, skipped, walk
from .skipped import Skipped

MIN_SIZE, MAX_SIZE = 16, 8192
"""Texels a side. Below, a texture costs less than a decoder; above, the fit is not meant to work."""

MAX_PICTURE = 16384
"""Texels a side of all UDIM tiles of an image together."""

MAX_SIZE_RATIO = 4
"""An image whose width or height is more than this many times smaller than the largest's gets a stack of its own."""

MAX_STRANGERS = 1.5
"""A stack may hold this many times the planes that any one material uses of it: more, and materials pay for maps
that they do not show."""


@dataclass(frozen=True, order=True)
class TreeRef:
    """A node tree by name: a material's own tree, or a node group of the open file."""

    kind: str  # "material" or "group"
    name: str

    def find(self) -> bpy.types.NodeTree:
        """Raises ImageGSError where it is gone."""
        if self.kind == "group":
            tree = bpy.data.node_groups.get((self.name, None))
        else:
            material = bpy.data.materials.get((self.name, None))
            tree = material and material.node_tree
        if tree is None:
            raise ImageGSError(f"{self.name}: the {self.kind} was removed or renamed meanwhile; compress again")
        return tree


@dataclass(frozen=True, order=True)
class ImageRef:
    """An image by name, and by the path of the library that it is linked from ("" for images of the open file)."""

    name: str
    library: str = ""

    def find(self) -> bpy.types.Image:
        """Raises ImageGSError where it is gone."""
        image = bpy.data.images.get((self.name, self.library or None))
        if image is None:
            raise ImageGSError(f"{self.name}: the image was removed or renamed meanwhile; compress again")
        return image


@dataclass(frozen=True, order=True)
class NodePlan:
    """An Image Texture node to be replaced. `vector`: its coordinates as text, equal for equal ones in one tree."""

    tree: TreeRef
    node: str
    vector: str

    def find(self) -> bpy.types.ShaderNodeTexImage:
        """Raises ImageGSError where it is gone."""
        node = self.tree.find().nodes.get(self.node)
        if node is None:
            raise ImageGSError(f"{self.tree.name}: node {self.node!r} was removed or renamed meanwhile; compress again")
        return node


@dataclass(frozen=True)
class MapPlan:
    """One image of a stack.

    name           unique in the stack; the decoder's outputs are "<name>" and, with an "A" in channels, "<name> Alpha"
    labels         what it feeds, for printing: ("roughness", "metallic")
    channels       letters of "RGBA" that any material uses
    alpha_linked   an Alpha output is in use, which makes Blender hand out straight colors instead of premultiplied ones
    width, height  texels; of all tiles in one picture where there are several
    tiles          the UDIM tiles that the image is made of; None for ordinary images
    """

    name: str
    image: ImageRef
    role: Role
    color_space: ColorSpace
    labels: tuple[str, ...]
    channels: str
    alpha_linked: bool
    width: int
    height: int
    nodes: tuple[NodePlan, ...]
    tiles: Tiles | None = None


@dataclass(frozen=True)
class StackPlan:
    """Maps to be fitted together.

    extension   how the nodes continue the image outside 0..1, in Blender's words; "UDIM" for tiled images
    projection  how the nodes find texture coordinates, in Blender's words: "FLAT", "SPHERE", "TUBE" or "BOX"
    """

    name: str
    materials: tuple[str, ...]
    extension: str
    maps: tuple[MapPlan, ...]
    projection: str = "FLAT"

    @property
    def wrap(self) -> bool:
        return self.extension == "REPEAT"

    @property
    def tiles(self) -> Tiles | None:
        """The UDIM tiles that all maps are made of."""
        return self.maps[0].tiles


@dataclass(frozen=True)
class Plan:
    stacks: tuple[StackPlan, ...]
    skipped: tuple[Skipped, ...]

    def __str__(self) -> str:
        return self.text()

    def text(self, verbose: bool = False) -> str:
        """The stacks, and what is left as it is: see skipped.lines."""
        lines = []
        for stack in self.stacks:
            modes = [stack.extension, *([] if stack.projection == "FLAT" else [stack.projection])]
            lines.append(f"{stack.name} ({', '.join(stack.materials)}), {', '.join(modes).lower()}")
            lines += [
                f"    {m.name}: {', '.join(m.labels)}; {m.role}, {m.color_space}, {m.channels}, {m.width} x {m.height}"
                for m in stack.maps
            ]
        return "\n".join(lines + [f"left as it is: {line}" for line in self.left_out(verbose)])

    def left_out(self, verbose: bool = False) -> list[str]:
        """What is left as it is, and why, as skipped.lines tells it."""
        return skipped.lines(self.skipped, verbose)


def plan(materials: Iterable[bpy.types.Material]) -> Plan:
    """Describe the stacks of these materials, each image in one stack, and everything that is left as it is."""
    candidates: dict[_Mapping, _Candidate] = {}
    left: dict[Skipped, None] = {}
    for material in materials:
        reason = _unusable_material(material)
        if reason:
            left[Skipped(material.name, None, reason)] = None
            continue
        _gather(material, candidates, left)
    stacks = [stack for group in _together(list(candidates.values())) for stack in _split(group)]
    shown = {ref.name for ref, *_ in candidates} | {one.image for one in left if one.reason != skipped.UNCONNECTED}
    told = [one for one in left if one.reason != skipped.UNCONNECTED or one.image not in shown]
    return Plan(tuple(_named(stacks)), tuple(told))


_Mapping = tuple[ImageRef, str, str]
"""An image, and the extension and projection that nodes show it with."""


@dataclass
class _Candidate:
    """An image with one extension mode and projection, while its uses are being gathered."""

    ref: ImageRef
    image: bpy.types.Image
    extension: str
    projection: str
    wants: set[walk.Want] = field(default_factory=set)
    nodes: set[NodePlan] = field(default_factory=set)
    alpha_linked: bool = False
    spaces: set[tuple[str, str]] = field(default_factory=set)
    """(material, texture coordinates) pairs in which the image is used."""

    @property
    def channels(self) -> str:
        return "".join(letter for letter in "RGBA" if any(letter in want.channels for want in self.wants))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image, or of its largest tile."""
        tiles = tiles_of(self.image)
        width, height = self.image.size
        return (tiles.width, tiles.height) if tiles else (width, height)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Those of its UDIM tiles."""
        tiles = tiles_of(self.image)
        return tiles.numbers if tiles else ()


def _gather(
    material: bpy.types.Material,
    candidates: dict[_Mapping, _Candidate],
    left: dict[Skipped, None],
) -> None:
    """Add the uses that a material makes of images to candidates, or to what is left as it is."""
    found = False
    for use in walk.image_uses(material):
        if not isinstance(use, walk.DecoderUse) and use.node.image is None:
            continue
        found = True
        if isinstance(use, walk.DecoderUse):
            left[Skipped(material.name, None, f"already compressed: {use.node.node_tree.name}")] = None
            continue
        image = use.node.image
        reason = _unusable_use(use) or _unusable_image(image)
        if reason:
            left[Skipped(material.name, image.name, reason)] = None
            continue
        for number in _missing_tiles(image):
            reason = f"UDIM tile {number}: no readable file; the average color will be in its place"
            left[Skipped(material.name, image.name, reason)] = None
        ref = ImageRef(image.name, image.library.filepath if image.library else "")
        extension = "UDIM" if image.source == "TILED" else use.node.extension
        mapping = (ref, extension, use.node.projection)
        candidate = candidates.setdefault(mapping, _Candidate(ref, image, *mapping[1:]))
        vector = use.node.inputs["Vector"]
        tree = TreeRef("group", use.tree.name) if use.path else TreeRef("material", material.name)
        candidate.wants.add(use.want)
        candidate.nodes.add(NodePlan(tree, use.node.name, walk.texture_space(vector)))
        candidate.alpha_linked |= use.node.outputs["Alpha"].is_linked
        candidate.spaces.add((material.name, walk.texture_space(vector, use.path)))
    for node in walk.unconnected_textures(material):
        found = True
        left[Skipped(material.name, node.image.name, skipped.UNCONNECTED)] = None
    if not found:
        left[Skipped(material.name, None, skipped.NO_TEXTURES)] = None


def _unusable_material(material: bpy.types.Material) -> str | None:
    if material.library or material.override_library:
        source = (material.library or material.override_library.reference.library).filepath
        return f"linked from {source}; compress it there, or make it local"
    without_nodes = bpy.app.version < (5, 0) and not material.use_nodes
    if material.node_tree is None or without_nodes:
        return skipped.NO_TEXTURES
    return None


def _unusable_use(use: walk.ImageUse) -> str | None:
    """Why this node can't be replaced by a decoder."""
    node = use.node
    if node.bl_idname == "ShaderNodeTexEnvironment":
        return "environment texture: a picture of the surroundings, which decoders can't look up by direction"
    if use.path and (use.tree.library or use.tree.override_library):
        return f"used inside the linked node group {use.tree.name}; make it local"
    if node.projection == "BOX" and node.projection_blend > 0:
        return (
            "box projection with a blend: would need three decoders at once, which costs more than the image; "
            "with a Blend of 0 it needs one"
        )
    if node.interpolation == "Closest":
        return "interpolation Closest shows single texels, which Gaussians would blur"
    if _old_mapping(node):
        return "the node holds a mapping of its own from an old Blender version; move it to a Mapping node"
    return None


def _old_mapping(node: bpy.types.ShaderNodeTexImage) -> bool:
    own, color = node.texture_mapping, node.color_mapping
    moved = (*own.translation, *own.rotation, *(s - 1 for s in own.scale))
    axes = (own.mapping_x, own.mapping_y, own.mapping_z, own.mapping)
    colors = (color.brightness - 1, color.contrast - 1, color.saturation - 1, color.blend_factor)
    return any(moved) or axes != ("X", "Y", "Z", "FLAT") or any(colors) or color.use_color_ramp


def _unusable_image(image: bpy.types.Image) -> str | None:
    """Why this image can't be compressed."""
    kinds = {"SEQUENCE": "image sequence", "MOVIE": "movie", "VIEWER": "render or viewer result"}
    if image.source in kinds:
        return f"{kinds[image.source]}: changes over time"
    if image.is_multiview:
        return "stereo and multi-view images are not supported"
    if image.source == "GENERATED" and not image.is_dirty:
        return "generated by Blender from its settings: takes no space in the file"
    tiles = tiles_of(image)
    width, height = image.size
    if image.source == "TILED":
        if tiles is None:
            return f"file not found: {image.filepath}; relink it, or pack it"
        if max(tiles.size) > MAX_PICTURE:
            return (
                f"{len(tiles.numbers)} UDIM tiles of {tiles.width} x {tiles.height} texels are too many for one stack"
            )
        width, height = tiles.width, tiles.height
    elif not (width and height):
        path = image.filepath_from_user()
        if image.packed_file or os.path.isfile(path):
            return f"{'packed data' if image.packed_file else path}: not a readable image; replace it"
        return f"file not found: {path}; relink it, or pack it"
    if min(width, height) < MIN_SIZE or max(width, height) > MAX_SIZE:
        return f"{width} x {height} texels; compressed are {MIN_SIZE} to {MAX_SIZE} a side"
    return color_spaces.obstacle(image)


def tiles_of(image: bpy.types.Image) -> Tiles | None:
    """The UDIM tiles of an image that can be read, in the size of the largest; None for others."""
    if image.source != "TILED":
        return None
    sizes = {tile.number: tuple(tile.size) for tile in image.tiles if min(tile.size) > 0}
    if not sizes:
        return None
    largest = max(sizes.values(), key=lambda size: (size[0] * size[1], size))
    return Tiles(tuple(sorted(sizes)), *largest)


def _missing_tiles(image: bpy.types.Image) -> list[int]:
    return [tile.number for tile in image.tiles if min(tile.size) == 0] if image.source == "TILED" else []


def _together(candidates: Sequence[_Candidate]) -> list[list[_Candidate]]:
    """Group images that any material uses with the same coordinates, extension mode and projection.

    Where that chains materials together that have little in common, only images that are always used together stay so.
    """
    groups: list[list[_Candidate]] = []
    for component in _components(candidates):
        planes = defaultdict(int)
        for candidate in component:
            for space in candidate.spaces:
                planes[space] += len(candidate.channels)
        if sum(len(c.channels) for c in component) <= MAX_STRANGERS * max(planes.values()):
            groups.append(component)
            continue
        always: dict[frozenset, list[_Candidate]] = defaultdict(list)
        for candidate in component:
            always[frozenset(candidate.spaces)].append(candidate)
        groups += always.values()
    return groups


def _components(candidates: Sequence[_Candidate]) -> list[list[_Candidate]]:
    """Connected components of "used in one material with the same coordinates and modes" (union-find)."""
    parent = list(range(len(candidates)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    first: dict[tuple[str, ...], int] = {}
    for i, candidate in enumerate(candidates):
        for space in candidate.spaces:
            parent[root(i)] = root(first.setdefault((*space, candidate.extension, candidate.projection), i))
    components: dict[int, list[_Candidate]] = defaultdict(list)
    for i, candidate in enumerate(candidates):
        components[root(i)].append(candidate)
    return list(components.values())


def _split(group: list[_Candidate]) -> list[list[_Candidate]]:
    """Parts of similar size and at most MAX_PLANES planes each."""
    parts: list[list[_Candidate]] = []
    for candidate in sorted(group, key=lambda c: (-c.size[0] * c.size[1], c.ref)):
        for part in parts:
            ratio = max(part[0].size[axis] / candidate.size[axis] for axis in (0, 1))
            planes = sum(len(c.channels) for c in (*part, candidate))
            if ratio <= MAX_SIZE_RATIO and planes <= MAX_PLANES and part[0].numbers == candidate.numbers:
                part.append(candidate)
                break
        else:
            parts.append([candidate])
    return parts


def _named(stacks: Sequence[list[_Candidate]]) -> list[StackPlan]:
    """The finished stacks, each named after its first material."""
    plans: list[StackPlan] = []
    taken: set[str] = set()
    for candidates in stacks:
        materials = tuple(sorted({material for c in candidates for material, _ in c.spaces}))
        name = _unique(materials[0], taken)
        names = {"overall"}  # what reports call all maps together
        numbers = candidates[0].numbers
        tiles = Tiles(numbers, *candidates[0].size) if numbers else None  # the largest comes first
        maps = [_map(c, names, tiles) for c in sorted(candidates, key=lambda c: c.ref)]
        first = candidates[0]
        plans.append(StackPlan(name, materials, first.extension, tuple(maps), first.projection))
    return sorted(plans, key=lambda s: s.name)


def _map(candidate: _Candidate, names: set[str], tiles: Tiles | None) -> MapPlan:
    colors = [want for want in candidate.wants if want.channels != "A"]
    roles = {want.role for want in colors} or {Role.ALPHA}
    if Role.COLOR in roles:
        role = Role.COLOR
    else:
        role = roles.pop() if len(roles) == 1 else Role.DATA
    name = _unique(os.path.splitext(candidate.ref.name)[0] or candidate.ref.name, names)
    names.add(f"{name} Alpha")
    width, height = tiles.size if tiles else candidate.size
    return MapPlan(
        name,
        candidate.ref,
        role,
        color_spaces.kept(candidate.image),
        tuple(sorted({want.label for want in candidate.wants})),
        candidate.channels,
        candidate.alpha_linked,
        width,
        height,
        tuple(sorted(candidate.nodes)),
        tiles,
    )


def _unique(name: str, taken: set[str]) -> str:
    """name, with a number behind it where it is taken already; taken from now on."""
    numbered, number = name, 2
    while numbered in taken or f"{numbered} Alpha" in taken:
        numbered, number = f"{name} {number}", number + 1
    taken.add(numbered)
    return numbered
