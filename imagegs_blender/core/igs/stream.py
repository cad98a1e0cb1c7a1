"""The .igs file: Gaussians and map descriptions <-> bytes. docs/format.md describes every byte; names here are its names."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np

from .. import morton
from ..errors import ImageGSError
from ..gaussians import Gaussians
from ..settings import MAX_GAUSSIANS, QuantizeBits
from ..textures import texture_stack
from ..textures.texture_stack import MapInfo
from . import columns, limits, maps, plain
from .codes import Codes, quantize
from .cursor import Cursor
from .head import Head, Ranges, Steps
from .invalid import require
from .plain import Plain
from .second import columns as second_columns
from .second.codes import Codes as SecondCodes
from .second.entropy import Reader, Writer

MAGIC = b"\x89IGS\r\n\x1a\n"
VERSION = 3
_PLAIN, _GAMMA = 1, 2
"""Flags, from version 2 on. Plain numbers are written as version 2, and codes as version 3."""

_SECTIONS = (b"HEAD", b"MODL", b"CODE")


@dataclass(frozen=True)
class Stream:
    """The content of a .igs file: Gaussians, in the file's order, and the maps that their planes become.

    read() makes one from bytes, Stream.of() from codes; to_bytes() is the inverse of read(), bit for bit.
    """

    codes: Codes | SecondCodes | Plain
    maps: tuple[MapInfo, ...]

    @classmethod
    def of(cls, codes: Codes | SecondCodes | Plain, maps: Sequence[MapInfo]) -> Stream:
        """The stream that holds codes in any order: coded Gaussians follow the Morton curve, plain ones keep their order."""
        if not isinstance(codes, Plain):
            codes = codes.take(np.argsort(morton.code(*codes.mean.T), kind="stable"))
        return cls(codes, tuple(maps))

    @cached_property
    def gaussians(self) -> Gaussians:
        """The Gaussians that the codes stand for, computed at the first use."""
        return self.codes.dequantized()

    @property
    def head(self) -> Head:
        """Everything but the Gaussians and the maps."""
        return self.codes.head

    @property
    def texels(self) -> int:
        """Texels of the largest map, or of the fitted resolution where there is no map: bpp is counted over them."""
        return texture_stack.texels(self.maps) or self.head.width * self.head.height

    @property
    def channel_count(self) -> int:
        """Channels of all maps together: bppc is counted over them."""
        return texture_stack.channel_count(self.maps)

    def bpp(self, size: int) -> float:
        """Bits per pixel of a file of `size` bytes: over the texels of the largest map."""
        return 8 * size / self.texels

    def bppc(self, size: int) -> float:
        """Bits per pixel per channel of a file of `size` bytes."""
        return self.bpp(size) / max(self.channel_count, 1)

    def to_bytes(self) -> bytes:
        """The .igs file. Raises ImageGSError where something exceeds the format's limits: read() takes all that it returns."""
        _check_count(len(self.codes))
        flags, head = 0, self.head.write() + maps.write(self.maps)
        if self.head.gamma != 1:
            flags, head = flags | _GAMMA, head + struct.pack("<f", self.head.gamma)
        version, models = 3, b""
        if isinstance(self.codes, Codes):
            payload = columns.write(self.codes)
        elif isinstance(self.codes, Plain):
            version, flags, payload = 2, flags | _PLAIN, plain.write(self.codes)
        else:
            writer = Writer()
            second_columns.write(self.codes, writer)
            version, models, payload = 2 if flags else 1, bytes(writer.models), writer.payload()
        limits.check_size(self.head, self.maps, len(payload))
        limits.check_numbers(self.gaussians, len(payload))
        body = b""
        for name, part in zip(_SECTIONS, (head, models, payload), strict=True):
            body += name + struct.pack("<II", len(part), zlib.crc32(part, zlib.crc32(name))) + part
        return MAGIC + struct.pack("<HH", version, flags) + body


def write(gaussians: Gaussians, maps: Sequence[MapInfo], bits: QuantizeBits | None = None) -> bytes:
    """Quantize and write; bits default to 16/12/10/12. Raises ImageGSError if something exceeds the format's limits."""
    return quantized(gaussians, maps, bits).to_bytes()


