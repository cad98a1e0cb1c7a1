"""Gaussians stored plainly: so many bits per number over the range in use, as Image-GS counts its bits; 32 is float32.

Entropy coding serves up to 16 bits. Every further bit is noise, and modeling noise gains nothing.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..gaussians import Gaussians
from ..settings import QuantizeBits
from .head import Head
from .invalid import require


@dataclass(frozen=True)
class Plain:
    """Gaussians whose numbers are exactly those of the stream, and the bits of each number there."""

    gaussians: Gaussians
    bits: QuantizeBits

    def __len__(self) -> int:
        return len(self.gaussians)

    @property
    def head(self) -> Head:
        """The head of a stream that holds them."""
        return Head.of(self.gaussians, self.bits)

    def dequantized(self) -> Gaussians:
        """The Gaussians, which are stored as they are."""
        return self.gaussians


def quantize(gaussians: Gaussians, bits: QuantizeBits) -> Plain:
    """Every number rounded to its bits, in the order given. Rotations are taken to 0..pi."""
    turned = np.mod(gaussians.rotation.astype(np.float64), np.pi).astype(np.float32)
    gaussians = replace(gaussians, rotation=turned, gamma=float(np.float32(gaussians.gamma)))
    rounded: dict[str, Any] = {name: _values(*_coded(getattr(gaussians, name), b)) for name, b in _groups(bits)}
    return Plain(replace(gaussians, **rounded), bits)


def write(plain: Plain) -> bytes:
    """The bytes of CODE, of numbers within limits.py."""
    parts = []
    for name, bits in _groups(plain.bits):
        values = getattr(plain.gaussians, name)
        if bits == 32:
            parts.append(values.astype("<f4").tobytes())
        else:
            codes, low, high, _ = _coded(values, bits)
            parts.append(struct.pack("<ff", low, high) + _packed(codes.ravel(), bits))
    return b"".join(parts)


def read(data: bytes, head: Head) -> Plain:
    """The Gaussians of a stream from the bytes of CODE. Raises ImageGSError for impossible ones."""
    shapes: dict[str, tuple[int, ...]] = {
        "mean": (head.count, 2), "scale": (head.count, 2), "rotation": (head.count,), "bias": (head.count,),
        "feature": (head.count, head.planes),
    }  # fmt: skip
    sizes = [_size(math.prod(shapes[name]), b) for name, b in _groups(head.bits)]
    require(len(data) == sum(sizes), "its plain numbers have another length than their bits say")
    found, at = {}, 0
    for (name, b), size in zip(_groups(head.bits), sizes, strict=True):
        part, at = data[at : at + size], at + size
        if b == 32:
            values = np.frombuffer(part, "<f4").astype(np.float32)
        else:
            low, high = struct.unpack_from("<ff", part)
            require(bool(np.isfinite([low, high]).all()) and low <= high, "a range of plain numbers is impossible")
            values = _values(_unpacked(part[8:], b, math.prod(shapes[name])), low, high, b)
        found[name] = values.reshape(shapes[name])
    gaussians = Gaussians(
        **found, width=head.width, height=head.height, wrap=head.wrap, topk=head.topk, gamma=head.gamma
    )
    return Plain(gaussians, head.bits)


def size(count: int, planes: int, bits: QuantizeBits) -> int:
    """Bytes of CODE."""
    return sum(_size(count * each, b) for each, (_, b) in zip((2, 2, 1, 1, planes), _groups(bits), strict=True))


def _groups(bits: QuantizeBits) -> tuple[tuple[str, int], ...]:
    assert bits.pos is not None and bits.feat is not None, "bits of a stream are decided: QuantizeBits.at"
    return (
        ("mean", bits.pos),
        ("scale", bits.scale),
        ("rotation", bits.rot),
        ("bias", bits.scale),
        ("feature", bits.feat),
    )


def _size(numbers: int, bits: int) -> int:
    return 4 * numbers if bits == 32 else 8 + (numbers * bits + 7) // 8


def _coded(values: np.ndarray, bits: int) -> tuple[np.ndarray, float, float, int]:
    """Codes 0 .. 2^bits - 1 over the range of the values, that range, bits. With 32 bits the values themselves."""
    low, high = float(values.min()), float(values.max())
    if bits == 32:
        return values, low, high, bits
    step = max(high - low, 1e-30) / (2**bits - 1)
    return np.rint((values.astype(np.float64) - low) / step).astype(np.int64), low, high, bits


def _values(codes: np.ndarray, low: float, high: float, bits: int) -> np.ndarray:
    """float32: low + code (high - low) / (2^bits - 1), in binary64; never outside the range."""
    if bits == 32:
        return codes
    return np.clip(low + codes * ((high - low) / (2**bits - 1)), low, high).astype(np.float32)


def _packed(codes: np.ndarray, bits: int) -> bytes:
    """Codes one after another, each with its highest bit first, padded with zeros to a byte."""
    shifts = np.arange(bits - 1, -1, -1)
    return np.packbits((codes[:, None] >> shifts & 1).astype(np.uint8).ravel()).tobytes()


def _unpacked(data: bytes, bits: int, count: int) -> np.ndarray:
    digits = np.unpackbits(np.frombuffer(data, np.uint8), count=count * bits).reshape(count, bits)
    return digits.astype(np.int64) @ (1 << np.arange(bits - 1, -1, -1, dtype=np.int64))
