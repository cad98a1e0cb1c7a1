"""What must hold of whatever a reader takes or refuses."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from imagegs_blender.core.decoding import decode, node_tables, tables
from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.igs import stream
from imagegs_blender.core.textures import image_files

T = TypeVar("T")

SMALL = 1 << 16
"""Texels up to which an accepted stream is decoded, too."""


def check_stream(data: bytes, deep: bool = True) -> bool:
    """One clear error, or a stream whose numbers are finite; deep: that is written as it was, and decodes, too.

    Returns whether it was taken.
    """
    found = _or_one_line(lambda: stream.read(data))
    if found is None:
        return False
    gaussians = found.gaussians
    for name in ("mean", "scale", "rotation", "bias", "feature"):
        assert np.isfinite(getattr(gaussians, name)).all(), name
    if not deep:
        return True
    assert found.to_bytes() == data or stream.read(found.to_bytes()).to_bytes() == found.to_bytes()
    if gaussians.width * gaussians.height * gaussians.planes <= SMALL:
        assert np.isfinite(decode.planes(gaussians)).all()
        _or_one_line(lambda: tables.build(gaussians, found.maps))  # no shader undoes a gamma
        _or_one_line(lambda: node_tables.build(gaussians, found.maps))
    return True


def check_image(given: tuple[bytes, str]) -> bool:
    """One clear error, or pixels of the size and depth that were said."""
    data, suffix = given
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"damaged{suffix}"
        path.write_bytes(data)
        found = _or_one_line(lambda: image_files.read(path))
    if found is None:
        return False
    assert found.pixels.ndim == 3 and found.pixels.size
    return True


def _or_one_line(read: Callable[[], T]) -> T | None:
    """What it gives; None where it raises ImageGSError with one line."""
    message = ""
    try:
        return read()
    except ImageGSError as error:
        message = str(error)
    assert message and "\n" not in message
    return None
