"""FitReport: the numbers that a fit says at its end. docs/report.md lists them for readers of report.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..igs.stream import Stream
from ..textures.texture_stack import OVERALL

_KEYS = {"ms_ssim": "ms-ssim"}
"""Fields whose key in JSON has another spelling; every other key is the field's name."""


@dataclass(frozen=True)
class FitReport:
    """The outcome of a fit. None, or an empty mapping, means unknown or not asked for: to_json() leaves it out.

    bytes           size of the .igs file
    bpp             bits per pixel: 8 bytes / texels of the largest map
    bppc            bits per pixel per channel: bpp / channels of all maps together
    num_gaussians   N
    steps           optimizer steps taken; of a search for a PSNR, those of the last fit
    device          where it ran, in words: "cpu", or "cuda" and the GPU's name
    unused          share (0..1) of the texels of weight 0, which no measure counts
    psnr            dB on 8-bit values, by map and overall (OVERALL); infinity where nothing differs, None without an original
    ssim            0..1, by map and overall
    normal_angle    mean angle between normals, degrees, by normal map
    psnr_inside     dB over the texels of at least half the largest importance; only with an importance map
    psnr_outside    dB over the other texels
    seconds         duration of the fit with its measures; 0 where there was none
    warning         why a requested PSNR was not reached, one line
    ms_ssim, flip, lpips    perceptual measures by map, where the command asked for them (quality/perceptual.py)
    upsampled       of a fit to a smaller picture, both at the input's size: "gaussians" and "bicubic", each with
                    psnr, ssim and normal_angle
    """

    bytes: int | None = None
    bpp: float | None = None
    bppc: float | None = None
    num_gaussians: int = 0
    steps: int | None = None
    device: str | None = None
    unused: float | None = None
    psnr: Mapping[str, float | None] = field(default_factory=lambda: {OVERALL: None})
    ssim: Mapping[str, float] = field(default_factory=dict)
    normal_angle: Mapping[str, float] = field(default_factory=dict)
    psnr_inside: float | None = None
    psnr_outside: float | None = None
    seconds: float = 0.0
    warning: str | None = None
    ms_ssim: Mapping[str, float] = field(default_factory=dict)
    flip: Mapping[str, float] = field(default_factory=dict)
    lpips: Mapping[str, float] = field(default_factory=dict)
    upsampled: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A dictionary for json.dumps: the keys of report.json and of a .blend's record, in the order of the fields."""
        known = {_KEYS.get(f.name, f.name): getattr(self, f.name) for f in fields(self)}
        return {key: _plain(value) for key, value in known.items() if value is not None and value != {}}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> FitReport:
        """The report that to_json() made, of this version or another: a missing key has its default, an unknown one no effect."""
        keys = {f.name: _KEYS.get(f.name, f.name) for f in fields(cls)}
        return cls(**{name: document[key] for name, key in keys.items() if key in document})

    @classmethod
    def of_stream(cls, stream: Stream, size: int) -> FitReport:
        """The report on a stream of `size` bytes without its originals: no measure, no duration."""
        return cls(
            bytes=size,
            bpp=stream.bpp(size),
            bppc=stream.bppc(size),
            num_gaussians=len(stream.codes),
            psnr={OVERALL: None, **{m.name: None for m in stream.maps}},
        )


def _plain(value: Any) -> Any:
    """Mappings as dictionaries, at every depth."""
    return {key: _plain(inner) for key, inner in value.items()} if isinstance(value, Mapping) else value
