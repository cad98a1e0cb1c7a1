"""Which images of which materials become which texture stacks: described before any pixel is read.

plan() looks and touches nothing. Its result is plain data: names instead of datablocks, so that it can be printed,
compared and kept while the file changes. pixels.py reads what it names, replace.py carries it out.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import bpy

from ..blend import amount, border
from ..blend.properties import FLAT
from ..core.errors import ImageGSError
from ..core.gaussians import MAX_PLANES
from ..core.settings import FitSettings
from ..core.textures.texture_stack import OVERALL, ColorSpace, Role
from ..core.textures.udim import Tiles
from . import color_spaces, obstacles, skipped, walk
from .skipped import Skipped

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
class Sampling:
    """How a node shows its image, in Blender's words.

    extension    what is outside of 0..1; "UDIM" for tiled images
    projection   how texture coordinates are found: "FLAT", "SPHERE" or "TUBE"
    """

    extension: str
    projection: str = FLAT

    @property
    def wrap(self) -> bool:
        """The picture continues at its other side."""
        return self.extension == "REPEAT"

    def __str__(self) -> str:
        return ", ".join([self.extension, *([] if self.projection == FLAT else [self.projection])]).lower()


@dataclass(frozen=True, order=True)
class NodePlan:
    """An Image Texture node to be replaced. `vector`: its coordinates as text, equal for equal ones in one tree."""

    tree: TreeRef
    node: str
    vector: str
    sampling: Sampling

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
    """Maps to be fitted together: one stream, and a decoder for each sampling.

    amount   settings of a fit by name, where one of the materials has a size or quality of its own
    """

    name: str
    materials: tuple[str, ...]
    maps: tuple[MapPlan, ...]
    amount: tuple[tuple[str, float], ...] = ()

    def settings(self, common: FitSettings) -> FitSettings:
        """The settings of its fit, where these are for all stacks."""
        return common.with_amount(dict(self.amount)) if self.amount else common

    @property
    def nodes(self) -> set[NodePlan]:
        """The nodes to be replaced."""
        return {node for m in self.maps for node in m.nodes}

    @property
    def samplings(self) -> tuple[Sampling, ...]:
        """The ways in which its nodes show it, the most frequent first."""
        count = Counter(node.sampling for node in self.nodes)
        return tuple(sorted(count, key=lambda sampling: (-count[sampling], sampling)))

    @property
    def wrap(self) -> bool:
        """The picture continues at its other side: in one sampling at least."""
        return any(sampling.wrap for sampling in self.samplings)

    @property
    def largest(self) -> MapPlan:
        """The map of most texels: they all are fitted at its size."""
        return max(self.maps, key=lambda m: m.width * m.height)

    @property
    def texels(self) -> int:
        """Texels of the largest map: bits per pixel are counted over them."""
        return self.largest.width * self.largest.height

    @property
    def tiles(self) -> Tiles | None:
        """The UDIM tiles that all maps are made of."""
        return self.maps[0].tiles


@dataclass(frozen=True)
class Plan:
    """The stacks that materials become, and what of them stays as it is."""

    stacks: tuple[StackPlan, ...]
    skipped: tuple[Skipped, ...]

    def __str__(self) -> str:
        return self.text()

    def text(self, verbose: bool = False) -> str:
        """The stacks, and what is left as it is: see skipped.lines."""
        lines = []
        for stack in self.stacks:
            lines.append(f"{stack.name} ({', '.join(stack.materials)}), {'; '.join(map(str, stack.samplings))}")
            lines += [
                f"    {m.name}: {', '.join(m.labels)}; {m.role}, {m.color_space}, {m.channels}, {m.width} x {m.height}"
                for m in stack.maps
            ]
        return "\n".join(lines + [f"left as it is: {line}" for line in self.left_out(verbose)])

    def left_out(self, verbose: bool = False) -> list[str]:
        """What is left as it is, and why, as skipped.lines tells it."""
        return skipped.lines(self.skipped, verbose)


def plan(materials: Iterable[bpy.types.Material], own_amounts: bool = True) -> Plan:
    """Describe the stacks of these materials, each image in one stack, and everything that is left as it is.

    own_amounts   materials that have a size or quality of their own get it
    """
    candidates: dict[ImageRef, _Candidate] = {}
    left: dict[Skipped, None] = {}
    for material in materials:
        reason = obstacles.in_material(material)
        if reason:
            left[Skipped(material.name, None, reason)] = None
            continue
        _gather(material, candidates, left)
    stacks = [stack for group in _together(list(candidates.values())) for stack in _split(group)]
    shown = {ref.name for ref in candidates} | {one.image for one in left if one.reason != skipped.UNCONNECTED}
    told = [one for one in left if one.reason != skipped.UNCONNECTED or one.image not in shown]
    return Plan(tuple(_named(stacks, own_amounts)), tuple(told))


_Space = tuple[str, str, Sampling]
"""A material, the texture coordinates in it, as text, and how these show an image."""


@dataclass
class _Candidate:
    """An image while its uses are being gathered."""

    ref: ImageRef
    image: bpy.types.Image
    wants: set[walk.Want] = field(default_factory=set)
    nodes: set[NodePlan] = field(default_factory=set)
    alpha_linked: bool = False
    spaces: set[_Space] = field(default_factory=set)
    """Where the image is used."""

    @property
    def channels(self) -> str:
        return "".join(letter for letter in "RGBA" if any(letter in want.channels for want in self.wants))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image, or of its largest tile."""
        tiles = obstacles.tiles_of(self.image)
        width, height = self.image.size
        return (tiles.width, tiles.height) if tiles else (width, height)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Those of its UDIM tiles."""
        tiles = obstacles.tiles_of(self.image)
        return tiles.numbers if tiles else ()


def _gather(
    material: bpy.types.Material,
    candidates: dict[ImageRef, _Candidate],
    left: dict[Skipped, None],
) -> None:
    """Add the uses that a material makes of images to candidates, or to what is left as it is."""
    has_textures = False
    for use in walk.image_uses(material):
        if isinstance(use, walk.DecoderUse):
            has_textures = True
            left[Skipped(material.name, None, f"already compressed: {border.tree_of(use.node).name}")] = None
            continue
        image = use.node.image
        if image is None:
            continue
        has_textures = True
        reason = obstacles.in_node(use) or obstacles.in_image(image)
        if reason:
            left[Skipped(material.name, image.name, reason)] = None
            continue
        assert isinstance(use.node, bpy.types.ShaderNodeTexImage)  # environment textures are an obstacle
        for number in obstacles.missing_tiles(image):
            reason = f"UDIM tile {number}: no readable file; the average color will be in its place"
            left[Skipped(material.name, image.name, reason)] = None
        ref = ImageRef(image.name, image.library.filepath if image.library is not None else "")
        sampling = Sampling("UDIM" if image.source == "TILED" else use.node.extension, use.node.projection)
        candidate = candidates.setdefault(ref, _Candidate(ref, image))
        vector = border.input_of(use.node, "Vector")
        tree = TreeRef("group", use.tree.name) if use.path else TreeRef("material", material.name)
        candidate.wants.add(use.want)
        candidate.nodes.add(NodePlan(tree, use.node.name, walk.texture_space(vector), sampling))
        candidate.alpha_linked |= border.output_of(use.node, "Alpha").is_linked
        candidate.spaces.add((material.name, walk.texture_space(vector, use.path), sampling))
    for name in walk.unconnected_images(material):
        has_textures = True
        left[Skipped(material.name, name, skipped.UNCONNECTED)] = None
    if not has_textures:
        left[Skipped(material.name, None, skipped.NO_TEXTURES)] = None


def _together(candidates: Sequence[_Candidate]) -> list[list[_Candidate]]:
    """Group images that any material uses with the same coordinates and sampling.

    Where that chains materials together that have little in common, only images that are always used together stay so.
    """
    groups: list[list[_Candidate]] = []
    for component in _components(candidates):
        planes: dict[_Space, int] = defaultdict(int)
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
    """Connected components of "used in one material with the same coordinates and sampling" (union-find)."""
    parent = list(range(len(candidates)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    first: dict[_Space, int] = {}
    for i, candidate in enumerate(candidates):
        for space in candidate.spaces:
            parent[root(i)] = root(first.setdefault(space, i))
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


def _named(stacks: Sequence[list[_Candidate]], own_amounts: bool) -> list[StackPlan]:
    """The finished stacks, each named after its first material."""
    plans: list[StackPlan] = []
    taken: set[str] = set()
    for candidates in stacks:
        materials = tuple(sorted({material for c in candidates for material, *_ in c.spaces}))
        name = _unique(materials[0], taken)
        names = {OVERALL}
        numbers = candidates[0].numbers
        tiles = Tiles(numbers, *candidates[0].size) if numbers else None  # the largest comes first
        maps = [_map(c, names, tiles) for c in sorted(candidates, key=lambda c: c.ref)]
        own = next(filter(None, map(amount.own, materials)), {}) if own_amounts else {}
        plans.append(StackPlan(name, materials, tuple(maps), tuple(own.items())))
    return sorted(plans, key=lambda s: s.name)


def _map(candidate: _Candidate, names: set[str], tiles: Tiles | None) -> MapPlan:
    colors = [want for want in candidate.wants if want.channels != "A"]
    roles = {want.role for want in colors} or {Role.ALPHA}
    if Role.COLOR in roles:
        role = Role.COLOR
    else:
        role = roles.pop() if len(roles) == 1 else Role.DATA
    stem, _ = os.path.splitext(candidate.ref.name)  # noqa: PTH122  a name, in which "/" is a letter as any other
    name = _unique(stem or candidate.ref.name, names)
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
