"""Grain: does synthetic noise in the place of what a fit leaves behind look nearer to the original? Two designs, tried.

    python benchmarks/grain.py STACK... --output build/benchmarks/grain [--crop 512] [--bppc 0.03 0.06 0.1]

What a fit leaves behind (original less decoded) is described by bands of frequency (a Laplacian pyramid). Both designs keep for
each band a covariance over all planes, and a coarse map of amplitude: a number for each block of 32 x 32 texels, from the median,
so that edges that a fit missed count little. Noise of a fixed seed is shaped by these, and added:

gauss     white noise in each band
example   patches of the residual itself, of the 64 x 64 texels that are most like all others, at random places and
          blended so that variance stays; as in by-example noise. Its bytes are not counted.

Prints FLIP and PSNR of the color map (of the first map where there is none) without grain, with 0.25, 0.5 and 1 of each design,
and of AVIF and WebP of the same bytes for all maps. Third, how far the spectrum is off: the mean absolute difference of log2 of
the power in octaves. Fourth and fifth, FLIP of the middle magnified four times, and of a render: a wavy surface with all maps,
under a sun, a point light and a bright sky, in Cycles. Writes a strip of pictures: original, without, gauss, example, AVIF.
And blind sheets: two of these at random, without a name, and the original between them; key.txt says which they were.
Needs `pip install imagegs-blender[blender,bench,extras]`.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import flip_evaluator
import map_weights
import numpy as np
from PIL import Image
from scipy import ndimage

from imagegs_blender.core.decoding import decode
from imagegs_blender.core.encoding.encode import encode
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.core.textures import image_files, texture_stack
from imagegs_blender.core.textures.texture_stack import Depth, Role, SourceMap

BANDS, BLOCK, PATCH = 3, 32, 64
AMOUNTS = (0.25, 0.5, 1.0)
Planes = np.ndarray
"""(C, h, w) float, 0..255"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stacks", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--crop", type=int, default=512, help="texels of the middle that are used (%(default)s)")
    parser.add_argument("--bppc", type=float, nargs="+", default=[0.03, 0.06, 0.1], help="(%(default)s)")
    parser.add_argument("--preset", default="fast", help="(%(default)s)")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    for path in args.stacks:
        maps = [cropped(m, args.crop) for m in image_files.read_maps(path)]
        for bppc in args.bppc:
            tried(path.name, maps, bppc, args)
    sys.stdout.flush()
    os._exit(0)  # bpy's destructors can wait forever


def tried(name: str, maps: list[SourceMap], bppc: float, args: argparse.Namespace) -> None:
    """All of a stack at a rate."""
    stack = texture_stack.build(maps)
    size = int(bppc * texture_stack.channel_count(stack.maps) * stack.texels / 8)
    settings = replace(FitSettings.preset(args.preset), bpp=None, max_bytes=size, device="cpu")
    found = decode.images(encode(stack, settings).stream)
    before = np.concatenate([np.moveaxis(m.pixels.astype(float), 2, 0) for m in maps])
    after = np.concatenate([np.moveaxis(found[m.name].astype(float), 2, 0) for m in maps])
    shown = next((k for k, m in enumerate(maps) if m.role is Role.COLOR), 0)
    first = sum(m.pixels.shape[2] for m in maps[:shown])
    part = slice(first, first + maps[shown].pixels.shape[2])
    candidates = {"without": after}
    for design in (gauss, example):
        grain = design(before - after)
        candidates |= {f"{design.__name__} {amount:g}": after + amount * grain for amount in AMOUNTS}
    for codec, options in (("AVIF", {"subsampling": "4:4:4"}), ("WEBP", {})):
        if reached := at_bytes(maps, size, codec, options):
            candidates[codec] = np.concatenate(reached)
    map_weights.build("waves")
    line, whole = [], rendered(maps, before)
    for label, planes in candidates.items():
        a, b = (rgb(p[part]) for p in (before, planes))
        psnr = 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))
        near, lit = flip(closeup(a), closeup(b)), flip(whole, rendered(maps, planes))
        line.append(f"{label} {flip(a, b):.4f} {psnr:.2f} {spectrum(a, b):.2f} {near:.4f} {lit:.4f}")
    print(f"{name} {bppc:g}: " + "; ".join(line), flush=True)
    labels = [label for label in ("without", "gauss 1", "example 1", "AVIF") if label in candidates]
    strip = [before, *map(candidates.__getitem__, labels)]
    picture = np.concatenate([rgb(p[part])[:256, :256] for p in strip], axis=1)
    Image.fromarray(picture).save(args.output / f"{name}_{bppc:g}.png")
    labels = ["without", "gauss 0.5", "gauss 1", "AVIF" if "AVIF" in candidates else "example 1"]
    left, right = np.random.default_rng().choice(labels, 2, replace=False)
    sheet = [closeup(rgb(p[part])) for p in (candidates[left], before, candidates[right])]
    Image.fromarray(np.concatenate(sheet, axis=1)).save(args.output / f"blind_{name}_{bppc:g}.png")
    with (args.output / "key.txt").open("a", encoding="utf-8") as key:
        key.write(f"{name}_{bppc:g}: left {left}, right {right}\n")


