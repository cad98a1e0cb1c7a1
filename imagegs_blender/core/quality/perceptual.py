"""Measures that model the eye, from the packages of those who keep them: MS-SSIM (torchmetrics), FLIP (NVIDIA); and LPIPS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ImageGSError
from ..textures.viewable import rgb
from . import lpips
from .metrics import to_bytes

if TYPE_CHECKING:
    import torch

METRICS = ("ms-ssim", "flip", "lpips")
_NEEDS = {
    "ms-ssim": ("torch", "torchmetrics"),
    "flip": ("flip_evaluator",),
    "lpips": ("torch",),
}
_SMALLEST = {"ms-ssim": 161, "flip": 1, "lpips": lpips.SMALLEST}
"""Shorter side, texels, below which a measure is not defined."""


def check(names: Sequence[str], lpips_weights: str | None = None) -> None:
    """Raise ImageGSError unless compare() can measure these."""
    for name in names:
        missing = [package for package in _NEEDS[name] if find_spec(package) is None]
        if missing:
            raise ImageGSError(
                f"{name}: needs the package {missing[0].replace('_', '-')}; pip install imagegs-blender[extras]"
            )
    if "lpips" in names and lpips_weights is None:
        raise ImageGSError(f"lpips: name the folder of {' and '.join(lpips.FILES)} with --lpips-weights")


def compare(
    a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray], names: Sequence[str], lpips_weights: str | None = None
) -> dict[str, dict[str, float]]:
    """{"ms-ssim": {MAP: value, ...}, ...} of the maps b against the originals a, on 8-bit values of their first channels.

    Three channels are color, one is gray. MS-SSIM: 1 is equal; FLIP and LPIPS: 0 is equal. FLIP at 67 pixels per degree.
    Raises ImageGSError where a map is too small.
    """
    check(names, lpips_weights)
    measures: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {"ms-ssim": _ms_ssim, "flip": _flip}
    if "lpips" in names:
        measures["lpips"] = lpips.Lpips(str(lpips_weights))
    return {
        name: {key: measures[name](*_color(key, name, original, b[key])) for key, original in a.items()}
        for name in names
    }


def _color(key: str, name: str, original: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as (H, W, 3) float32, 0..1."""
    height, width = original.shape[:2]
    if min(height, width) < _SMALLEST[name]:
        raise ImageGSError(
            f"{key}: {width} x {height} is too small for {name}; it needs {_SMALLEST[name]} texels each way"
        )
    x, y = (rgb(to_bytes(pixels, original)).astype(np.float32) / 255 for pixels in (original, other))
    return x, y


def _flip(x: np.ndarray, y: np.ndarray) -> float:
    import flip_evaluator

    _, mean, _ = flip_evaluator.evaluate(x, y, "LDR", applyMagma=False)
    return float(mean)


def _ms_ssim(x: np.ndarray, y: np.ndarray) -> float:
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as measure

    value = measure(_tensor(y), _tensor(x), data_range=1.0)
    return float(value)


def _tensor(pixels: np.ndarray) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, 2, 0)))[None]
