"""Samples that tests of several rooms share: a picture to fit, random Gaussians, and one small stack with its maps.

MAPS describe a stack of every kind of map and channel; stack() makes Gaussians for it, expected() says which pixels a
decoder of it renders, and check() compares.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from imagegs_blender.core.decoding import decode, lod, node_tables, reached
from imagegs_blender.core.decoding.node_tables import NodeTables
from imagegs_blender.core.decoding.tables import Tables
from imagegs_blender.core.devices import reference
from imagegs_blender.core.gaussians import Gaussians
from imagegs_blender.core.textures import texture_stack
from imagegs_blender.core.textures.texture_stack import (
    Channel,
    ColorSpace,
    Depth,
    MapInfo,
    Role,
    SourceMap,
    TextureStack,
    normal_z,
)
from tests.core.decoding import lookup_nodes
from tests.core.decoding.lookup import lookup

WIDTH, HEIGHT = 160, 128
"""Of the stack that MAPS describe, texels."""

JITTER = (-0.005, 0.0, 0.005)
"""Texels: Cycles samples somewhere in the middle hundredth of a pixel, however narrow its filter."""


QUICK = ["--preset", "fast", "--num-gaussians", "120", "--max-steps", "30"]
"""Options of a fit that takes a second."""


def picture(side: int) -> np.ndarray:
    """(side, side, 3) uint8: shading, a sharp disc and a thin line."""
    y, x = np.mgrid[0:side, 0:side] / side
    shade = np.stack([x, 0.5 + 0.5 * np.sin(3 * x + 4 * y), 1 - y], 2)
    shade[(x - 0.6) ** 2 + (y - 0.4) ** 2 < 0.05] = [0.9, 0.2, 0.1]
    shade[np.abs(x - 0.3 * y - 0.2) < 0.015] = 0
    return (shade * 255).astype(np.uint8)


def color(pixels: np.ndarray, name: str = "color") -> SourceMap:
    """A color map of pixels (h, w, 3) uint8."""
    return SourceMap(name, Role.COLOR, ColorSpace.SRGB, Depth.U8, "RGB", pixels)


def picture_stack(side: int = 64) -> TextureStack:
    """The picture as a stack."""
    return texture_stack.build([color(picture(side))])


def shown(gaussians: Gaussians) -> np.ndarray:
    """(h, w, 3) uint8: Gaussians of three planes, decoded."""
    return np.rint(np.clip(np.moveaxis(decode.planes(gaussians), 0, 2), 0, 1) * 255).astype(np.uint8)


def gaussians(
    mean: np.ndarray,
    scale: np.ndarray,
    rotation: np.ndarray,
    feature: np.ndarray,
    bias: np.ndarray,
    width: int,
    height: int,
    wrap: bool = True,
    topk: int = 4,
) -> Gaussians:
    """Gaussians of arrays of any number type."""
    arrays = (mean, scale, rotation, feature, bias)
    return Gaussians(*(a.astype(np.float32) for a in arrays), width, height, wrap, topk)


def scattered(
    count: int, width: int, height: int, planes: int, wrap: bool = True, topk: int = 4, seed: int = 0
) -> Gaussians:
    """Random Gaussians at the density and overlap of a fit, half of them crowded, none reaching half the texture."""
    rng = np.random.default_rng(seed)
    mean = rng.random((count, 2))
    mean[::2] = (0.5 + 0.15 * rng.standard_normal((len(mean[::2]), 2))) % 1
    size = 0.78 * np.sqrt(width * height / (np.pi * count))
    scale = np.minimum(size * np.exp(0.5 * rng.standard_normal((count, 2))), 0.09 * min(width, height))
    bias = 0.3 * rng.standard_normal(count)
    rotation = rng.uniform(-np.pi, np.pi, count)
    return gaussians(mean, scale, rotation, rng.random((count, planes)), bias, width, height, wrap, topk)


def smooth(width: int, height: int, wrap: bool = True, planes: int = 6) -> Gaussians:
    """Random Gaussians of about 4 texels, one to 60 texels."""
    rng = np.random.default_rng(1)
    count = max(8, width * height // 60)
    scale = np.minimum(4.0 * np.exp(0.3 * rng.standard_normal((count, 2))), 10)
    mean, rotation = rng.random((count, 2)), rng.uniform(0, np.pi, count)
    return gaussians(mean, scale, rotation, rng.random((count, planes)), np.zeros(count), width, height, wrap)


def uneven(count: int, planes: int, seed: int = 0) -> Gaussians:
    """Random Gaussians of every size and turn, some beyond 0..1 or half a turn: all that a file must hold."""
    rng = np.random.default_rng(seed)
    mean, scale = rng.random((count, 2)), np.exp(rng.normal(1, 0.6, (count, 2)))
    rotation, feature = rng.uniform(-7, 7, count), rng.normal(0.5, 0.3, (count, planes))
    return gaussians(mean, scale, rotation, feature, rng.normal(0, 0.3, count), 640, 480)


def stack(topk: int, wrap: bool) -> Gaussians:
    """Gaussians of MAPS with features that vary over the texture as a fit's do."""
    rng = np.random.default_rng(topk)
    count = 600
    mean = rng.random((count, 2))
    scale = np.minimum(4.6 * np.exp(0.4 * rng.standard_normal((count, 2))), 12)
    waves = 2 * np.pi * (mean @ rng.integers(-3, 4, (2, 7)) + rng.random(7))
    feature = 0.5 + 0.35 * np.sin(waves) + 0.05 * rng.standard_normal((count, 7))
    feature[:, 4:6] = 0.5 + 0.6 * (feature[:, 4:6] - 0.5)
    rotation = rng.uniform(0, np.pi, count)
    return gaussians(mean, scale, rotation, feature, 0.2 * rng.standard_normal(count), WIDTH, HEIGHT, wrap, topk)