def flip(a: np.ndarray, b: np.ndarray) -> float:
    """FLIP of two pictures (h, w, 3), 0..255."""
    return float(flip_evaluator.evaluate(a.astype(np.float32) / 255, b.astype(np.float32) / 255, "LDR")[1])


def closeup(picture: np.ndarray) -> np.ndarray:
    """The middle quarter of a side, magnified four times as renderers do."""
    side = picture.shape[0] // 4
    y, x = ((n - side) // 2 for n in picture.shape[:2])
    part = Image.fromarray(picture[y : y + side, x : x + side])
    return np.asarray(part.resize((4 * side, 4 * side), Image.Resampling.BILINEAR))


def rendered(maps: list[SourceMap], planes: Planes) -> np.ndarray:
    """The scene with all maps."""
    ends = np.cumsum([m.pixels.shape[2] for m in maps])[:-1]
    parts = np.split(np.clip(np.rint(planes), 0, 255).astype(np.uint8), ends)
    pixels = {m.name: np.ascontiguousarray(np.moveaxis(part, 0, 2)) for m, part in zip(maps, parts, strict=True)}
    return map_weights.render(maps, pixels)


def gauss(residual: Planes) -> Planes:
    """White noise, shaped."""
    rng = np.random.default_rng(0)
    return shaped(residual, lambda band: rng.standard_normal(band.shape))


def example(residual: Planes) -> Planes:
    """Patches of each band, shaped anew; of all planes together."""
    rng = np.random.default_rng(0)

    def noise(band: Planes) -> Planes:
        white = whitened(band)
        return scattered(white, rng, max(8, PATCH * band.shape[1] // residual.shape[1]))

    return shaped(residual, noise)


def shaped(residual: Planes, noise: Callable[[Planes], Planes]) -> Planes:
    """Noise with the covariance and the amplitudes of a residual, band by band."""
    sum_ = np.zeros_like(residual)
    for level, band in enumerate(pyramid(residual)):
        amplitude = amplitudes(band, max(2, BLOCK >> level))
        flat = band / np.maximum(amplitude, 1e-3)
        root = root_of(flat)
        white = noise(band)
        white /= np.maximum(white.std(axis=(1, 2), keepdims=True), 1e-6)
        made = np.tensordot(root, white, 1) * amplitude
        sum_ += ndimage.zoom(made, (1, residual.shape[1] / made.shape[1], residual.shape[2] / made.shape[2]), order=1)
    return sum_


def pyramid(planes: Planes) -> list[Planes]:
    """Bands: each less what is coarser, at its own size; the coarsest rest is left out, which a fit keeps well."""
    bands, fine = [], planes
    for _ in range(BANDS):
        blurred = ndimage.gaussian_filter(fine, (0, 1.2, 1.2), mode="wrap")
        bands.append(fine - blurred)
        fine = blurred[:, ::2, ::2]
    return bands


def amplitudes(band: Planes, block: int) -> Planes:
    """(1, h, w): the median absolute value over planes in blocks, smooth in between, as a standard deviation."""
    height, width = band.shape[1] // block, band.shape[2] // block
    cut = np.abs(band[:, : height * block, : width * block]).mean(0)
    blocks = cut.reshape(height, block, width, block).transpose(0, 2, 1, 3).reshape(height, width, -1)
    coarse = np.median(blocks, axis=2) / 0.6745
    return ndimage.zoom(coarse, (band.shape[1] / height, band.shape[2] / width), order=1)[None]


def root_of(flat: Planes) -> np.ndarray:
    """(C, C) whose square is the covariance of planes, without what is far outside."""
    values = flat.reshape(len(flat), -1)
    kept = values[:, (np.abs(values) < 4).all(0)]
    covariance = np.cov(kept) if kept.shape[1] > 10 else np.eye(len(flat))
    values, vectors = np.linalg.eigh(np.atleast_2d(covariance))
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def whitened(band: Planes) -> Planes:
    """Planes that have nothing in common, each of variance 1."""
    root = root_of(band / np.maximum(amplitudes(band, 16), 1e-3))
    return np.tensordot(np.linalg.pinv(root), band / np.maximum(amplitudes(band, 16), 1e-3), 1)


def scattered(white: Planes, rng: np.random.Generator, side: int) -> Planes:
    """Patches of the place that is most like all others, blended over half of their side; variance stays."""
    power = ndimage.uniform_filter((white**2).mean(0), side, mode="wrap")
    y, x = np.unravel_index(np.argmin(np.abs(power - np.median(power))), power.shape)
    patch = np.take(
        np.take(white, np.arange(y, y + 2 * side), 1, mode="wrap"), np.arange(x, x + 2 * side), 2, mode="wrap"
    )
    sum_, weight = np.zeros_like(white), np.zeros(white.shape[1:])
    ramp = np.minimum(np.arange(side) + 0.5, side - np.arange(side) - 0.5)
    window = np.outer(ramp, ramp)
    for top in range(-side // 2, white.shape[1], side // 2):
        for left in range(-side // 2, white.shape[2], side // 2):
            dy, dx = rng.integers(0, side, 2)
            rows, columns = np.arange(top, top + side) % white.shape[1], np.arange(left, left + side) % white.shape[2]
            sum_[:, rows[:, None], columns] += window * patch[:, dy : dy + side, dx : dx + side]
            weight[rows[:, None], columns] += window**2
    return sum_ / np.sqrt(np.maximum(weight, 1e-9))


def at_bytes(maps: list[SourceMap], size: int, codec: str, options: dict[str, str]) -> list[Planes]:
    """What a codec makes of all maps together, at the highest quality that takes no more; nothing where none is so small."""
    best: list[np.ndarray] = []
    low, high = 0, 100
    while low <= high:
        quality = (low + high) // 2
        taken, planes = 0, []
        for m in maps:
            buffer = io.BytesIO()
            one = m.pixels.shape[2] == 1
            Image.fromarray(m.pixels[..., 0] if one else m.pixels).save(buffer, codec, quality=quality, **options)
            taken += buffer.tell()
            decoded = np.asarray(
                Image.open(buffer).convert("L" if one else "RGB" if m.pixels.shape[2] == 3 else "RGBA")
            )
            planes.append(np.moveaxis(decoded[..., None] if one else decoded, 2, 0).astype(float))
        if taken <= size:
            best = planes
        low, high = (quality + 1, high) if taken <= size else (low, quality - 1)
    return best


def spectrum(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference of log2 of the power in four octaves."""
    powers = []
    for picture in (a, b):
        gray = picture.astype(float).mean(2)
        found = np.abs(np.fft.fftshift(np.fft.fft2(gray - gray.mean()))) ** 2
        y, x = np.indices(found.shape)
        radius = np.hypot(y - found.shape[0] / 2, x - found.shape[1] / 2) / max(found.shape)
        powers.append([found[(radius >= r / 2) & (radius < r)].mean() for r in (0.5, 0.25, 0.125, 0.0625)])
    return float(np.mean(np.abs(np.diff(np.log2(powers), axis=0))))


def rgb(planes: Planes) -> np.ndarray:
    """(h, w, 3) uint8."""
    pixels = np.clip(np.rint(np.moveaxis(planes, 0, 2)), 0, 255).astype(np.uint8)
    return pixels[..., :3] if pixels.shape[2] >= 3 else np.repeat(pixels[..., :1], 3, axis=2)


def cropped(m: SourceMap, side: int) -> SourceMap:
    """The middle of a map, in 8 bits."""
    y, x = ((n - min(n, side)) // 2 for n in m.pixels.shape[:2])
    pixels = m.pixels[y : y + side, x : x + side]
    if pixels.dtype != np.uint8:
        pixels = np.rint(pixels / (257 if pixels.dtype == np.uint16 else 1 / 255)).clip(0, 255).astype(np.uint8)
    return replace(m, pixels=np.ascontiguousarray(pixels), depth=Depth.U8)


if __name__ == "__main__":
    main()
