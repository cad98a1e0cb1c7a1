"""Places: where the features of a Gaussian are in the float texels that nodes read.

A lane of a texel, a float of 24 bits, holds one plane as it is, or two of 12 bits each:

    lane = n + part,  n a whole number of -2048..2047,  0 <= part < 1

The lane itself stands for the first plane, so n is chosen with the part in mind, and costs no node. Its fractional part
stands for the second. Both survive the weighted sum of lanes and of their parts. Planes that need more bits stand alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .sheets import ALPHA

SPARE = -1
"""The sheet that stands for the free lane of a Gaussian's conic."""

WHOLE, PARTS = 2048, 4096
"""n is from -WHOLE up to WHOLE - 1; a part is a multiple of 1 / PARTS."""


class Place(NamedTuple):
    """A lane, 0..3, of a sheet (or SPARE); part: its fractional part."""

    sheet: int
    lane: int
    part: bool


class Scale(NamedTuple):
    """What lanes stand for: a plane is step * lane, or low + span * part."""

    step: float
    low: float
    span: float


def places(deep: Sequence[bool]) -> tuple[list[Place], int]:
    """The place of every plane, and how many sheets there are; deep: planes that share no lane."""
    sheets = 0
    while True:
        found = _placed(deep, sheets)
        if len(found) == len(deep):
            return found, sheets
        sheets += 1


def _placed(deep: Sequence[bool], sheets: int) -> list[Place]:
    """The places of the first planes, as many as fit: RGB lanes come first, three planes at a time."""
    slots = [
        Place(sheet, lane, part)
        for sheet in range(sheets)
        for lanes in ((0, 1, 2), (ALPHA,))
        for part in (False, True)
        for lane in lanes
    ]
    found: list[Place] = []
    alone = set()
    for slot in [*slots, Place(SPARE, ALPHA, False)]:
        if len(found) == len(deep):
            break
        if slot.part and (deep[len(found)] or (slot.sheet, slot.lane) in alone):
            continue
        if deep[len(found)]:
            alone.add((slot.sheet, slot.lane))
        found.append(slot)
    return found


def pack(feature: np.ndarray, deep: Sequence[bool]) -> tuple[list[np.ndarray], np.ndarray, Scale]:
    """Features (N, C) as sheets (N, 4) float32, the spare lane (N,) float32, and what lanes stand for."""
    found, sheets = places(deep)
    values = feature.astype(np.float64)
    first = [i for i, place in enumerate(found) if not place.part]
    second = [i for i, place in enumerate(found) if place.part]
    step = max(float(np.abs(values[:, first]).max(initial=0.0)), 1e-6) / (WHOLE - 1)
    low = float(values[:, second].min(initial=0.0))
    span = max(float(values[:, second].max(initial=0.0)) - low, 1e-6)
    lanes = np.zeros((sheets + 1, len(values), 4))  # the last is SPARE
    for i in second:
        lanes[found[i].sheet, :, found[i].lane] = np.rint((values[:, i] - low) / span * (PARTS - 1)) / PARTS
    shared = {(found[i].sheet, found[i].lane) for i in second}
    for i in first:
        sheet, lane = found[i].sheet, found[i].lane
        whole = values[:, i] / step
        if (sheet, lane) in shared:
            whole = np.clip(np.rint(whole - lanes[sheet, :, lane]), -WHOLE, WHOLE - 1)
        lanes[sheet, :, lane] += whole
    texels = lanes.astype(np.float32)
    return list(texels[:sheets]), texels[SPARE, :, ALPHA], Scale(step, low, span * PARTS / (PARTS - 1))


def unpack(sheets: Sequence[np.ndarray], spare: np.ndarray, deep: Sequence[bool], scale: Scale) -> np.ndarray:
    """(N, C) float32: the features that pack() wrote."""
    planes = []
    for place in places(deep)[0]:
        lane = spare if place.sheet == SPARE else sheets[place.sheet][:, place.lane]
        planes.append(scale.low + scale.span * (lane - np.floor(lane)) if place.part else scale.step * lane)
    return np.stack(planes, axis=1).astype(np.float32)
