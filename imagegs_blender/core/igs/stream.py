"""The .igs file: codes and map descriptions <-> bytes. docs/format.md describes every byte; names here are its names."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np

from ..errors import ImageGSError
from ..gaussians import MAX_PLANES, MAX_TOPK, Gaussians
from ..settings import MAX_GAUSSIANS, QuantizeBits
from ..textures import texture_stack
from ..textures.texture_stack import Channel, ColorSpace, Depth, MapInfo, Role
from . import plain
from .codes import Codes, quantize, rotation_levels
from .entropy import Reader, Writer
from .plain import Plain
from .prediction import GAIN_ONE, best_gain, nearest_earlier, residuals, restore

MAGIC = b"\x89IGS\r\n\x1a\n"
VERSION = 2
_PLAIN, _GAMMA = 1, 2
"""Flags, from version 2 on. What needs none is written as version 1."""

MAX_SIDE = 16384
MAX_MAPS = 64
_SECTIONS = (b"HEAD", b"MODL", b"CODE")
_ROLES, _SPACES, _DEPTHS = tuple(Role), tuple(ColorSpace), tuple(Depth)
_KINDS = ("plane", "constant", "normal_z")


@dataclass(frozen=True)
class Stream:
    """What a .igs file holds."""

    codes: Codes | Plain
    maps: tuple[MapInfo, ...]

    @cached_property
    def gaussians(self) -> Gaussians:
        """The Gaussians that the codes stand for, computed at the first use."""
        return self.codes.gaussians

    @property
    def texels(self) -> int:
        """Texels of the largest map, or of the fitted resolution where there is no map: what bpp is counted over."""
        return texture_stack.texels(self.maps) or self.gaussians.width * self.gaussians.height

    @property
    def channel_count(self) -> int:
        """Channels of all maps together: what bppc is counted over."""
        return texture_stack.channel_count(self.maps)


def write(gaussians: Gaussians, maps: Sequence[MapInfo], bits: QuantizeBits | None = None) -> bytes:
    """Quantise and write; bits default to 16/12/10/12. Raises ImageGSError if something exceeds the format's limits."""
    _check_count(len(gaussians))
    bits = (bits or QuantizeBits()).at(gaussians.width, gaussians.height)
    return pack(plain.quantize(gaussians, bits) if bits.wide else quantize(gaussians, bits), maps)


def read(data: bytes) -> Stream:
    """Parse a .igs file. Raises ImageGSError, naming what is wrong, for anything malformed; never allocates by a bad length."""
    data = bytes(data)
    if len(data) < 16:
        raise ImageGSError(f"not a .igs stream: {len(data)} bytes are too few; the file may be cut short")
    if data[:8] != MAGIC:
        raise ImageGSError("not a .igs stream: the first bytes are not its signature")
    version, flags = struct.unpack_from("<HH", data, 8)
    if version > VERSION:
        raise ImageGSError(
            f"this .igs stream has version {version}; this program reads up to {VERSION}: update imagegs_blender"
        )
    if version < 1 or flags & ~(_PLAIN | _GAMMA) or (version < 2 and flags):
        raise ImageGSError("not a valid .igs stream: its version or flags are impossible")
    head, models, payload = _sections(data)
    codes, count, maps = _read_head(head, flags)
    if flags & _PLAIN:
        _require(not models, "plain numbers have no models")
        return Stream(_read_plain(codes, count, payload), maps)
    return Stream(_read_codes(codes, count, Reader(models, payload)), maps)


def info(data: bytes) -> dict:
    """What the file holds, as JSON-ready values: bytes, bpp, bppc, num_gaussians, bits, maps. Checks the whole file."""
    stream = read(data)
    gaussians, bits = stream.gaussians, stream.codes.bits
    bpp = 8 * len(data) / stream.texels
    return {
        "version": struct.unpack_from("<H", data, 8)[0],
        "bytes": len(data),
        "bpp": bpp,
        "bppc": bpp / max(stream.channel_count, 1),
        "bits_per_gaussian": 8 * len(data) / len(gaussians),
        "num_gaussians": len(gaussians),
        "width": gaussians.width,
        "height": gaussians.height,
        "wrap": gaussians.wrap,
        "topk": gaussians.topk,
        "gamma": gaussians.gamma,
        "planes": gaussians.planes,
        "bits": asdict(bits),
        "maps": [
            {
                "name": m.name, "role": str(m.role), "color_space": str(m.color_space), "depth": str(m.depth),
                "channels": m.channels, "width": m.width, "height": m.height,
            }
            for m in stream.maps
        ],
    }  # fmt: skip


