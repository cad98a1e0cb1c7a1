"""TextureStack: named maps as float planes, and what each map means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np


class Role(StrEnum):
    """What a map holds. NORMAL maps are tangent-space, 0.5 = 0; ALPHA is coverage; DATA is everything else."""

    COLOR = "color"
    NORMAL = "normal"
    DATA = "data"
    ALPHA = "alpha"


class ColorSpace(StrEnum):
    """How the numbers of a map are meant: sRGB-encoded, scene-linear, or raw data (Blender's Non-Color)."""

    SRGB = "srgb"
    LINEAR = "linear"
    RAW = "raw"


class Depth(StrEnum):
    """Sample type of the original file. Integer types map 0..max to 0..1."""

    U8 = "u8"
    U16 = "u16"
    F16 = "f16"
    F32 = "f32"


@dataclass(frozen=True)
class SourceMap:
    """One map as it was read, before it joins a stack.

    name        unique in the stack; the file's stem or the image's name
    channels    letters of the last axis, in order: a subset of "RGBA", or "L", or "LA"
    pixels      (height, width, len(channels)) uint8, uint16 or float32; row 0 is the top
    """

    name: str
    role: Role
    color_space: ColorSpace
    depth: Depth
    channels: str
    pixels: np.ndarray


@dataclass(frozen=True)
class Channel:
    """Where one channel of a map comes from when it is decoded: value = low + (high - low) * x, with x

    kind "plane"     the decoded plane `plane`, 0..1
    kind "constant"  0 (so the value is `low` everywhere: nothing is stored for it)
    kind "normal_z"  rebuilt: x = 0.5 + 0.5 sqrt(max(0, 1 - X^2 - Y^2)), with X = 2 p - 1 of plane `plane` and Y = 2 p - 1
                     of plane `plane_y`
    """

    kind: str
    plane: int = 0
    plane_y: int = 0
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True)
class MapInfo:
    """What is known of a map without its pixels: enough to decode it and to write it back in its own format.

    channels    letters, as in SourceMap; sources has one Channel for each
    width, height   size of the original, texels; decoded planes are resampled to it
    """

    name: str
    role: Role
    color_space: ColorSpace
    depth: Depth
    channels: str
    width: int
    height: int
    sources: tuple[Channel, ...]


@dataclass(frozen=True)
class TextureStack:
    """Maps that share one texture space, as planes for the fit.

    planes   (C, height, width) float32, 0..1; only the planes that have to be stored (no constants, no duplicates,
             no normal Z that X and Y determine)
    wrap     the texture repeats
    weights  (height, width) float32 >= 0 or None: how much each texel counts
    """

    maps: tuple[MapInfo, ...]
    planes: np.ndarray
    wrap: bool = False
    weights: np.ndarray | None = None

    @property
    def width(self) -> int:
        return self.planes.shape[2]

    @property
    def height(self) -> int:
        return self.planes.shape[1]

    @property
    def channel_count(self) -> int:
        """Channels of all original maps together: what bits per pixel per channel (bppc) is counted over."""
        return sum(len(m.channels) for m in self.maps)


def build(maps: Sequence[SourceMap], wrap: bool = False, weights: np.ndarray | None = None) -> TextureStack:
    """Join maps into one stack at the size of the largest."""
    raise NotImplementedError


def images(planes: np.ndarray, maps: Sequence[MapInfo]) -> dict[str, np.ndarray]:
    """Decoded planes (C, H, W) float32 -> each map's pixels in its own size, dtype and channel order."""
    raise NotImplementedError
