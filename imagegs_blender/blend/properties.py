"""Every custom property that a compressed .blend holds: its key, its values, and since which version it is written.

A file may come from anywhere, and custom properties can be edited by hand. So they are read in one place, Property.read:
a value that the property can't have is an ImageGSError that names the tree and the key. docs/blend.md is the page about
them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import bpy

from ..core.errors import ImageGSError
from ..core.textures.udim import Tiles
from . import border

VERSION = 2
"""Of what this code writes into a .blend. It reads this version and all before, and must refuse a newer one."""

NODES, OSL, BAKED = "NODES", "OSL", "BAKED"
KINDS = (NODES, OSL, BAKED)
"""How a decoder decodes: shader nodes; a script; ordinary images at a fixed LOD."""

UDIM = "UDIM"
EXTENSIONS = ("REPEAT", "EXTEND", "CLIP", "MIRROR", UDIM)
"""What a decoder gives outside of 0..1, in the words of Image Texture nodes; UDIM: it is made of tiles."""

FLAT = "FLAT"
PROJECTIONS = (FLAT, "SPHERE", "TUBE")
"""How a decoder finds texture coordinates, in the words of Image Texture nodes; a box's sides are not blended."""

MAX_LOD = 16.0
"""The coarsest level of detail that a decoder's LOD socket takes."""

Holder = bpy.types.NodeTree | bpy.types.Node
T = TypeVar("T")
N = TypeVar("N", bound=bpy.types.Node)


@dataclass(frozen=True)
class Property(Generic[T]):
    """A custom property.

    key       its name in the file
    holder    the kind of thing that has it, for the documentation
    values    the values that it can have, in words
    meaning   for the documentation
    checked   gives the value as Python has it; raises ValueError or TypeError for one that is not allowed
    since     the version that wrote it first
    former    the key that versions before `since` used for the same
    missing   the value where there is none, which is not stored; a property without one is needed
    """

    key: str
    holder: str
    values: str
    meaning: str
    checked: Callable[[Any], T]
    since: int = 1
    former: str | None = None
    missing: T | None = None

    def is_on(self, holder: Holder) -> bool:
        """Whether there is a value, be it one that is not allowed."""
        return self._key_on(holder) is not None

    def read(self, holder: Holder) -> T:
        """The value. Raises ImageGSError where it is not allowed, or needed but not there."""
        key = self._key_on(holder)
        if key is None:
            if self.missing is None:
                raise ImageGSError(f"{_name(holder)}: its custom property {self.key} was deleted; {_ADVICE}")
            return self.missing
        value = holder[key]
        try:
            return self.checked(value)
        except (ValueError, TypeError, OverflowError):
            shown = repr(value if isinstance(value, str | bytes | int | float) else _plain(value))
            shown = shown if len(shown) <= 40 else f"{shown[:40]}..."
            raise ImageGSError(
                f"{_name(holder)}: its custom property {key} is {shown}, not {self.values}; {_ADVICE}"
            ) from None

    def write(self, holder: Holder, value: Any) -> None:
        """Store a value; one that a reader takes anyway, nowhere.

        Raises ValueError or TypeError for one that is not allowed: a mistake of ours.
        """
        value_is_missing = self.checked(value) == self.missing
        if self.former or isinstance(value, bytes) or value_is_missing:
            self.remove(holder)  # Blender cuts bytes at the first zero where it assigns them to a property that exists
        if not value_is_missing:
            holder[self.key] = value

    def nodes(self, nodes: Iterable[bpy.types.Node], kind: type[N]) -> list[N]:
        """Those of these nodes that are of a kind and have the property."""
        return [node for node in nodes if isinstance(node, kind) and self.is_on(node)]

    def remove(self, holder: Holder) -> None:
        """Take the value away, under whatever key it is."""
        for key in filter(None, (self.key, self.former)):
            if _has(holder, key):
                del holder[key]

    def _key_on(self, holder: Holder) -> str | None:
        return next((key for key in (self.key, self.former) if key is not None and _has(holder, key)), None)


_ADVICE = "restore the originals, or append the material again"


def _has(holder: Any, key: str) -> bool:
    """The annotations know no `in` of what holds custom properties."""
    return key in holder


def _name(holder: Holder) -> str:
    """The tree that holds the value, and the node where it is one."""
    return f"{border.owner(holder).name}, node {holder.name}" if isinstance(holder, bpy.types.Node) else holder.name


