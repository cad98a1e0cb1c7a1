"""Damaged image files as a Hypothesis strategy: (bytes, suffix)."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from tests.fuzz.choices import SEEDS, Choices
from tests.samples import picture


@cache
def bases() -> tuple[tuple[bytes, str], ...]:
    """Whole files of the kinds that Pillow writes here, small; of 8 bits and 16, gray and with alpha."""
    color = Image.fromarray(picture(24))
    kinds = [
        ("png", color), ("png", Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20) * 160)),
        ("png", color.convert("RGBA")), ("jpg", color), ("webp", color), ("tiff", color), ("bmp", color), ("tga", color),
        ("png", color.convert("P")), ("tiff", color.convert("L")),
    ]  # fmt: skip
    found = []
    for suffix, image in kinds:
        buffer = io.BytesIO()
        image.save(buffer, {"jpg": "jpeg"}.get(suffix, suffix))
        found.append((buffer.getvalue(), f".{suffix}"))
    return tuple(found)


def damaged() -> st.SearchStrategy[tuple[bytes, str]]:
    """A file of which one to six things are changed; or under another suffix."""
    return SEEDS.map(lambda seed: _damaged(Choices(seed)))


KINDS = ("byte", "byte", "header", "header", "cut", "insert", "large")
SUFFIXES = (".png", ".jpg", ".exr", ".hdr", ".tif", ".dds", ".psd")


def _damaged(choices: Choices) -> tuple[bytes, str]:
    data, suffix = choices.pick(bases())
    changed = bytearray(data)
    for _ in range(1 + choices.below(6)):
        at, kind = choices.below(max(len(changed), 1)), choices.pick(KINDS)
        if kind == "byte" and changed:
            changed[at] = choices.below(256)
        elif kind == "header" and changed:
            changed[min(at % 64, len(changed) - 1)] = choices.below(256)
        elif kind == "large":
            changed[at : at + 4] = b"\x7f\xff\xff\xff"
        elif kind == "cut":
            del changed[at:]
        elif kind == "insert":
            changed[at:at] = choices.bytes(9)
    return bytes(changed), choices.pick(SUFFIXES) if choices.below(10) == 1 else suffix
