"""TextureStack: named maps as float planes, and the meaning of each map."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ..errors import ImageGSError
from ..gaussians import MAX_PLANES
from .resample import fill, resize

LARGEST_SIDE = 16384
"""Largest width and height of a map, texels."""

OVERALL = "overall"
"""The name that reports give to all maps of a stack together: no map may have it."""

NORMAL_Z_ERROR = 2.5 / 255
"""The Z of a normal map is dropped where the one rebuilt from X and Y differs by no more than this (RMS)."""


class Role(StrEnum):
    """The content of a map. NORMAL maps are tangent-space, 0.5 = 0; ALPHA is coverage; DATA is everything else."""

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
    kind "normal_z"  rebuilt: x = 0.5 + 0.5 sqrt(max(0, 1 - X^2 - Y^2)), with X = 2 p - 1 of plane `plane` and
                     Y = 2 p - 1 of plane `plane_y`
    """

    kind: str
    plane: int = 0
    plane_y: int = 0
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True)
class MapInfo:
    """A map without its pixels: enough to decode it and to write it back in its own format.

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
    importance   (height, width) float32 0..1 or None: where the picture matters most, for settings.init_mode
    """

    maps: tuple[MapInfo, ...]
    planes: np.ndarray
    wrap: bool = False
    weights: np.ndarray | None = None
    importance: np.ndarray | None = None

    @property
    def width(self) -> int:
        """Texels across that all planes have."""
        return self.planes.shape[2]

    @property
    def height(self) -> int:
        """Texels down that all planes have."""
        return self.planes.shape[1]

    @property
    def texels(self) -> int:
        """Texels of the largest map: bits per pixel (bpp) are counted over them."""
        return texels(self.maps)

    @property
    def channel_count(self) -> int:
        """Channels of all original maps together: bits per pixel per channel (bppc) are counted over them."""
        return channel_count(self.maps)


def texels(maps: Iterable[MapInfo]) -> int:
    """Texels of the largest of the maps; 0 where there are none."""
    return max((m.width * m.height for m in maps), default=0)


def channel_count(maps: Iterable[MapInfo]) -> int:
    """Channels of all maps together."""
    return sum(len(m.channels) for m in maps)


def build(maps: Sequence[SourceMap], wrap: bool = False, weights: np.ndarray | None = None) -> TextureStack:
    """Join maps into one stack at the size of the largest (by texels).

    Smaller maps are resampled. Stored once or not at all: equal channels, constant channels, the Z of a normal map
    that X and Y determine (see NORMAL_Z_ERROR). Float maps are scaled to 0..1 by their own range. The color of fully
    transparent texels of integer color maps is replaced by a smooth continuation of its visible neighbors, so that
    no edge that nobody sees is stored; alpha stays straight.

    weights     (height, width) of the largest map, float >= 0
    Raises ImageGSError, naming the map, for anything that can't become a stack.
    """
    _check(maps)
    height, width = max((m.pixels.shape[:2] for m in maps), key=lambda size: size[0] * size[1])
    if weights is not None and (weights.shape != (height, width) or not weights.min() >= 0 or np.isinf(weights).any()):
        raise ImageGSError(f"weights: need {width} x {height} finite numbers >= 0")
    store = _Store(width, height, wrap)
    infos = tuple(_info(m, store) for m in maps)
    if len(store.planes) > MAX_PLANES:
        raise ImageGSError(f"{len(store.planes)} planes in {len(maps)} maps; a stack holds {MAX_PLANES}: split it")
    planes = np.stack(store.planes) if store.planes else np.full((1, height, width), 0.5, np.float32)
    return TextureStack(infos, planes, wrap, None if weights is None else weights.astype(np.float32))


