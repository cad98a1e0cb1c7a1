"""Sheets: tables of four channels that hold the planes of a stack, as many as it takes.

An image of Blender has RGB and an alpha, and nodes read RGB as one vector. So the first channels fill the RGB of all
sheets, three to each, and only those that are left over go into the alphas.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..textures.texture_stack import Depth, MapInfo

ALPHA = 3
"""The fourth channel of a sheet."""


def sheet_count(channels: int) -> int:
    """How many sheets hold that many channels."""
    return -(-channels // 4)


def locate(channel: int, channels: int) -> tuple[int, int]:
    """(sheet, its channel 0..3) where one of so many channels is: three to the RGB of each sheet, the rest in the alphas."""
    left_over = channel - 3 * sheet_count(channels)
    return (channel // 3, channel % 3) if left_over < 0 else (left_over, ALPHA)


def deep_planes(maps: Sequence[MapInfo]) -> set[int]:
    """The planes that belong to maps of more than 8 bits: a byte is too coarse for them."""
    sources = [source for m in maps if m.depth is not Depth.U8 for source in m.sources]
    return {s.plane for s in sources if s.kind != "constant"} | {s.plane_y for s in sources if s.kind == "normal_z"}