def pack(codes: Codes | Plain, maps: Sequence[MapInfo]) -> bytes:
    """Codes in any order -> bytes; Gaussians are stored in Morton order. read() gives the sorted codes back exactly.

    Plain numbers are stored, and come back, in the order given.
    """
    _check_count(len(codes))
    if isinstance(codes, Plain):
        flags, parts = _PLAIN, (_head(_framed(codes), len(codes), maps), b"", plain.write(codes))
        gamma = codes.gaussians.gamma
    else:
        codes = codes.take(np.argsort(morton(codes.mean, codes.pos_bits), kind="stable"))
        writer = Writer()
        _write_codes(codes, writer)
        flags, parts = 0, (_head(codes, len(codes), maps), bytes(writer.models), writer.payload())
        gamma = codes.gamma
    if gamma != 1:
        flags, parts = flags | _GAMMA, (parts[0] + struct.pack("<f", gamma), *parts[1:])
    body = b""
    for name, part in zip(_SECTIONS, parts, strict=True):
        body += name + struct.pack("<II", len(part), zlib.crc32(part, zlib.crc32(name))) + part
    return MAGIC + struct.pack("<HH", 2 if flags else 1, flags) + body


def morton(mean: np.ndarray, bits: int) -> np.ndarray:
    """(N,) int64: the bits of y and x interleaved, y first."""
    code = np.zeros(len(mean), np.int64)
    for b in range(bits):
        code |= (mean[:, 0].astype(np.int64) >> b & 1) << (2 * b)
        code |= (mean[:, 1].astype(np.int64) >> b & 1) << (2 * b + 1)
    return code


# MODL and CODE: means by counting the points in halves of cells, then one column per number.


def _write_codes(codes: Codes, writer: Writer) -> None:
    _write_means(morton(codes.mean, codes.pos_bits), 2 * codes.pos_bits, writer)
    neighbor = nearest_earlier(codes.mean)
    first, second = np.ascontiguousarray(codes.scale.T)
    _write_predicted(first, neighbor, writer)
    writer.column(first - second)
    writer.uniform(codes.rotation, rotation_levels(codes.scale, codes.scale_step, codes.bits.rot))
    writer.column(codes.bias)
    for component in np.ascontiguousarray(codes.feature.T):
        _write_predicted(component, neighbor, writer)


def _read_codes(codes: Codes, count: int, reader: Reader) -> Codes:
    """codes holds what HEAD says and no Gaussians yet."""
    mean = _read_means(count, codes.pos_bits, reader)
    neighbor = nearest_earlier(mean)
    first = _read_predicted(count, neighbor, reader)
    difference = reader.column(count)
    if first.min() < 0 or first.max() >= 2**codes.bits.scale or difference.min() < 0 or (first - difference).min() < 0:
        raise ImageGSError("not a valid .igs stream: a scale is out of range")
    scale = np.stack([first, first - difference], 1)
    rotation = reader.uniform(rotation_levels(scale, codes.scale_step, codes.bits.rot))
    bias = reader.column(count)
    feature = [_read_predicted(count, neighbor, reader) for _ in codes.feature_center]
    reader.finish()
    return replace(codes, mean=mean, scale=scale, rotation=rotation, bias=bias, feature=np.stack(feature, 1))


def _write_predicted(values: np.ndarray, neighbor: np.ndarray, writer: Writer) -> None:
    gain = best_gain(values, neighbor)
    writer.number(gain)
    writer.column(residuals(values, neighbor, gain))


def _read_predicted(count: int, neighbor: np.ndarray, reader: Reader) -> np.ndarray:
    gain = reader.number()
    if gain > GAIN_ONE:
        raise ImageGSError("not a valid .igs stream: a prediction gain is out of range")
    return restore(reader.column(count), neighbor, gain)


def _write_means(points: np.ndarray, depth: int, writer: Writer) -> None:
    """points: sorted Morton codes of `depth` bits."""
    for level in range(depth):
        cell = points >> (depth - level)
        first = np.flatnonzero(np.diff(cell, prepend=-1))
        totals = np.diff(np.append(first, len(points)))
        right = points >> (depth - level - 1) & 1
        writer.splits(totals - np.add.reduceat(right, first), totals)


