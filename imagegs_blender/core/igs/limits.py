"""What a stream may stand for, checked when it is read and written: kernels and decoders trust it. docs/format.md states it.

A stream may come from a stranger. So no number of it makes a kernel walk without end, and no few bytes ask for much memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..gaussians import CUTOFF, Gaussians
from ..textures.texture_stack import MapInfo
from .head import Head
from .invalid import require

LEAST_SCALE, MOST_SCALE = 1e-3, 1e6
"""Standard deviations, texels. Fits keep theirs at 0.2 and above (optimizer.MIN_SCALE)."""

MOST_BIAS = 64.0
"""Of either sign: e^64 can be summed in float32. Fits keep theirs within 3 (optimizer.MAX_BIAS)."""

MOST_FEATURE = 1e6
"""Of either sign. Planes are nominally 0..1."""

MOST_VALUES = 1 << 30
"""Numbers of all planes, and of all maps together: 8192 x 8192 texels of 16 planes, 4 GiB of float32."""

MOST_PER_TEXEL = 4
"""Gaussians per texel; and any number up to FEW."""

FEW = 4096
"""Gaussians that any texture may have, and any number of bytes may hold. More take a bit each, at least."""


MOST_REACHED, MOST_OVERLAP = 1 << 28, 256
"""Texels in the boxes around all Gaussians together; or so many Gaussians over every texel, where that is more. A fit has 20 to
60 over a texel."""

FEW_TEXELS, FEW_VALUES, MOST_PER_BYTE = 1 << 26, 1 << 28, 1 << 12
"""Texels, and numbers of all planes, that any number of bytes may stand for: 8192 x 8192 texels of 4 planes. And numbers for
each byte where there are more: 0.002 bits for each. It bounds what opening a file from a stranger takes."""

REACHED_PER_BYTE = 1 << 15
"""Texels in the boxes around all Gaussians for each byte, where they are more than MOST_REACHED. A fit has some 2000."""


def check_size(head: Head, maps: Sequence[MapInfo], payload: int) -> None:
    """Raise ImageGSError where a head and its maps ask for more than a payload of so many bytes can mean."""
    texels = head.width * head.height
    require(texels * head.planes <= MOST_VALUES, "its planes hold more texels than this program decodes")
    few = texels <= FEW_TEXELS and texels * head.planes <= FEW_VALUES
    enough = few or texels * head.planes <= MOST_PER_BYTE * payload
    require(enough, "its bytes are too few for its texels; fit with more Gaussians")
    values = sum(info.width * info.height * len(info.channels) for info in maps)
    require(values <= MOST_VALUES, "its maps hold more texels than this program decodes")
    require(head.count <= max(FEW, MOST_PER_TEXEL * texels), "it has more Gaussians than its texels can show")
    require(head.count <= max(FEW, 8 * payload), "its bytes are too few for its Gaussians")


def check_numbers(gaussians: Gaussians, payload: int) -> None:
    """Raise ImageGSError where a number is not finite or out of range, or where decoding is out of proportion to the bytes."""
    for name in ("mean", "scale", "rotation", "bias", "feature"):
        require(bool(np.isfinite(getattr(gaussians, name)).all()), f"a {name} is not finite")
    require(gaussians.mean.min() >= 0 and gaussians.mean.max() <= 1, "a mean is out of range")
    in_range = gaussians.scale.min() >= LEAST_SCALE and gaussians.scale.max() <= MOST_SCALE
    require(in_range, "a scale is out of range")
    require(np.abs(gaussians.bias).max() <= MOST_BIAS, "a bias is out of range")
    require(np.abs(gaussians.feature).max() <= MOST_FEATURE, "a feature is out of range")
    texels = gaussians.width * gaussians.height
    most = max(MOST_REACHED, min(MOST_OVERLAP * texels, REACHED_PER_BYTE * payload))
    require(_reached(gaussians) <= most, "its Gaussians overlap too much")


def _reached(gaussians: Gaussians) -> float:
    """Texels in the boxes around the Gaussians, each as large as the texture at most."""
    room = np.maximum(2 * (CUTOFF - gaussians.bias), 0)
    cos, sin = np.cos(gaussians.rotation) ** 2, np.sin(gaussians.rotation) ** 2
    first, second = gaussians.scale.T.astype(np.float64) ** 2
    wide = np.minimum(2 * np.sqrt(room * (first * cos + second * sin)) + 1, gaussians.width)
    high = np.minimum(2 * np.sqrt(room * (first * sin + second * cos)) + 1, gaussians.height)
    return float((wide * high).sum())
