"""UDIM in a decoder: from texture coordinates to the place of their tile (core/textures/udim.py), and the color where is none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...core.textures.srgb import to_linear
from ...core.textures.texture_stack import Channel, ColorSpace, MapInfo, normal_z
from ...core.textures.udim import Tiles
from .graph import Value


def place(uv: Value, tiles: Tiles) -> tuple[Value, Value]:
    """Texture coordinates 0..1 of the picture of all tiles, y down; and 1 inside of a tile, 0 where there is none."""
    graph = uv.graph
    across, up, _ = uv.floor().lanes
    row_has_it = graph.math("COMPARE", across, 4.5, 4.6)
    number = up.times_plus(10.0, across)
    width, height = tiles.size
    inside: Value | None = None
    corner: Value | None = None
    for tile in tiles.numbers:
        here = graph.math("COMPARE", number, float(tile - 1001), 0.25)
        x, y = tiles.origin(tile)
        spot = (x / width, (y + tiles.height) / height, 0)
        corner = here * spot if corner is None else here.times_plus(spot, corner)
        inside = here if inside is None else inside + here
    assert corner is not None and inside is not None
    return uv.fraction().times_plus((tiles.width / width, -tiles.height / height, 0), corner), inside * row_has_it


def stretched(uv: Value, tiles: Tiles) -> Value:
    """The coordinates of place() but for jumps: how fast they change from pixel to pixel."""
    width, height = tiles.size
    return uv * (tiles.width / width, -tiles.height / height, 0)


def outside(maps: Sequence[MapInfo], average: np.ndarray) -> dict[str, tuple[float, float, float]]:
    """What a decoder gives for each output where there is no tile: the average (C,) of the planes."""
    colors = {}
    for info in maps:
        letters = dict(zip(info.channels, info.sources, strict=True))
        values = {letter: _value(channel, average) for letter, channel in letters.items()}
        rgb = np.array([values.get(letter, values.get("L", 0.0)) for letter in "RGB"])
        if info.color_space is ColorSpace.SRGB:
            rgb = to_linear(rgb)
        colors[info.name] = (float(rgb[0]), float(rgb[1]), float(rgb[2]))
        if "A" in values:
            colors[f"{info.name} Alpha"] = (values["A"],) * 3
    return colors


def _value(channel: Channel, average: np.ndarray) -> float:
    if channel.kind == "constant":
        return channel.low
    unit = average[channel.plane]
    if channel.kind == "normal_z":
        unit = normal_z(unit, average[channel.plane_y])
    return float(channel.low + (channel.high - channel.low) * unit)