def quantized(gaussians: Gaussians, maps: Sequence[MapInfo], bits: QuantizeBits | None = None) -> Stream:
    """The stream of Gaussians rounded to their nearest codes; bits default to 16/12/10/12."""
    _check_count(len(gaussians))
    bits = (bits or QuantizeBits()).at(gaussians.width, gaussians.height)
    return Stream.of(plain.quantize(gaussians, bits) if bits.wide else quantize(gaussians, bits), maps)


def read(data: bytes) -> Stream:
    """Parse a .igs file. Raises ImageGSError, naming the fault, for anything malformed; never allocates by a bad length."""
    data = bytes(data)
    version, flags = _read_flags(data)
    head, models, payload = _sections(data)
    found, found_maps = _read_head(head, version, flags)
    limits.check_size(found, found_maps, len(payload))
    if flags & _PLAIN:
        require(not models, "plain numbers have no models")
        stream = Stream(plain.read(payload, found), found_maps)
    elif version >= 3:
        require(not models, "this version has no models")
        stream = Stream(columns.read(found, payload), found_maps)
    else:
        stream = Stream(second_columns.read(found, Reader(models, payload)), found_maps)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused
        limits.check_numbers(stream.gaussians, len(payload))
    return stream


def read_maps(data: bytes) -> tuple[MapInfo, ...]:
    """The maps of a .igs file, without its Gaussians, which take longer. Raises ImageGSError as read() does."""
    version, flags = _read_flags(data)
    return _read_head(_sections(data)[0], version, flags)[1]


def info(data: bytes) -> dict:
    """The content of a file as JSON-ready values: bytes, bpp, bppc, num_gaussians, bits, maps. Checks the whole file."""
    stream = read(data)
    head = stream.head
    return {
        "version": struct.unpack_from("<H", data, 8)[0],
        "bytes": len(data),
        "bpp": stream.bpp(len(data)),
        "bppc": stream.bppc(len(data)),
        "bits_per_gaussian": 8 * len(data) / head.count,
        "num_gaussians": head.count,
        "width": head.width,
        "height": head.height,
        "wrap": head.wrap,
        "topk": head.topk,
        "gamma": head.gamma,
        "planes": head.planes,
        "bits": asdict(head.bits),
        "maps": [
            {
                "name": m.name, "role": str(m.role), "color_space": str(m.color_space), "depth": str(m.depth),
                "channels": m.channels, "width": m.width, "height": m.height,
            }
            for m in stream.maps
        ],
    }  # fmt: skip


def _check_count(count: int) -> None:
    if not 1 <= count <= MAX_GAUSSIANS:
        raise ImageGSError(f"{count} Gaussians can't be stored: 1 to {MAX_GAUSSIANS} can")


def _read_flags(data: bytes) -> tuple[int, int]:
    """Version and flags of a file that has the signature and a version that this program knows."""
    if len(data) < 16:
        raise ImageGSError(f"not a .igs stream: {len(data)} bytes are too few; the file may be cut short")
    if data[:8] != MAGIC:
        raise ImageGSError("not a .igs stream: the first bytes are not its signature")
    version, flags = struct.unpack_from("<HH", data, 8)
    if version > VERSION:
        raise ImageGSError(
            f"this .igs stream has version {version}; this program reads up to {VERSION}: update imagegs_blender"
        )
    unknown = flags & ~(_PLAIN | _GAMMA)
    possible = version >= 1 and not unknown and (version >= 2 or not flags) and not (version >= 3 and flags & _PLAIN)
    require(possible, "its version or flags are impossible")
    return version, flags


def _read_head(data: bytes, version: int, flags: int) -> tuple[Head, tuple[MapInfo, ...]]:
    cursor = Cursor(data, "its head")
    head = Head.read(cursor, bool(flags & _PLAIN), Steps if version >= 3 else Ranges)
    found = maps.read(cursor, head.planes)
    if flags & _GAMMA:
        head = replace(head, gamma=cursor.unpack("<f")[0])
    require(cursor.at_end(), "its head is too long")
    head.check()
    return head, found


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
        require(len(part) == size, f"section {name.decode()} is cut short")
        if zlib.crc32(part, zlib.crc32(name)) != check:
            raise ImageGSError(f"damaged .igs stream: the checksum of section {name.decode()} does not match")
        parts.append(part)
        at += 12 + size
    require(at == len(data), "bytes are left over at its end")
    return parts
