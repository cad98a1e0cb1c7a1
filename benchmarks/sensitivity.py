"""What a rounding error of each number of a Gaussian does to the picture, and which steps would follow it.

    python benchmarks/sensitivity.py FILE.igs...

For every Gaussian of a stream: the squared change of the decoded planes over a small squared change of a number (the diagonal of
the Gauss-Newton matrix). Its logarithm is fitted by the logarithms of the root of the area (a power) and of the aspect (a power)
and by the bias. "full": bits that a step for each Gaussian by itself would save against one step for all, at the same error;
"fitted": those that steps by the fit save. Prints a line for each number.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numba import njit

from imagegs_blender.core.gaussians import CUTOFF, EPS, Gaussians
from imagegs_blender.core.igs import stream

NUMBERS = ("mean, along", "mean, across", "log first scale", "log second scale", "rotation", "bias", "feature")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    for path in parser.parse_args().files:
        found = stream.read(path.read_bytes()).gaussians
        print(
            f"{path.stem}: {len(found)} Gaussians\n{'':18}{'area':>7}{'aspect':>7}{'bias':>7}{'full':>7}{'fitted':>7}"
        )
        for name, row in zip(NUMBERS, table(found), strict=True):
            print(f"{name:18}" + "".join(f"{value:7.2f}" for value in row), flush=True)


def table(gaussians: Gaussians) -> list[list[float]]:
    """For each of NUMBERS: the powers of area and aspect, the factor of the bias, and bits saved in full and by the fit."""
    scale, turned = gaussians.scale.astype(np.float64), gaussians.rotation.astype(np.float64)
    swapped = scale[:, 1] > scale[:, 0]
    scale = np.where(swapped[:, None], scale[:, ::-1], scale)
    turned = turned + np.where(swapped, np.pi / 2, 0)
    mean = gaussians.mean * (gaussians.width, gaussians.height)
    bias, feature = gaussians.bias.astype(np.float64), gaussians.feature.astype(np.float64)
    size = (gaussians.width, gaussians.height, max(gaussians.topk, 1))
    every = _sensitivity(size, mean.astype(np.float64), scale, turned, bias, feature)
    rows = []
    for each in every.T:
        seen = each > 1e-12
        known = np.column_stack(
            [np.ones(len(each)), np.log(scale.prod(1)) / 2, np.log(scale[:, 0] / scale[:, 1]), bias]
        )[seen]
        s = each[seen]
        factors = np.linalg.lstsq(known, np.log(s), rcond=None)[0]
        fitted = known @ factors
        full = np.log2(s.mean()) - np.log2(s).mean()
        left = np.log2((s / np.exp(fitted)).mean()) + fitted.mean() / np.log(2)
        rows.append([*factors[1:], full / 2, (np.log2(s.mean()) - left) / 2])
    return rows


@njit(cache=True)
def _sensitivity(size, mean, scale, turned, bias, feature):
    """(N, 7) float64, of NUMBERS. Textures that repeat are taken as if they didn't."""
    width, height, topk = size
    count, planes = feature.shape
    best, who = np.full((height, width, topk), 1e9), np.full((height, width, topk), -1, np.int32)
    for i in range(count):
        cos, sin = np.cos(turned[i]), np.sin(turned[i])
        reach = np.sqrt(max(2 * (CUTOFF - bias[i]), 0.0))
        wide = reach * np.hypot(scale[i, 0] * cos, scale[i, 1] * sin)
        high = reach * np.hypot(scale[i, 0] * sin, scale[i, 1] * cos)
        for y in range(max(0, int(mean[i, 1] - high)), min(height, int(mean[i, 1] + high) + 2)):
            for x in range(max(0, int(mean[i, 0] - wide)), min(width, int(mean[i, 0] + wide) + 2)):
                u, v = _inside(x, y, mean[i], scale[i], cos, sin)
                q = (u * u + v * v) / 2 + bias[i]
                k = topk - 1
                if q > CUTOFF or q >= best[y, x, k]:
                    continue
                while k > 0 and best[y, x, k - 1] > q:
                    best[y, x, k], who[y, x, k] = best[y, x, k - 1], who[y, x, k - 1]
                    k -= 1
                best[y, x, k], who[y, x, k] = q, i
    found, value = np.zeros((count, 7)), np.empty(planes)
    for y in range(height):
        for x in range(width):
            total, value[:] = EPS, 0.0
            for k in range(topk):
                if who[y, x, k] >= 0:
                    total += np.exp(-best[y, x, k])
                    value += np.exp(-best[y, x, k]) * feature[who[y, x, k]]
            for k in range(topk):
                i = who[y, x, k]
                if i >= 0:
                    share = np.exp(-best[y, x, k]) / total
                    pull = share * share * ((feature[i] - value / total) ** 2).sum()
                    u, v = _inside(x, y, mean[i], scale[i], np.cos(turned[i]), np.sin(turned[i]))
                    spin = u * v * (scale[i, 1] / scale[i, 0] - scale[i, 0] / scale[i, 1])
                    found[i, 0] += pull * (u / scale[i, 0]) ** 2
                    found[i, 1] += pull * (v / scale[i, 1]) ** 2
                    found[i, 2] += pull * u**4
                    found[i, 3] += pull * v**4
                    found[i, 4] += pull * spin * spin
                    found[i, 5] += pull
                    found[i, 6] += share * share
    return found


@njit(cache=True)
def _inside(x, y, mean, scale, cos, sin):
    """Where the center of a texel is in a Gaussian, in its standard deviations."""
    dx, dy = x + 0.5 - mean[0], y + 0.5 - mean[1]
    return (cos * dx + sin * dy) / scale[0], (cos * dy - sin * dx) / scale[1]


if __name__ == "__main__":
    main()
