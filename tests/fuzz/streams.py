"""Damaged streams as a Hypothesis strategy: it knows the sections and their fields, and repairs the checksums."""

from __future__ import annotations

import struct
import zlib
from functools import cache
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from imagegs_blender.core.igs import stream
from imagegs_blender.core.settings import QuantizeBits
from imagegs_blender.core.textures.texture_stack import Channel, ColorSpace, Depth, MapInfo, Role
from tests.fuzz.choices import SEEDS, Choices
from tests.samples import uneven

KEPT = Path(__file__).resolve().parents[1] / "core" / "igs" / "streams"
SECTIONS = (b"HEAD", b"MODL", b"CODE")

FIELDS = {
    "width": (0, "<H"), "height": (2, "<H"), "wrap": (4, "<B"), "topk": (5, "<B"), "count": (6, "<I"), "pos": (10, "<B"),
    "scale bits": (11, "<B"), "rot": (12, "<B"), "feat": (13, "<B"), "scale": (14, "<f"), "step": (18, "<f"),
    "feature_step": (22, "<f"), "planes": (26, "<B"), "center": (27, "<f"),
}  # fmt: skip
"""Of HEAD: offset and layout."""

NUMBERS = {
    "<B": [0, 1, 2, 3, 4, 16, 17, 32, 33, 127, 128, 255],
    "<H": [0, 1, 2, 15, 16, 255, 256, 8192, 16384, 16385, 65535],
    "<I": [0, 1, 2, 3, 255, 4096, 4097, 1 << 20, 1 << 22, (1 << 22) + 1, 1 << 31, (1 << 32) - 1],
    "<f": [0.0, -0.0, 1e-45, 1e-38, -1.0, 1.0, 8.0, -64.0, 64.0, 88.0, 3e38, float("inf"), float("-inf"), float("nan")],
}
"""Values at which something changes."""


@cache
def bases() -> tuple[bytes, ...]:
    """Whole streams: coded and plain, of one plane and of several, with maps and without, with a gamma; and of older versions."""
    maps = (
        MapInfo("color", Role.COLOR, ColorSpace.SRGB, Depth.U8, "RGB", 64, 48, tuple(Channel("plane", k) for k in range(3))),
        MapInfo("height", Role.DATA, ColorSpace.LINEAR, Depth.F32, "L", 32, 24, (Channel("plane", 0, low=-2.0, high=7.0),)),
    )  # fmt: skip
    kept = tuple(path.read_bytes() for path in sorted(KEPT.glob("*.igs")))
    return kept + tuple(
        stream.write(uneven(count, planes), maps if planes == 3 else (), bits)
        for count, planes, bits in (
            (1, 1, QuantizeBits()), (40, 3, QuantizeBits()), (40, 3, QuantizeBits(9, 6, 5, 6)),
            (12, 2, QuantizeBits(32, 32, 32, 32)), (12, 3, QuantizeBits(20, 17, 18, 24)),
        )
    )  # fmt: skip


def sections(data: bytes) -> list[bytes]:
    """The bytes of HEAD, MODL and CODE."""
    at, parts = 12, []
    for _ in SECTIONS:
        size = struct.unpack_from("<I", data, at + 4)[0]
        parts.append(data[at + 12 : at + 12 + size])
        at += 12 + size
    return parts


def joined(start: bytes, parts: list[bytes]) -> bytes:
    """A stream of sections, with the checksums that belong to them."""
    body = b""
    for name, part in zip(SECTIONS, parts, strict=True):
        body += name + struct.pack("<II", len(part), zlib.crc32(part, zlib.crc32(name))) + part
    return start + body


def damaged() -> st.SearchStrategy[bytes]:
    """A stream of which one to four things are changed."""
    return SEEDS.map(lambda seed: _damaged(Choices(seed)))


KINDS = ("field", "field", "byte", "byte", "bytes", "cut", "insert", "flags", "swap")
PATTERNS = (b"\0" * 4, b"\xff" * 4, struct.pack("<f", np.nan), struct.pack("<i", 1 << 19))


def _damaged(choices: Choices) -> bytes:
    data = choices.pick(bases())
    start, parts = data[:12], sections(data)
    for _ in range(1 + choices.below(4)):
        kind, which = choices.pick(KINDS), choices.below(3)
        if kind == "field":
            _set_field(parts, choices)
        elif kind == "flags":
            start = data[:8] + struct.pack("<HH", choices.below(5), choices.below(5))
        elif kind == "swap":
            parts[which] = choices.pick(parts)
        else:
            parts[which] = _changed(parts[which], kind, choices)
    return joined(start, parts)


def _set_field(parts: list[bytes], choices: Choices) -> None:
    """Give a field of HEAD a value at which something changes."""
    offset, layout = choices.pick(tuple(FIELDS.values()))
    new = struct.pack(layout, choices.pick(NUMBERS[layout]))
    parts[0] = parts[0][:offset] + new + parts[0][offset + len(new) :]


def _changed(part: bytes, kind: str, choices: Choices) -> bytes:
    at = choices.below(max(len(part), 1))
    if kind == "byte":
        return part[:at] + bytes([choices.below(256)]) + part[at + 1 :]
    if kind == "bytes":
        return part[:at] + choices.pick(PATTERNS) + part[at + 4 :]
    if kind == "cut":
        return part[:at]
    return part[:at] + choices.bytes(9) + part[at:]
