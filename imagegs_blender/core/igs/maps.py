"""Descriptions of maps <-> the part of HEAD that holds them."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

from ..errors import ImageGSError
from ..textures.texture_stack import LARGEST_SIDE, Channel, ColorSpace, Depth, MapInfo, Role
from .cursor import Cursor
from .invalid import require

MAX_MAPS = 64

_ROLES, _SPACES, _DEPTHS = tuple(Role), tuple(ColorSpace), tuple(Depth)
_KINDS = ("plane", "constant", "normal_z")
_SCALED = 128
"""Flag beside a channel's kind: its low and high follow."""

_MAP = struct.Struct("<BBBBHHB")
"""Role, color space, depth, number of channels, width, height, a reserved 0."""


def write(maps: Sequence[MapInfo]) -> bytes:
    """The number of maps, and each map. Raises ImageGSError where one exceeds the format's limits."""
    if len(maps) > MAX_MAPS:
        raise ImageGSError(f"{len(maps)} maps can't be stored in one stream: at most {MAX_MAPS} can")
    return bytes([len(maps)]) + b"".join(_written(m) for m in maps)


def read(cursor: Cursor, planes: int) -> tuple[MapInfo, ...]:
    """The maps of a stream of so many planes."""
    return tuple(_read(cursor, planes) for _ in range(cursor.take(1)[0]))


def _written(m: MapInfo) -> bytes:
    name, letters = m.name.encode(), m.channels.encode()
    if not 1 <= len(name) <= 255:
        raise ImageGSError(f"{m.name}: a map's name must have 1 to 255 bytes; rename it")
    if not (1 <= m.width <= LARGEST_SIDE and 1 <= m.height <= LARGEST_SIDE):
        raise ImageGSError(f"{m.name}: {m.width} x {m.height} texels can't be stored: 1 to {LARGEST_SIDE} each way can")
    role, space, depth = _ROLES.index(m.role), _SPACES.index(m.color_space), _DEPTHS.index(m.depth)
    data = struct.pack("<B", len(name)) + name
    data += _MAP.pack(role, space, depth, len(letters), m.width, m.height, 0) + letters
    for source in m.sources:
        scaled = (source.low, source.high) != (0.0, 1.0)
        kind = _KINDS.index(source.kind) | (_SCALED if scaled else 0)
        data += struct.pack("<BBB", kind, source.plane, source.plane_y)
        data += struct.pack("<ff", source.low, source.high) if scaled else b""
    return data


def _read(cursor: Cursor, planes: int) -> MapInfo:
    try:
        name = cursor.take(cursor.take(1)[0]).decode()
        role, space, depth, letters, width, height, reserved = cursor.unpack(_MAP)
        channels = cursor.take(letters).decode("ascii")
    except UnicodeDecodeError:
        raise ImageGSError("not a valid .igs stream: a map's name is not UTF-8") from None
    known = role < len(_ROLES) and space < len(_SPACES) and depth < len(_DEPTHS) and reserved == 0
    require(known and bool(name), "a map's description is unknown")
    require(1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE, "a map's size is out of range")
    require(1 <= letters <= 4 and set(channels) <= set("RGBAL"), "a map's channels are unknown")
    sources = tuple(_read_source(cursor, planes) for _ in channels)
    return MapInfo(name, _ROLES[role], _SPACES[space], _DEPTHS[depth], channels, width, height, sources)


def _read_source(cursor: Cursor, planes: int) -> Channel:
    kind, plane, plane_y = cursor.unpack("<BBB")
    low, high = cursor.unpack("<ff") if kind & _SCALED else (0.0, 1.0)
    kind &= ~_SCALED
    require(kind < len(_KINDS) and plane < planes and plane_y < planes, "a channel's source is unknown")
    require(math.isfinite(low) and math.isfinite(high), "a channel's range is not a number")
    return Channel(_KINDS[kind], plane, plane_y, low, high)
