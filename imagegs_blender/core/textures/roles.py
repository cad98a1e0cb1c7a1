"""The role of a map, guessed from the name of its file in the usual conventions, and from its pixels."""

from __future__ import annotations

import re

import numpy as np

from .texture_stack import ColorSpace, Depth, Role

_SURE = {
    Role.COLOR: "basecolor basecolour albedo diffuse emission emissive",
    Role.NORMAL: "normal normals nrm nrml",
    Role.DATA: "roughness metallic metalness metallicroughness roughnessmetallic occlusion displacement orm glossiness",
    Role.ALPHA: "opacity",
}
"""Words that tell the role of a map wherever they stand in its name."""

_LAST = {
    Role.COLOR: "color colour col diff dif emit glow",
    Role.NORMAL: "nor norm nm nml n",
    Role.DATA: "rough metal met ao arm rma mra height disp bump mask gloss spec specular cavity curvature thickness id",
    Role.ALPHA: "alpha transparency cutout",
}
"""Words that do so only at the end of the name: elsewhere they are plain English ("metal_grate", "mask_of_gold")."""

_NOISE = set("gl dx ogl opengl directx map tex texture k px bit png jpg jpeg exr tif tiff srgb raw linear".split())
"""Words that may follow the one that counts, as numbers may: "nor_gl_1k", "NormalMap", "rough_2k"."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def guess(name: str, channels: str, depth: Depth, pixels: np.ndarray) -> tuple[Role, ColorSpace]:
    """Role and color space of the map called `name`; channels, depth and pixels as in SourceMap.

    Whole words count, split at punctuation, digits and camelCase. A map is taken for NORMAL only when its texels
    look like normals, too. A name that says nothing is color, unless the file is a single channel of more than 8 bits.
    """
    candidates = [role for role in _named(name) if role is not Role.NORMAL or _looks_like_normals(pixels)]
    unknown = Role.DATA if len(channels) == 1 and depth is not Depth.U8 else Role.COLOR
    role = candidates[0] if candidates else unknown
    if role is not Role.COLOR:
        return role, ColorSpace.RAW
    return role, ColorSpace.SRGB if depth in (Depth.U8, Depth.U16) else ColorSpace.LINEAR


def _named(name: str) -> list[Role]:
    """The roles that the words of a name stand for, the most telling first."""
    words = [w.lower() for w in _WORDS.findall(name)]
    telling = [w for w in words if w not in _NOISE and not w.isdigit()]
    last = [role for role, known in _LAST.items() if telling[-1:] and telling[-1] in known.split()]
    sure = [role for word in reversed(telling) for role, known in _SURE.items() if word in known.split()]
    return last + sure


def _looks_like_normals(pixels: np.ndarray) -> bool:
    """Three channels, mean direction near (0, 0, 1), nearly all vectors of about unit length."""
    if pixels.shape[2] < 3:
        return False
    step = max(1, max(pixels.shape[:2]) // 512)
    sample = pixels[::step, ::step, :3].astype(np.float32)
    if np.issubdtype(pixels.dtype, np.integer):
        sample /= np.iinfo(pixels.dtype).max
    normal = 2 * sample - 1
    x, y, z = normal.mean(axis=(0, 1))
    unit = np.abs(np.linalg.norm(normal, axis=2) - 1) < 0.25
    return bool(abs(x) < 0.25 and abs(y) < 0.25 and z > 0.5 and unit.mean() > 0.9)
