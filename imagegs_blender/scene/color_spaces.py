"""The color spaces of Blender's standard configuration: which are kept as they are, and why others are not."""

from __future__ import annotations

from typing import Any

import bpy

from ..blend import border
from ..core.textures.texture_stack import ColorSpace

_KEPT = {
    border.SPACES[ColorSpace.SRGB]: ColorSpace.SRGB,
    border.SPACES[ColorSpace.LINEAR]: ColorSpace.LINEAR,
    "scene_linear": ColorSpace.LINEAR,  # Linear Rec.709, where that is the working space: see obstacle()
}

_WORKING = border.SPACES[ColorSpace.LINEAR]
"""The space that shaders work in unless a file says otherwise, which Blender 5 lets it."""

_FROM_DISPLAYS = ("AgX Base", "Filmic", "Khronos PBR Neutral", "ACES 1.3", "ACES 2.0")
"""Beginnings of the names of spaces that undo a view transform."""

_CAMERA_LOG = ("Log", "ACEScc", "ADX", "BMDFilm", "DaVinci Intermediate")
"""Words in the names of the spaces of cameras and film scanners."""


def kept(image: bpy.types.Image) -> ColorSpace:
    """How the colors of an image without obstacle() are coded."""
    settings = border.color_space(image)
    return ColorSpace.RAW if settings.is_data else _KEPT.get(settings.name, ColorSpace.LINEAR)


def is_converted(image: bpy.types.Image) -> bool:
    """Whether Blender's pixels differ from those of the file: it holds floats in its own linear space."""
    settings = border.color_space(image)
    return not settings.is_data and settings.name not in _KEPT


def obstacle(image: bpy.types.Image) -> str | None:
    """Why the colors of an image can't be kept right, and what to do; None where they can.

    A float image of any space is taken as Blender holds it, scene-linear. Bytes are as they are in the file, and a
    decoder converts from sRGB alone.
    """
    settings = border.color_space(image)
    if settings.is_data:
        return None  # Non-Color, and what other configurations call it
    working = _working_space()
    if working != _WORKING:
        return (
            f"this file works in {working}, for which decoders don't convert colors; "
            f"choose {_WORKING} as Working Space in Render Properties > Color Management"
        )
    if settings.name in _KEPT or (image.is_float and image.source != "TILED"):
        return None
    return f"color space {settings.name}: {_advice(settings.name)}"


def _advice(name: str) -> str:
    if name.startswith(_FROM_DISPLAYS):
        return "it undoes a view transform, which decoders don't; save the image as sRGB, or as a float EXR"
    if any(word in name for word in _CAMERA_LOG):
        return "a space of cameras and film, which decoders don't convert from; save the image as a float EXR"
    if name.startswith("Linear") or name in ("ACEScg", "ACES2065-1"):
        return "its primaries are not those of sRGB; save the image in Linear Rec.709, or as a float EXR"
    return "decoders convert from sRGB only; save the image as sRGB, or as a float EXR"


def _working_space() -> str:
    """The linear space of the open file."""
    data: Any = bpy.data
    return data.colorspace.working_space if hasattr(data, "colorspace") else _WORKING
