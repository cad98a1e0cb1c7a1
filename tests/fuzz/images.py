"""Damaged image files as a Hypothesis strategy: (bytes, suffix)."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from hypothesis import strategies as st
from PIL import Image

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


@st.composite
def damaged(draw: st.DrawFn) -> tuple[bytes, str]:
    """A file of which one to six things are changed; or under another suffix."""
    data, suffix = draw(st.sampled_from(bases()))
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(changed) - 1, 0)))
        kind = draw(st.sampled_from(["byte", "byte", "header", "header", "cut", "insert", "large"]))
        if kind == "byte" and changed:
            changed[at] = draw(st.integers(0, 255))
        elif kind == "header" and changed:
            changed[min(at % 64, len(changed) - 1)] = draw(st.integers(0, 255))
        elif kind == "large":
            changed[at : at + 4] = b"\x7f\xff\xff\xff"
        elif kind == "cut":
            del changed[at:]
        elif kind == "insert":
            changed[at:at] = draw(st.binary(max_size=9))
    if draw(st.integers(0, 9)) == 0:
        suffix = draw(st.sampled_from([".png", ".jpg", ".exr", ".hdr", ".tif", ".dds", ".psd"]))
    return bytes(changed), suffix