def _read_means(count: int, bits: int, reader: Reader) -> np.ndarray:
    """(count, 2) int32 in Morton order."""
    cells, totals = np.zeros(1, np.int64), np.array([count])
    for _ in range(2 * bits):
        lefts = reader.splits(totals)
        cells = np.stack([2 * cells, 2 * cells + 1], 1).reshape(-1)
        totals = np.stack([lefts, totals - lefts], 1).reshape(-1)
        cells, totals = cells[totals > 0], totals[totals > 0]
    points = np.repeat(cells, totals)
    mean = np.zeros((count, 2), np.int32)
    for b in range(bits):
        mean[:, 0] |= ((points >> (2 * b) & 1) << b).astype(np.int32)
        mean[:, 1] |= ((points >> (2 * b + 1) & 1) << b).astype(np.int32)
    return mean


def _framed(plain: Plain) -> Codes:
    """What HEAD says of plain numbers; the ranges of codes mean nothing there."""
    g = plain.gaussians
    empty, none = np.empty((0, 2), np.int32), np.empty((0, g.planes), np.int32)
    center, basis = np.zeros(g.planes, np.float32), np.zeros((g.planes, g.planes), np.int32)
    return Codes(
        plain.bits, 0.0, 1.0, 1.0, center, basis, empty, empty, empty[:, 0], empty[:, 0], none,
        g.width, g.height, g.wrap, g.topk, g.gamma,
    )  # fmt: skip


def _read_plain(codes: Codes, count: int, payload: bytes) -> Plain:
    arrays = plain.read(payload, count, len(codes.feature_center), codes.bits)
    return Plain(
        Gaussians(
            **arrays,
            width=codes.width,
            height=codes.height,
            wrap=codes.wrap,
            topk=codes.topk,
            gamma=codes.gamma,
        ),
        codes.bits,
    )


# HEAD: what the codes mean, and the maps.

_FIXED = struct.Struct("<HHBBIBBBBfffB")
_MAP = struct.Struct("<BBBBHHB")


def _head(codes: Codes, count: int, maps: Sequence[MapInfo]) -> bytes:
    bits, planes = codes.bits, len(codes.feature_center)
    _check_limits(codes, maps)
    head = _FIXED.pack(
        codes.width, codes.height, codes.wrap, codes.topk, count, bits.pos, bits.scale, bits.rot, bits.feat,
        codes.scale_low, codes.scale_step, codes.feature_step, planes,
    )  # fmt: skip
    head += codes.feature_center.astype("<f4").tobytes() + codes.feature_basis.astype(np.int8).tobytes()
    head += bytes([len(maps)])
    for m in maps:
        name, letters = m.name.encode(), m.channels.encode()
        head += struct.pack("<B", len(name)) + name
        role, space, depth = _ROLES.index(m.role), _SPACES.index(m.color_space), _DEPTHS.index(m.depth)
        head += _MAP.pack(role, space, depth, len(letters), m.width, m.height, 0) + letters
        for source in m.sources:
            scaled = (source.low, source.high) != (0.0, 1.0)
            head += struct.pack("<BBB", _KINDS.index(source.kind) | (scaled << 7), source.plane, source.plane_y)
            head += struct.pack("<ff", source.low, source.high) if scaled else b""
    return head


def _check_count(count: int) -> None:
    if not 1 <= count <= MAX_GAUSSIANS:
        raise ImageGSError(f"{count} Gaussians can't be stored: 1 to {MAX_GAUSSIANS} can")


def _check_limits(codes: Codes, maps: Sequence[MapInfo]) -> None:
    if not 1 <= len(codes.feature_center) <= MAX_PLANES:
        raise ImageGSError(f"{len(codes.feature_center)} planes can't be stored: 1 to {MAX_PLANES} can")
    if len(maps) > MAX_MAPS:
        raise ImageGSError(f"{len(maps)} maps can't be stored in one stream: at most {MAX_MAPS} can")
    for m in maps:
        if not 1 <= len(m.name.encode()) <= 255:
            raise ImageGSError(f"{m.name}: a map's name must have 1 to 255 bytes; rename it")
        if not (1 <= m.width <= MAX_SIDE and 1 <= m.height <= MAX_SIDE):
            raise ImageGSError(f"{m.name}: {m.width} x {m.height} texels can't be stored: 1 to {MAX_SIDE} each way can")


