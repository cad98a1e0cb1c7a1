"""UDIM: the tiles of an image side by side in one picture, so that they are one stack: fitted, stored, decoded together.

Between the tiles is a gutter in which each continues its edge: a Gaussian, a filter or a coarser level at the border of
a tile sees nothing of the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .resample import resized

GUTTER = 8
"""Texels around each tile."""


@dataclass(frozen=True)
class Tiles:
    """Which tiles there are, and their size in the picture.

    numbers        UDIM numbers, 1001 + column + 10 row (rows count upwards), in rising order
    width, height  of every tile, texels: those of the largest
    """

    numbers: tuple[int, ...]
    width: int
    height: int

    @property
    def columns(self) -> int:
        """Tiles side by side in the picture, which is about square."""
        return int(np.ceil(np.sqrt(len(self.numbers))))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture, texels."""
        rows = -(-len(self.numbers) // self.columns)
        return self.columns * (self.width + 2 * GUTTER), rows * (self.height + 2 * GUTTER)

    def origin(self, number: int) -> tuple[int, int]:
        """Column and row (downwards) of a tile's upper left texel in the picture."""
        row, column = divmod(self.numbers.index(number), self.columns)
        return column * (self.width + 2 * GUTTER) + GUTTER, row * (self.height + 2 * GUTTER) + GUTTER

    def join(self, tiles: Mapping[int, np.ndarray]) -> np.ndarray:
        """The picture (H, W, C) of tiles (h, w, C), all of one dtype; smaller ones are enlarged.

        Places without a tile get the average of the last.
        """
        width, height = self.size
        last = tiles[self.numbers[-1]]
        picture = np.empty((height, width, last.shape[2]), last.dtype)
        picture[...] = last.mean((0, 1))
        for number in self.numbers:
            x, y = self.origin(number)
            padded = np.pad(
                resized(tiles[number], self.width, self.height), ((GUTTER, GUTTER), (GUTTER, GUTTER), (0, 0)), "edge"
            )
            picture[y - GUTTER : y + self.height + GUTTER, x - GUTTER : x + self.width + GUTTER] = padded
        return picture

    def split(self, picture: np.ndarray) -> dict[int, np.ndarray]:
        """The tiles (height, width, C) of a picture that join() made."""
        corners = {number: self.origin(number) for number in self.numbers}
        return {n: picture[y : y + self.height, x : x + self.width] for n, (x, y) in corners.items()}
