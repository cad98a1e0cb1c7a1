"""LPIPS (Zhang et al., CVPR 2018) over AlexNet, for those who have its weights: how far apart two pictures look to a network.

Both pictures go through AlexNet's five convolutions (Krizhevsky 2014). After each, features are brought to length 1 per
texel, their squared difference is weighted per channel, summed, and averaged over the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .network_weights import checked, load

if TYPE_CHECKING:
    import torch

FILES = ("alexnet-owt-7be5be79.pth", "alex.pth")
"""torchvision's AlexNet, and the weights of channels from the LPIPS repository (weights/v0.1/alex.pth)."""

SMALLEST = 31
"""Shorter side, texels, below which nothing is left after AlexNet's poolings."""

_LAYERS = (
    (0, 3, 64, 11, 4, 2),
    (3, 64, 192, 5, 1, 2),
    (6, 192, 384, 3, 1, 1),
    (8, 384, 256, 3, 1, 1),
    (10, 256, 256, 3, 1, 1),
)
"""Number in torchvision's file, channels in, channels out, side, stride, padding. Before the second and third: pooling."""

_WHOSE = "LPIPS's weights for AlexNet"

_MEAN, _DEVIATION = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Of red, green and blue, -1..1, as LPIPS 0.1 scales them for a network that was trained on ImageNet."""


class Lpips:
    """The measure, from a folder that holds FILES. Raises ImageGSError where one is missing or of another network."""

    def __init__(self, folder: str | Path) -> None:
        network_file, heads_file = (Path(folder) / name for name in FILES)
        network, heads = (load(path, "lpips-weights", FILES) for path in (network_file, heads_file))
        self._layers, self._heads = [], []
        for k, (number, before, after, side, _, _) in enumerate(_LAYERS):
            name = f"features.{number}"
            weight = checked(network, network_file, f"{name}.weight", (after, before, side, side), _WHOSE)
            self._layers.append((weight, checked(network, network_file, f"{name}.bias", (after,), _WHOSE)))
            self._heads.append(checked(heads, heads_file, f"lin{k}.model.1.weight", (1, after, 1, 1), _WHOSE))

    def __call__(self, x: np.ndarray, y: np.ndarray) -> float:
        """The distance of y from x, both (H, W, 3) float32, 0..1; 0 where they are equal."""
        import torch

        with torch.no_grad():
            pairs = zip(self._features(x), self._features(y), self._heads, strict=True)
            return float(sum((((a - b) ** 2) * head).sum(1).mean() for a, b, head in pairs))

    def _features(self, pixels: np.ndarray) -> Iterator[torch.Tensor]:
        """The result of each convolution, of length 1 over the channels."""
        import torch
        import torch.nn.functional as F

        scaled = ((2 * pixels - 1 - np.array(_MEAN)) / np.array(_DEVIATION)).astype(np.float32)
        values = torch.from_numpy(np.ascontiguousarray(np.moveaxis(scaled, 2, 0)))[None]
        for k, ((weight, bias), (*_, stride, padding)) in enumerate(zip(self._layers, _LAYERS, strict=True)):
            if k in (1, 2):
                values = F.max_pool2d(values, 3, stride=2)
            values = F.relu(F.conv2d(values, weight, bias, stride=stride, padding=padding))
            yield values / (values.square().sum(1, keepdim=True).sqrt() + 1e-10)