class _Cursor:
    """Reads a section front to back; a step past its end is one clear error."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        if len(part) != size:
            raise ImageGSError("not a valid .igs stream: its head is cut short")
        self._at += size
        return part

    def unpack(self, layout: struct.Struct | str) -> tuple:
        layout = struct.Struct(layout) if isinstance(layout, str) else layout
        return layout.unpack(self.take(layout.size))

    def at_end(self) -> bool:
        return self._at == len(self._data)


def _read_head(head: bytes, flags: int) -> tuple[Codes, int, tuple[MapInfo, ...]]:
    """Codes without Gaussians, their number, the maps."""
    cursor = _Cursor(head)
    width, height, wrap, topk, count, *bits, low, step, feature_step, planes = cursor.unpack(_FIXED)
    _require(1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE, "its size is out of range")
    _require(wrap <= 1 and topk <= MAX_TOPK, "its blending is unknown")
    _require(1 <= count <= MAX_GAUSSIANS, "its number of Gaussians is out of range")
    most = 32 if flags & _PLAIN else 16
    _require(all(4 <= b <= most for b in bits), "a number of bits is out of range")
    _require(math.isfinite(low) and 0 < step < 8 and abs(low) < 64, "its scale range is impossible")
    _require(0 < feature_step <= 1, "its feature step is impossible")
    _require(1 <= planes <= MAX_PLANES, "its number of planes is out of range")
    center = np.frombuffer(cursor.take(4 * planes), "<f4").astype(np.float32)
    basis = np.frombuffer(cursor.take(planes * planes), np.int8).astype(np.int32).reshape(planes, planes)
    _require(bool(np.isfinite(center).all()), "a feature is not a number")
    maps = tuple(_read_map(cursor, planes) for _ in range(cursor.take(1)[0]))
    gamma = cursor.unpack("<f")[0] if flags & _GAMMA else 1.0
    _require(0 < gamma <= 100, "its gamma is out of range")
    _require(cursor.at_end(), "its head is too long")
    empty = np.empty((0, 2), np.int32)
    codes = Codes(
        QuantizeBits(*bits), low, step, feature_step, center, basis, empty, empty, empty[:, 0], empty[:, 0],
        np.empty((0, planes), np.int32), width, height, bool(wrap), topk, gamma,
    )  # fmt: skip
    return codes, count, maps


def _read_map(cursor: _Cursor, planes: int) -> MapInfo:
    try:
        name = cursor.take(cursor.take(1)[0]).decode()
        role, space, depth, letters, width, height, reserved = cursor.unpack(_MAP)
        channels = cursor.take(letters).decode("ascii")
    except UnicodeDecodeError:
        raise ImageGSError("not a valid .igs stream: a map's name is not UTF-8") from None
    known = role < len(_ROLES) and space < len(_SPACES) and depth < len(_DEPTHS) and reserved == 0
    _require(known and bool(name), "a map's description is unknown")
    _require(1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE, "a map's size is out of range")
    _require(1 <= letters <= 4 and set(channels) <= set("RGBAL"), "a map's channels are unknown")
    sources = []
    for _ in channels:
        kind, plane, plane_y = cursor.unpack("<BBB")
        low, high = cursor.unpack("<ff") if kind & 128 else (0.0, 1.0)
        _require(kind & 127 < len(_KINDS) and plane < planes and plane_y < planes, "a channel's source is unknown")
        _require(math.isfinite(low) and math.isfinite(high), "a channel's range is not a number")
        sources.append(Channel(_KINDS[kind & 127], plane, plane_y, low, high))
    return MapInfo(name, _ROLES[role], _SPACES[space], _DEPTHS[depth], channels, width, height, tuple(sources))


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise ImageGSError(f"not a valid .igs stream: {what}")


def _sections(data: bytes) -> list[bytes]:
    """The three sections' bytes, checked."""
    at, parts = 12, []
    for name in _SECTIONS:
        if data[at : at + 4] != name or len(data) < at + 12:
            raise ImageGSError(
                f"not a valid .igs stream: section {name.decode()} is missing; the file may be cut short"
            )
        size, check = struct.unpack_from("<II", data, at + 4)
        part = data[at + 12 : at + 12 + size]
        if len(part) != size:
            raise ImageGSError(f"not a valid .igs stream: section {name.decode()} is cut short")
        if zlib.crc32(part, zlib.crc32(name)) != check:
            raise ImageGSError(f"damaged .igs stream: the checksum of section {name.decode()} does not match")
        parts.append(part)
        at += 12 + size
    if at != len(data):
        raise ImageGSError("not a valid .igs stream: bytes are left over at its end")
    return parts
