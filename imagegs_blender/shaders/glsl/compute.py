"""The decoder as a compute shader through the gpu module: whole images, for previews and for baking.

The gpu module passes no storage buffers, so the tables go in and the planes come out as textures of float32.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import bpy
import gpu
import numpy as np

from ...core.decoding import lod
from ...core.decoding.layout import BYTE, HIGH_BYTE, TWO_BYTES, Layout
from ...core.decoding.reached import COVERED
from ...core.decoding.tables import Tables, constant
from ...core.errors import ImageGSError
from ...core.gaussians import CUTOFF, EPS

_gpu: Any = gpu  # its stubs know no arguments of types, no compute, and no single numbers

GROUP = 8
"""Texels a side that one work group decodes."""

MOST_TEXELS = 1 << 22
"""Texels of the texture that planes come out in: larger pictures are decoded some rows at a time."""

MOST_ROWS = 16384
"""Rows that every GPU that Blender runs on takes."""


def missing() -> str | None:
    """Why nothing can be decoded on the GPU here; None where it can.

    In the background that takes a gpu.init() before, which Blender has from 5.2 on: it is never called from here,
    as it ends the process on a machine without any OpenGL.
    """
    if threading.current_thread() is not threading.main_thread():
        return "it is rendering, and other threads than the main one reach no GPU"
    if bpy.app.background and bpy.app.version < (5, 2):
        return f"Blender {bpy.app.version_string} reaches no GPU in the background: 5.2 does, or open a window"
    try:
        gpu.platform.renderer_get()
    except SystemError as error:
        return str(error)
    return None if _decodes_right() else f"{gpu.platform.renderer_get()} computes wrong values"


def planes(tables: Tables, level: float, width: int | None = None, height: int | None = None) -> np.ndarray:
    """lod.planes, on the GPU: (C, height, width) float32, 0..1, at texel centers; default the fitted resolution.

    Raises ImageGSError where there is no GPU to decode on (see missing()).
    """
    reason = missing()
    if reason:
        raise ImageGSError(f"decoding on the GPU: {reason}")
    level = max(level, tables.tail.detail)
    share = lod.share(level, tables.tail.first)
    return _decoded(tables, level, share, width or tables.width, height or tables.height)


def _decodes_right() -> bool:
    """Whether a known picture comes out right; where it did once it is not tried again."""
    global _tried
    if not _tried:
        values = np.array([0.25, 0.75], np.float32)
        found = _decoded(constant(values, Layout(4, 1, (False, False), 1, 3)), 0.0, 0.5, 8, 8)
        _tried = bool(np.allclose(found, values[:, None, None], atol=1e-3))
    return _tried


_tried = False


def _decoded(tables: Tables, level: float, share: float, width: int, height: int) -> np.ndarray:
    """(C, height, width): the planes with this share of the texels."""
    count = tables.layout.plane_count
    bands = -(-count // 4)
    rows = max(1, min(height, MOST_TEXELS // (width * bands), MOST_ROWS // bands))
    shader: Any = _shader(tables.layout)
    shader.bind()
    inputs = {name: _texture(texels) for name, texels in _sources(tables).items()}
    for name, texture in inputs.items():
        shader.uniform_sampler(name, texture)
    picture = _gpu.types.GPUTexture((width, rows * bands), format="RGBA32F")
    shader.image("picture", picture)
    shader.uniform_int("size", (width, height))
    shader.uniform_int("stack_size", (tables.width, tables.height))
    shader.uniform_int("rows", rows)
    shader.uniform_float("level", level)
    shader.uniform_float("share", share)
    out = np.empty((count, height, width), np.float32)
    for top in range(0, height, rows):
        shader.uniform_int("top", top)
        _gpu.compute.dispatch(shader, -(-width // GROUP), -(-rows // GROUP), 1)
        found = np.asarray(picture.read()).reshape(bands, rows, width, 4)[:, : height - top]
        for plane in range(count):
            out[plane, top : top + rows] = found[plane // 4, ..., plane % 4]
    return out


def _sources(tables: Tables) -> dict[str, np.ndarray]:
    """The tables as the shader names them; sheets one below the other."""
    arrays = tables.arrays()
    ranges = [
        (low, high - low, *_first(n)) for (low, high), n in zip(tables.ranges, tables.layout.channels, strict=True)
    ]
    return {name: _unit(arrays[name]) for name in ("means", "conics", "blocks", "cells", "levels")} | {
        "features": np.concatenate([_unit(sheet) for sheet in tables.features]),
        "ranges": np.array(ranges, np.float32)[None],
        "texels": np.concatenate([_unit(sheet) for sheet in tables.tail.sheets]),
    }


def _first(numbers: tuple[int, ...]) -> tuple[int, bool]:
    return numbers[0], len(numbers) == 2


def _unit(texels: np.ndarray) -> np.ndarray:
    return texels.astype(np.float32) / np.float32(255) if texels.dtype == np.uint8 else texels


def _texture(texels: np.ndarray) -> gpu.types.GPUTexture:
    flat = np.ascontiguousarray(texels, np.float32).ravel()
    size = texels.shape[1], texels.shape[0]
    return _gpu.types.GPUTexture(size, format="RGBA32F", data=_gpu.types.Buffer("FLOAT", len(flat), flat))


_SAMPLERS = ("means", "conics", "features", "ranges", "blocks", "cells", "levels", "texels")


@lru_cache(maxsize=8)
def _shader(layout: Layout) -> gpu.types.GPUShader:
    """The compute shader for tables of one layout."""
    info = gpu.types.GPUShaderCreateInfo()
    constants = {
        "PLANES": layout.plane_count,
        "SHEETS": layout.level_sheets,
        "CHANNELS": layout.channel_count,
        "FEATURES": layout.feature_sheets,
        "PER_TEXEL": layout.per_texel,
        "CANDIDATES": layout.candidates,
        "TOPK": layout.topk,
        "FIRST": layout.first,
        "LAST": layout.last,
        "CUTOFF": CUTOFF,
        "EPS": EPS,
        "HOLES": float(layout.holes),
        "COVERED": COVERED,
        "HIGH_BYTE": float(HIGH_BYTE),
        "LOW_BYTE": float(BYTE),
        "TWO_BYTES": float(TWO_BYTES),
    }
    for name, value in constants.items():
        info.define(name, str(value))
    for slot, name in enumerate(_SAMPLERS):
        info.sampler(slot, "FLOAT_2D", name)
    info.image(0, "RGBA32F", "FLOAT_2D", "picture", qualifiers={"WRITE"})
    for kind, names in (("IVEC2", ("size", "stack_size")), ("INT", ("rows", "top")), ("FLOAT", ("level", "share"))):
        for name in names:
            info.push_constant(kind, name)
    info.local_group_size(GROUP, GROUP)
    info.compute_source((Path(__file__).parent / "imagegs.glsl").read_text(encoding="utf-8"))
    return gpu.shader.create_from_info(info)
