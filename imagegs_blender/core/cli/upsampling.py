"""Fitting a small picture to have a large one: the Gaussians enlarge it, and bicubic interpolation beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..decoding import decode
from ..errors import ImageGSError
from ..igs.stream import Stream
from ..quality import metrics
from ..textures import texture_stack
from ..textures.resample import resized
from ..textures.texture_stack import SourceMap


def downsampled(maps: list[SourceMap], ratio: float) -> list[SourceMap]:
    """The maps `ratio` times smaller each way, by area. Raises ImageGSError for a ratio below 1, or that leaves nothing."""
    if not 1 <= ratio < 1e6:
        raise ImageGSError(f"downsample-ratio {ratio:g}: choose 1 or more")
    return maps if ratio == 1 else [_resized(m, *(round(side / ratio) for side in m.pixels.shape[1::-1])) for m in maps]


def judged(fitted: Stream, small: Sequence[SourceMap], originals: Sequence[SourceMap]) -> dict[str, dict]:
    """metrics.compare with the originals, at their sizes: "gaussians", the stream; "bicubic", the small maps enlarged."""
    gaussians = fitted.gaussians
    sizes = {m.name: m.pixels.shape[1::-1] for m in originals}
    infos = [replace(m, width=sizes[m.name][0], height=sizes[m.name][1]) for m in fitted.maps]
    planes = decode.planes(gaussians, *max(sizes.values(), key=lambda size: size[0] * size[1]))
    enlarged = {
        "gaussians": texture_stack.images(planes, infos, gaussians.wrap),
        "bicubic": {m.name: _resized(m, *sizes[m.name]).pixels for m in small},
    }
    pixels, roles = {m.name: m.pixels for m in originals}, {m.name: m.role for m in originals}
    return {name: metrics.compare(pixels, maps, roles) for name, maps in enlarged.items()}


def _resized(m: SourceMap, width: int, height: int) -> SourceMap:
    if min(width, height) < 1:
        raise ImageGSError(
            f"{m.name}: {m.pixels.shape[1]} x {m.pixels.shape[0]} is too small for this downsample-ratio"
        )
    return replace(m, pixels=resized(m.pixels, width, height))
