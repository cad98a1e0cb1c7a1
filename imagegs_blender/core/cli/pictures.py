"""Pictures of a fit for people: Gaussians as ellipses and by number, new ones, the error, an importance map. (h, w, 3) uint8."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from ..decoding import decode
from ..decoding.ellipses import outlines
from ..gaussians import Gaussians
from ..textures import texture_stack
from ..textures.texture_stack import Channel, Depth, MapInfo
from ..textures.viewable import rgb

LARGEST_PICTURE = 2048
"""Longer side, texels, of pictures of Gaussians; larger ones are drawn smaller."""

REACH = 2.0
"""Semi-axes of an ellipse in standard deviations."""

LARGEST_ERROR = 0.25
"""Mean absolute error that is shown white."""

_POINTS = 24
"""Corners of the polygon that an ellipse is drawn as."""

_OLD, _NEW = (239, 71, 111, 200), (6, 214, 160, 230)
"""Red and green, RGBA: dots on Gaussians."""

_HEAT = np.array([[0, 0, 0], [90, 15, 110], [215, 60, 55], [250, 175, 45], [255, 255, 255]], np.float32)
"""Colors of values from 0 to 1, evenly apart: black, violet, red, orange, white."""


def rendered(planes: np.ndarray, m: MapInfo, wrap: bool = False) -> np.ndarray:
    """A map of decoded planes (C, H, W), as 8 bits of its own range; alpha is left out."""
    sources = tuple(
        Channel("constant", low=float(np.clip(s.low, 0, 1)), high=1.0) if s.kind == "constant" else replace(s, low=0.0, high=1.0)
        for s in m.sources
    )  # fmt: skip
    pixels = texture_stack.images(planes, [replace(m, depth=Depth.U8, sources=sources)], wrap)[m.name]
    return rgb(pixels)


def ellipses(gaussians: Gaussians, m: MapInfo) -> np.ndarray:
    """Every Gaussian as a disc in its color in map m, the largest at the bottom."""
    width, height = _canvas(gaussians)
    image = Image.new("RGB", (width, height), (255, 255, 255))
    draw = ImageDraw.Draw(image, "RGBA")
    values = np.clip(gaussians.feature.T[:, None, :], 0, 1) ** np.float32(1 / gaussians.gamma)
    color = rendered(values, replace(m, width=len(gaussians), height=1))[0]
    rims = outlines(gaussians, REACH, _POINTS) * [width, height]
    for i in np.argsort(-gaussians.scale.prod(1), kind="stable"):
        draw.polygon([tuple(point) for point in rims[i]], fill=(*color[i].tolist(), 205))
    return np.asarray(image)


def added(picture: np.ndarray, gaussians: Gaussians, first: int) -> np.ndarray:
    """The picture with a dot on every Gaussian: red where it was there, green from `first` on."""
    width, height = _canvas(gaussians)
    image = Image.fromarray(picture).resize((width, height))
    draw = ImageDraw.Draw(image, "RGBA")
    radius = max(1.0, min(width, height) / 200)
    for i, (x, y) in enumerate(gaussians.mean * [width, height]):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_NEW if i >= first else _OLD)
    return np.asarray(image)


def numbered(gaussians: Gaussians) -> np.ndarray:
    """The decoded picture with a color of its own for each Gaussian, the same in every picture of a fit."""
    colors = np.random.default_rng(0).random((len(gaussians), 3), np.float32)
    planes = decode.planes(replace(gaussians, feature=colors, gamma=1.0))
    return np.rint(np.clip(np.moveaxis(planes, 0, 2), 0, 1) * 255).astype(np.uint8)


def error(planes: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Mean absolute difference of planes (C, H, W), from black over red to white at LARGEST_ERROR."""
    return heat(np.abs(planes - target).mean(0) / LARGEST_ERROR)


def heat(values: np.ndarray) -> np.ndarray:
    """values (H, W), 0..1, as colors."""
    at = np.clip(values, 0, 1) * (len(_HEAT) - 1)
    low = np.minimum(at.astype(int), len(_HEAT) - 2)
    part = (at - low)[..., None]
    return np.rint(_HEAT[low] * (1 - part) + _HEAT[low + 1] * part).astype(np.uint8)


def gray(values: np.ndarray) -> np.ndarray:
    """values (H, W) >= 0, the largest white."""
    scaled = np.rint(values / max(float(values.max()), 1e-12) * 255).astype(np.uint8)
    return np.repeat(scaled[..., None], 3, 2)


def _canvas(gaussians: Gaussians) -> tuple[int, int]:
    """Width and height to draw in: the fitted resolution, or smaller."""
    zoom = min(1.0, LARGEST_PICTURE / max(gaussians.width, gaussians.height))
    return max(1, round(gaussians.width * zoom)), max(1, round(gaussians.height * zoom))
