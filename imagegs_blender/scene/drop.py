"""Originals that go for good: the replaced nodes of materials, and the images that nothing else really uses.

What only keeps an image from being forgotten does not use it: a fake user, an Image Editor, the paint tool. Nor does what a
saved file would not hold, because nothing uses it in its turn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bpy

from ..blend import border, removal
from .replace import originals, remove_empty_frames, trees

MOST_NAMED = 3
"""So many users of one image are told by name; the others are counted."""

_WORDS = {"NODETREE": "node group", "GREASEPENCIL_V3": "grease pencil"}
"""Kinds of datablocks that artists call by another name than Blender's list of them."""

_PAINTED = ("canvas", "clone_image", "stencil_image")
"""What the paint tool has of images: which one is painted on, and two to paint with."""


@dataclass(frozen=True, order=True)
class User:
    """A datablock, by its kind in words and its name."""

    kind: str
    name: str

    @classmethod
    def of(cls, block: bpy.types.ID) -> User:
        kinds = bpy.types.ID.bl_rna.properties["id_type"]
        assert isinstance(kinds, bpy.types.EnumProperty)
        return cls(_WORDS.get(block.id_type) or kinds.enum_items[block.id_type].name.lower(), block.name)

    def __str__(self) -> str:
        return f'the {self.kind} "{self.name}"'


@dataclass(frozen=True)
class Kept:
    """An image that stays, because of its users."""

    image: str
    users: tuple[User, ...]

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Kept:
        """What dataclasses.asdict() made of one."""
        return cls(entry["image"], tuple(User(**user) for user in entry["users"]))

    def __str__(self) -> str:
        names = [str(user) for user in self.users[:MOST_NAMED]]
        names += [f"{len(self.users) - MOST_NAMED} more"] if len(self.users) > MOST_NAMED else []
        listed = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
        return f"{self.image}, which {listed} {'uses' if len(self.users) == 1 else 'use'}"


def droppable(materials: Iterable[bpy.types.Material]) -> tuple[list[bpy.types.Image], list[Kept]]:
    """The images that drop_originals() removes, and those that it keeps, each by name. Changes nothing.

    Linked images are neither: they belong to their file.
    """
    materials = list(materials)
    own = {_owner(tree, materials): tree for tree in trees(materials)}
    found = {node.image for tree in own.values() for node in originals(tree) if node.image is not None}
    images = sorted((image for image in found if image.library is None), key=lambda image: image.name)
    removed, kept = [], []
    for image, holders in _holders(images).items():
        users = [User.of(block) for block in holders if block not in own or _shows(own[block], image)]
        if users:
            kept.append(Kept(image.name, tuple(sorted(users))))
        else:
            removed.append(image)
    return removed, kept


def drop_originals(materials: Iterable[bpy.types.Material]) -> tuple[list[str], list[Kept]]:
    """Remove the replaced nodes of these materials, and their images where nothing else really uses them.

    Returns the names of the removed images, and those that stay. Files on disk are never touched.
    """
    materials = list(materials)
    images, kept = droppable(materials)
    removed = [image.name for image in images]
    for tree in list(trees(materials)):
        for node in originals(tree):
            tree.nodes.remove(node)
        remove_empty_frames(tree)
    for name in removed:
        image = border.local_image(name)
        if image.users:  # by what does not render it
            bpy.data.images.remove(image)
        else:
            removal.remove([image])
    return removed, kept


def _owner(tree: bpy.types.NodeTree, materials: Iterable[bpy.types.Material]) -> bpy.types.ID:
    """The datablock that a tree is, or is a part of."""
    return next((material for material in materials if material.node_tree == tree), tree)


def _shows(tree: bpy.types.NodeTree, image: bpy.types.Image) -> bool:
    """Whether a tree has an image in a node that no decoder replaced."""
    replaced = set(originals(tree))
    return any(getattr(node, "image", None) == image and node not in replaced for node in tree.nodes)


def _holders(images: Iterable[bpy.types.Image]) -> dict[bpy.types.Image, set[bpy.types.ID]]:
    """Each image with the datablocks that hold it, of those that a saved file would hold."""
    images = list(images)
    if not images:
        return {}
    with _nothing_painted(images):
        users = bpy.data.user_map()
    uses: dict[bpy.types.ID, list[bpy.types.ID]] = defaultdict(list)
    for block, of_it in users.items():
        for user in of_it:
            uses[user].append(block)
    saved = {block for block in {*users, *uses} if _stays(block)}
    ahead = list(saved)
    while ahead:
        inside = set(uses[ahead.pop()]) - saved
        saved |= inside
        ahead += inside
    return {image: users[image] & saved for image in images}


def _stays(block: bpy.types.ID) -> bool:
    """Whether a datablock stays in a file though no other uses it."""
    kept = block.use_fake_user or block.use_extra_user or block.library is not None
    return isinstance(block, bpy.types.Scene) or (kept and not isinstance(block, bpy.types.Image))


@contextmanager
def _nothing_painted(images: Iterable[bpy.types.Image]) -> Iterator[None]:
    """The paint tool of no scene has one of the images, for as long as the context lasts."""
    had: list[tuple[bpy.types.ImagePaint, str, bpy.types.Image]] = []
    for scene in bpy.data.scenes:
        if scene.library is None and scene.tool_settings is not None:
            paint = scene.tool_settings.image_paint
            had += [(paint, name, image) for name in _PAINTED if (image := getattr(paint, name)) in images]
    for paint, name, _ in had:
        setattr(paint, name, None)
    try:
        yield
    finally:
        for paint, name, image in had:
            setattr(paint, name, image)
