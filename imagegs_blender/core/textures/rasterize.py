"""Triangles in texture space -> which texels they touch.

Trusts: corners are finite (scene/uses.py leaves other triangles out), and there are three values for each.
"""

from __future__ import annotations

import numpy as np
from numba import njit


def draw(triangles: np.ndarray, values: np.ndarray, out: np.ndarray, wrap: bool) -> None:
    """Write into out (height, width) float32 the largest value of any triangle at each texel that it touches.

    triangles   (T, 3, 2) float32 in texels: x to the right, y down, texel (column i, row j) covers i..i+1, j..j+1
    values      (T, 3) float32 at the corners, >= 0, blended across the triangle
    wrap        triangles outside of the texture come back in on the other side; else only the part inside counts
    """
    _draw(np.ascontiguousarray(triangles, np.float32), np.ascontiguousarray(values, np.float32), out, wrap)


def grow(mask: np.ndarray, texels: int, wrap: bool) -> np.ndarray:
    """(height, width) float32: every texel takes the largest value of the square of `texels` around it."""
    for axis in (0, 1):
        grown = mask.copy()
        for shift in (*range(-texels, 0), *range(1, texels + 1)):
            moved = np.roll(mask, shift, axis)
            if not wrap:
                edge: list[slice] = [slice(None), slice(None)]
                edge[axis] = slice(None, shift) if shift > 0 else slice(shift, None)
                moved[tuple(edge)] = 0
            np.maximum(grown, moved, out=grown)
        mask = grown
    return mask


_REPEATS = 4
"""A triangle that spans the texture so many times touches every texel, near enough."""


@njit(cache=True, nogil=True)
def _draw(triangles, values, out, wrap):
    """Edge functions, each moved outwards by half a texel's extent across the edge, so that a touch is enough."""
    height, width = out.shape
    for t in range(len(triangles)):
        ax, ay = triangles[t, 0]
        bx, by = triangles[t, 1]
        cx, cy = triangles[t, 2]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        left, right = np.floor(min(ax, bx, cx)), np.floor(max(ax, bx, cx))
        top, bottom = np.floor(min(ay, by, cy)), np.floor(max(ay, by, cy))
        if wrap:
            if right - left >= _REPEATS * width or bottom - top >= _REPEATS * height:
                largest = max(values[t, 0], values[t, 1], values[t, 2])
                for row in range(height):
                    for column in range(width):
                        out[row, column] = max(out[row, column], largest)
                continue
        else:
            left, top = max(left, 0), max(top, 0)
            right, bottom = min(right, width - 1), min(bottom, height - 1)
        sign = 1.0 if area >= 0 else -1.0
        size = max(abs(area), 1e-12)
        for row in range(int(top), int(bottom) + 1):
            for column in range(int(left), int(right) + 1):
                x, y = column + 0.5, row + 0.5
                a = sign * ((cx - bx) * (y - by) - (cy - by) * (x - bx))
                b = sign * ((ax - cx) * (y - cy) - (ay - cy) * (x - cx))
                c = sign * ((bx - ax) * (y - ay) - (by - ay) * (x - ax))
                if (
                    a < -0.5 * (abs(cx - bx) + abs(cy - by))
                    or b < -0.5 * (abs(ax - cx) + abs(ay - cy))
                    or c < -0.5 * (abs(bx - ax) + abs(by - ay))
                ):
                    continue
                a, b, c = max(a, 0.0), max(b, 0.0), max(c, 0.0)
                total = max(a + b + c, size * 1e-6, 1e-12)
                value = (a * values[t, 0] + b * values[t, 1] + c * values[t, 2]) / total
                if a + b + c <= 0:
                    value = max(values[t, 0], values[t, 1], values[t, 2])
                j, i = row % height, column % width
                out[j, i] = max(out[j, i], value)