def info(name: str, role: Role, space: ColorSpace, depth: Depth, channels: str, *sources: Channel | int) -> MapInfo:
    """A map of the size of the stack; a number stands for the plane of that number."""
    full = tuple(Channel("plane", source) if isinstance(source, int) else source for source in sources)
    return MapInfo(name, role, space, depth, channels, WIDTH, HEIGHT, full)


def constant(value: float) -> Channel:
    return Channel("constant", low=value, high=value)


MAPS = (
    info("color", Role.COLOR, ColorSpace.SRGB, Depth.U8, "RGBA", 0, 1, 2, 3),
    info("normal", Role.NORMAL, ColorSpace.RAW, Depth.U16, "RGB", 4, 5, Channel("normal_z", 4, 5)),
    info("height", Role.DATA, ColorSpace.RAW, Depth.F32, "L", Channel("plane", 6, low=-0.25, high=0.5)),
    info("flat", Role.DATA, ColorSpace.LINEAR, Depth.U8, "RGBA", constant(0.25), 6, constant(1.0), constant(0.5)),
)


def expected(planes: np.ndarray) -> dict[str, np.ndarray]:
    """Planes (7, H, W) of MAPS -> output -> (H, W, 3), the color still sRGB-encoded."""
    p = np.clip(planes, 0, 1)
    one = np.ones_like(p[0])
    return {
        "color": np.stack([p[0], p[1], p[2]], 2),
        "color Alpha": np.stack([p[3]] * 3, 2),
        "normal": np.stack([p[4], p[5], normal_z(p[4], p[5])], 2),
        "height": np.stack([np.maximum(0.75 * p[6] - 0.25, 0)] * 3, 2),  # an emission can't be negative
        "flat": np.stack([0.25 * one, p[6], one], 2),
        "flat Alpha": np.stack([0.5 * one] * 3, 2),
    }


def encoded(rendered: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Undo what a decoder does with an sRGB map."""
    x = rendered["color"].astype(np.float64)
    srgb = np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 1e-9) ** (1 / 2.4) - 0.055)
    return {name: np.maximum(pixels, 0) for name, pixels in {**rendered, "color": srgb}.items()}


def centers(width: int, height: int, dx: float = 0.0, dy: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Texture coordinates x, y (height, width) of all texel centers, moved by (dx, dy) texels."""
    x, y = np.meshgrid((np.arange(width) + 0.5 + dx) / width, (np.arange(height) + 0.5 + dy) / height)
    return x, y


def check(
    rendered: dict[str, np.ndarray], gaussians: Gaussians, built: Tables | NodeTables, level: float = 0.0
) -> None:
    """Within 1/255 for 99.9 % of the texels, and 2/255 everywhere of any point in reach of Cycles' jitter.

    Of the definition; nodes of what their own tables give, for which tests/core/decoding/test_node_tables.py stands.
    """
    if isinstance(built, NodeTables):
        truth = expected(points(built, level, *centers(WIDTH, HEIGHT)))
    else:
        truth = expected(lod.planes(gaussians, built.tail, level) if level else reference.render(gaussians))
    near = [expected(points(built, level, *centers(WIDTH, HEIGHT, *d))) for d in product(JITTER, JITTER)]
    assert set(rendered) == set(truth)
    for name, pixels in encoded(rendered).items():
        off = 255 * np.abs(pixels - truth[name]).max(2)
        assert (off <= 1).mean() >= 0.999, f"{name}: {off.max()}"
        worst = 255 * np.min([np.abs(pixels - other[name]).max(2) for other in near], axis=0)
        assert worst.max() <= 2, f"{name}: {np.argwhere(worst > 2)}"


def nodes_show(gaussians: Gaussians, level: float = 0.0, maps: tuple[MapInfo, ...] = MAPS) -> np.ndarray:
    """(C, H, W): what nodes give at every texel center."""
    return points(node_tables.build(gaussians, maps), level, *centers(gaussians.width, gaussians.height))


def shown_by(kind: str, gaussians: Gaussians, level: float = 0.0) -> np.ndarray:
    """(C, H, W): what decoders of a kind give of MAPS at every texel center."""
    tail = lod.build(gaussians, MAPS)
    return nodes_show(gaussians, level) if kind == "NODES" else lod.planes(gaussians, tail, level)


def points(built: Tables | NodeTables, level: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(C, ...): the planes that tables give at points."""
    share = lod.share(level, built.tail.first)
    looked_up = lookup_nodes.lookup(built, x, y) if isinstance(built, NodeTables) else lookup(built, x, y)
    fine = np.clip(np.moveaxis(looked_up, -1, 0), 0, 1)
    if isinstance(built, NodeTables) and built.layout.holes:
        hole = np.maximum(0, 1 - lookup_nodes.covered(built, x, y) / reached.COVERED)
        fine = fine + hole * lod.texels(built.tail, level, x, y)
    return (1 - share) * fine + share * lod.texels(built.tail, level, x, y) if share else fine