def images(planes: np.ndarray, maps: Sequence[MapInfo], wrap: bool = False) -> dict[str, np.ndarray]:
    """Decoded planes (C, H, W) float32 -> each map's pixels in its own size, dtype and channel order.

    Inverse of build: only resampling loses anything. wrap: the texture repeats, so resampling does, too.
    Integers are rounded to nearest; everything is clipped to the range that the original had.
    """
    resized: dict[tuple[int, int, int], np.ndarray] = {}

    def plane(index: int, info: MapInfo) -> np.ndarray:
        key = (index, info.width, info.height)
        if key not in resized:
            resized[key] = resize(planes[index], info.width, info.height, wrap)
        return resized[key]

    decoded = {}
    for info in maps:
        pixels = np.empty((info.height, info.width, len(info.channels)), _DTYPE[info.depth])
        for letter, source in enumerate(info.sources):
            inputs = {"plane": [source.plane], "normal_z": [source.plane, source.plane_y], "constant": []}[source.kind]
            _decode(source, info.depth, [plane(index, info) for index in inputs], pixels[..., letter])
        decoded[info.name] = pixels
    return decoded


def normal_z(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Z of a unit normal from X and Y, all stored as 0..1 (0.5 is 0); 0.5 where X and Y leave nothing for it."""
    return 0.5 + 0.5 * np.sqrt(np.maximum(0, 1 - (2 * x - 1) ** 2 - (2 * y - 1) ** 2))


def value_range(values: np.ndarray) -> tuple[float, float]:
    """The values that 0 and 1 of a plane stand for in float samples.

    0 and 1 if all samples lie between, as in integer maps, else their extremes.
    """
    low, high = _f32(values.min()), _f32(values.max())
    return (0.0, 1.0) if 0 <= low and high <= 1 else (low, high)


class _Store:
    """The planes gathered so far, each distinct one once, at the size of the stack."""

    def __init__(self, width: int, height: int, wrap: bool) -> None:
        self.width, self.height, self.wrap = width, height, wrap
        self.planes: list[np.ndarray] = []
        self._index: dict[bytes, int] = {}

    def add(self, values: np.ndarray) -> int:
        """Index of the plane that holds values (h, w) float32 0..1."""
        plane = self._enlarge(values) if values.shape != (self.height, self.width) else values
        plane = np.ascontiguousarray(plane, np.float32)
        digest = hashlib.blake2b(plane.data, digest_size=16).digest()
        if digest not in self._index:
            self._index[digest] = len(self.planes)
            self.planes.append(plane)
        return self._index[digest]

    def _enlarge(self, values: np.ndarray) -> np.ndarray:
        """Resample so that resampling back (as a decoder does) comes close to values again."""
        large = resize(values, self.width, self.height, self.wrap)
        lost = values - resize(large, values.shape[1], values.shape[0], self.wrap)
        return np.clip(large + resize(lost, self.width, self.height, self.wrap), 0, 1)


def _check(maps: Sequence[SourceMap]) -> None:
    if not maps:
        raise ImageGSError("no maps: a texture stack needs at least one")
    names: set[str] = set()
    for m in maps:
        if m.name in names:
            raise ImageGSError(f"{m.name}: two maps have this name; rename one")
        if m.name == OVERALL:
            raise ImageGSError(
                f"{OVERALL}: a map can't have this name, reports use it for all maps together; rename it"
            )
        names.add(m.name)
        if m.pixels.ndim != 3 or m.pixels.shape[2] != len(m.channels) or m.pixels.dtype != _DTYPE[m.depth]:
            raise ImageGSError(f"{m.name}: {m.pixels.dtype} {m.pixels.shape} is not a {m.depth} {m.channels} image")
        height, width = m.pixels.shape[:2]
        if not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE):
            raise ImageGSError(f"{m.name}: {width} x {height}; a map has 1 to {LARGEST_SIDE} texels a side")
        with np.errstate(invalid="ignore", over="ignore"):
            if m.pixels.dtype == np.float32 and not np.isfinite(np.ptp(m.pixels)):
                raise ImageGSError(f"{m.name}: holds NaN, infinite or huge values; replace them with finite numbers")


def _info(m: SourceMap, store: _Store) -> MapInfo:
    height, width = m.pixels.shape[:2]
    return MapInfo(m.name, m.role, m.color_space, m.depth, m.channels, width, height, _sources(m, store))


def _sources(m: SourceMap, store: _Store) -> tuple[Channel, ...]:
    """Where each channel of the map comes from, after adding the planes this takes to the store."""
    values, ranges = _normalized(m)
    if m.role is Role.COLOR and m.channels.endswith("A") and m.depth in (Depth.U8, Depth.U16):
        values[:-1] = fill(values[:-1], values[-1] > 0, store.wrap)
    constant = [bool(v.min() == v.max()) for v in values]
    determined = m.role is Role.NORMAL and not any(constant[:3]) and _determines_z(m.channels, values, ranges)
    sources: list[Channel] = []
    for letter, (value, (low, high)) in enumerate(zip(values, ranges, strict=True)):
        if constant[letter]:
            level = _f32(low + (high - low) * float(value.flat[0]))
            sources.append(Channel("constant", low=level, high=level))
        elif determined and letter == 2:
            sources.append(Channel("normal_z", sources[0].plane, sources[1].plane))
        else:
            sources.append(Channel("plane", store.add(value), low=low, high=high))
    return tuple(sources)


def _normalized(m: SourceMap) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """The map's channels (len(channels), h, w) float32 in 0..1, and (low, high) of each."""
    values = np.ascontiguousarray(np.moveaxis(m.pixels, 2, 0)).astype(np.float32)
    unit = (0.0, 1.0)
    if m.depth in (Depth.U8, Depth.U16):
        values /= np.iinfo(m.pixels.dtype).max
        return values, [unit] * len(values)
    if m.role is Role.NORMAL and values[:2].min() >= 0 and values[:2].max() <= 1:
        ranges = [unit, unit, *(value_range(v) for v in values[2:])]
    else:
        bare = values[[letter != "A" for letter in m.channels]]
        ranges = [value_range(v if letter == "A" else bare) for v, letter in zip(values, m.channels, strict=True)]
    for i, (low, high) in enumerate(ranges):
        values[i] -= np.float32(low)
        values[i] /= np.float32(high - low) if high > low else np.float32(1)
    return values, ranges


def _determines_z(channels: str, values: np.ndarray, ranges: list[tuple[float, float]]) -> bool:
    """Whether Z can be rebuilt from X and Y (which must be stored as they are) well enough."""
    if not channels.startswith("RGB") or ranges[:2] != [(0.0, 1.0)] * 2:
        return False
    low, high = ranges[2]
    error = low + (high - low) * values[2] - normal_z(values[0], values[1])
    return bool(np.sqrt(np.mean(error * error)) <= NORMAL_Z_ERROR)


def _decode(source: Channel, depth: Depth, inputs: list[np.ndarray], out: np.ndarray) -> None:
    """Write one channel, out (h, w), from the resized planes that it needs, in bands of rows that fit the cache."""
    integer = out.dtype != np.float32
    top = np.iinfo(out.dtype).max if integer else 1
    low, span = source.low * top, (source.high - source.low) * top
    if not inputs:
        out[...] = np.rint(low) if integer else low
        return
    rows = max(1, _BAND // out.shape[1])
    for start in range(0, len(out), rows):
        band = [p[start : start + rows] for p in inputs]
        x = np.clip(band[0], 0, 1) if source.kind == "plane" else normal_z(*band)
        x *= np.float32(span)
        x += np.float32(low + 0.5 if integer else low)
        out[start : start + rows] = x.astype(np.float16) if depth is Depth.F16 else x


def _f32(value: float) -> float:
    """The nearest number that float32 holds: the stream stores it, and every decoder uses it."""
    return float(np.float32(value))


_BAND = 1 << 16
"""Texels that are decoded at a time: some hundred KB of floats."""

_DTYPE: dict[Depth, type[np.uint8 | np.uint16 | np.float32]] = {
    Depth.U8: np.uint8,
    Depth.U16: np.uint16,
    Depth.F16: np.float32,
    Depth.F32: np.float32,
}