def _plain(value: Any) -> Any:
    """Blender's arrays and groups as lists and dictionaries."""
    if hasattr(value, "to_list"):
        return value.to_list()
    return value.to_dict() if hasattr(value, "to_dict") else value


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _one_of(*words: str) -> Callable[[Any], str]:
    def checked(value: Any) -> str:
        if value not in words:
            raise ValueError
        return _text(value)

    return checked


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def checked(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError
        if not least <= value <= most:
            raise ValueError
        return value

    return checked


def _number(least: float, most: float) -> Callable[[Any], float]:
    def checked(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError
        if not least <= value <= most:  # false for nan
            raise ValueError
        return float(value)

    return checked


def _flag(value: Any) -> bool:
    if not isinstance(value, int) or value not in (0, 1):
        raise TypeError
    return bool(value)


def _list(value: Any) -> list[Any]:
    if isinstance(value, str | bytes) or not hasattr(value, "__len__"):
        raise TypeError
    return list(value)


def _size(value: Any) -> tuple[int, int]:
    width, height = map(_whole(1, 1 << 14), _list(value))
    return width, height


def _averages(value: Any) -> tuple[float, ...]:
    numbers = tuple(_number(-math.inf, math.inf)(number) for number in _list(value))
    if not 1 <= len(numbers) <= 32 or not all(map(math.isfinite, numbers)):
        raise ValueError
    return numbers


def _color(value: Any) -> tuple[float, float, float, float]:
    r, g, b, a = _averages(value)
    return r, g, b, a


def _tiles(value: Any) -> Tiles:
    width, height, *numbers = map(_whole(1, 1 << 14), _list(value))
    if not numbers or numbers != sorted(set(numbers)) or numbers[0] < 1001 or numbers[-1] > 2000:
        raise ValueError
    _size(Tiles(tuple(numbers), width, height).size)
    return Tiles(tuple(numbers), width, height)


def _parts(value: Any) -> dict[str, bpy.types.ID]:
    if not hasattr(value, "items"):
        raise TypeError
    parts = {name: part for name, part in value.items() if part is not None}
    if not all(isinstance(part, bpy.types.Image | bpy.types.NodeTree) for part in parts.values()):
        raise TypeError
    return parts


def tile_numbers(tiles: Tiles) -> Sequence[int]:
    """UDIM tiles as TILES holds them."""
    return [tiles.width, tiles.height, *tiles.numbers]


DECODER, NODE, IMAGE_NODE, ANY_NODE = "decoder", "node of a decoder", "image node of a decoder", "node of a material"
SHARED_GROUP = "group without nodes"

STREAM = Property("imagegs_stream", DECODER, "bytes", "The .igs file.", _bytes)
SHARED_STREAM = Property(
    "imagegs_shared_stream", SHARED_GROUP, "bytes", "The .igs file that several decoders share.", _bytes, since=2
)
SHARED = Property(
    "imagegs_shared", NODE, "true", "The group node whose group holds the .igs file, which other decoders share.", _flag,
    since=2,
)  # fmt: skip
STREAM_VERSION = Property(
    "imagegs_version", DECODER, "a whole number from 1", "Version of what the file holds; a reader MUST reject a larger "
    "one as newer than itself.", _whole(1, 2**31 - 1), missing=1,
)  # fmt: skip
RECORD = Property(
    "imagegs_record", DECODER, "text (JSON)", "How the stack was made and what came of it: see Record.", _text
)
KIND = Property(
    "imagegs_decoder", DECODER, f"one of {', '.join(KINDS)}", "How it decodes.", _one_of(*KINDS), missing=NODES
)
AUTO = Property(
    "imagegs_auto", DECODER, "true or false", "Its kind is chosen for the scene and the computer that it is opened on.", _flag,
    since=2, missing=False,
)  # fmt: skip
LEVEL = Property(
    "imagegs_level", DECODER, f"a number from 0 to {MAX_LOD:g}", "The LOD at which a BAKED decoder's images are decoded.",
    _number(0, MAX_LOD), missing=0.0,
)  # fmt: skip
DETAIL = Property(
    "imagegs_detail", DECODER, "a whole number from 0 to 16", "The finest level of detail that it holds; 0 is all of them.",
    _whole(0, 16), missing=0,
)  # fmt: skip
SELF_CONTAINED = Property(
    "imagegs_self_contained", DECODER, "true or false", "It is saved with all that it reads.", _flag, missing=False
)
SIZE = Property(
    "imagegs_size", DECODER, "two whole numbers, 1 to 16384", "Width and height of the texture, or of one of its UDIM "
    "tiles, in texels.", _size,
)  # fmt: skip
EXTENSION = Property(
    "imagegs_extension", DECODER, f"one of {', '.join(EXTENSIONS)}", "What it gives outside of 0..1.",
    _one_of(*EXTENSIONS), missing="REPEAT",
)  # fmt: skip
PROJECTION = Property(
    "imagegs_projection", DECODER, f"one of {', '.join(PROJECTIONS)}", "How it finds texture coordinates.",
    _one_of(*PROJECTIONS), since=2, missing=FLAT,
)  # fmt: skip
TILES = Property(
    "imagegs_tiles", DECODER, "whole numbers: width, height, then numbers from 1001 in ascending order",
    "Width and height of a UDIM tile in texels, and the tiles that there are. Only with the extension UDIM.", _tiles,
)  # fmt: skip
LAYOUT = Property(
    "imagegs_layout",
    DECODER,
    "text",
    "The layout of the tables that its nodes or its script were built for.",
    _text,
    missing="",
)
AVERAGE = Property(
    "imagegs_average", DECODER, "numbers, one for each plane", "The average of every plane, shown where the stream is lost.",
    _averages,
)  # fmt: skip
BAKED_ON = Property(
    "imagegs_baked_on", DECODER, "GPU, CPU or the name of a graphics card", "What decoded the images of a BAKED decoder.",
    _text,
)  # fmt: skip
PARTS = Property(
    "imagegs_parts", DECODER, "images and node groups by name", "Blank datablocks that a file which links the decoder fills: "
    "what is derived can't be made inside of another file.", _parts, since=2,
)  # fmt: skip
BODY = Property(
    "imagegs_body",
    NODE,
    "true",
    "The group node whose group holds all that is derived from the stream.",
    _flag,
    since=2,
)
TABLE = Property("imagegs_table", IMAGE_NODE, "text", "The table that its image holds.", _text)
TEXEL = Property(
    "imagegs_texel", IMAGE_NODE, "a whole number from 0 to 255", "Which of several texels it reads.", _whole(0, 255)
)
SETTING = Property("imagegs_setting", NODE, "text", "The name of the vector that the node holds.", _text)
FINEST = Property(
    "imagegs_finest", NODE, "true", "The node's second input is the finest level of detail that is shown.", _flag,
    since=2, former="imagegs_detail",
)  # fmt: skip
MAP = Property("imagegs_baked", IMAGE_NODE, "text", "The map that its image holds, decoded.", _text)
MAP_AVERAGE = Property(
    "imagegs_map_average", IMAGE_NODE, "four numbers", "The average of that map, RGBA as stored; shown where the stream is "
    "lost.", _color, since=2, former="imagegs_average", missing=(0.5, 0.5, 0.5, 1.0),
)  # fmt: skip
SCRIPT = Property("imagegs_script", NODE, "true", "The script node that decodes.", _flag)
ORIGINAL = Property(
    "imagegs_original", ANY_NODE, "text (JSON)", "An Image Texture node that a decoder replaced: see Original.", _text
)
STAND_IN = Property(
    "imagegs_stand_in", ANY_NODE, "text", "An Image Texture node that stands in for a decoder's node, for exporters: the "
    "name of that node.", _text, since=2,
)  # fmt: skip
HELPER = Property(
    "imagegs_helper", ANY_NODE, "true", "Added beside a decoder; removed when originals come back.", _flag
)

ALL: tuple[Property[Any], ...] = (
    STREAM, SHARED_STREAM, SHARED,
    STREAM_VERSION, RECORD, KIND, AUTO, LEVEL, DETAIL, SELF_CONTAINED, SIZE, EXTENSION, PROJECTION, TILES, LAYOUT, AVERAGE,
    BAKED_ON, PARTS, BODY,
    TABLE, TEXEL, SETTING, FINEST, MAP, MAP_AVERAGE, SCRIPT, ORIGINAL, STAND_IN, HELPER,
)  # fmt: skip
