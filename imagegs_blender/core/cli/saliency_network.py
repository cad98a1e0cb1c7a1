"""EML-Net (Jia & Bruce 2018): where people look in a color picture. For those who have its weights; torch comes with the fit.

Two ResNet-50 (He et al. 2016), one trained on objects, one on places. From each, five stages are read out by a 3 x 3
convolution to one plane; a decoder enlarges the ten planes to one size and blends them. The names and shapes in the weight
files are the architecture; they are checked before anything is computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ImageGSError
from ..fitting.saliency import gaussian_filter, normalized
from ..quality.network_weights import checked, load
from ..textures.resample import resize
from ..textures.texture_stack import Role, TextureStack

if TYPE_CHECKING:
    import torch

FILES = ("res_imagenet.pth", "res_places.pth", "res_decoder.pth")
SIZE = (480, 640)
"""Height and width that the network sees."""

_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Inner channels and blocks of the four stages of a ResNet-50."""

_READ_OUT = (64, 256, 512, 1024, 2048)
"""Channels that are read out: of the stem and of the four stages."""

Weights = Mapping[str, "torch.Tensor"]


def predict(stack: TextureStack, folder: str | Path, smoothing: float) -> np.ndarray:
    """(H, W) float32, 0..1: the saliency of the stack's color map, smoothed by `smoothing` texels.

    Raises ImageGSError where there is no color map, torch is missing, or a file is missing or of another network.
    """
    planes = _color(stack)
    try:
        import torch
    except ImportError:
        raise ImageGSError("saliency-weights: needs PyTorch: pip install torch") from None
    weights = [_load(Path(folder) / name, expected) for name, expected in zip(FILES, shapes(), strict=True)]
    height, width = SIZE
    small = np.stack([resize(p, width, height, False) for p in planes])
    with torch.no_grad():
        picture = torch.from_numpy(np.clip(small, 0, 1).astype(np.float32))[None]
        read_out = [*_readouts(picture, weights[0]), *_readouts(picture, weights[1])]
        seen = _decode(read_out, weights[2])[0, 0].numpy()
    large = resize(np.ascontiguousarray(seen, np.float32), stack.width, stack.height, False)
    return normalized(gaussian_filter(large, smoothing))


def shapes() -> tuple[dict[str, tuple[int, ...]], ...]:
    """Name -> shape of every number that each of FILES must hold."""
    network = {**dict(_convolution("conv1", 3, 64, 7)), **dict(_normalization("bn1", 64))}
    channels = 64
    for stage, (inner, blocks) in enumerate(_STAGES, 1):
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            widths = ((channels, inner, 1), (inner, inner, 3), (inner, 4 * inner, 1))
            for k, (before, after, side) in enumerate(widths, 1):
                network |= dict(_convolution(f"{name}.conv{k}", before, after, side))
                network |= dict(_normalization(f"{name}.bn{k}", after))
            if block == 0:
                network |= dict(_convolution(f"{name}.downsample.0", channels, 4 * inner, 1))
                network |= dict(_normalization(f"{name}.downsample.1", 4 * inner))
            channels = 4 * inner
    for k, planes in enumerate(_READ_OUT):
        network |= dict(_readout(f"output{k}", planes))
    decoder = dict(_readout("combined", 2 * len(_READ_OUT)))
    for k in range(len(_READ_OUT)):
        decoder |= {**dict(_readout(f"img_model.{k}", 1)), **dict(_readout(f"pla_model.{k}", 1))}
    return network, network, decoder


def _convolution(name: str, before: int, after: int, side: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (after, before, side, side)


def _normalization(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (channels,)


def _readout(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _convolution(f"{name}.0", channels, 1, 3)
    yield f"{name}.0.bias", (1,)
    yield from _normalization(f"{name}.1", 1)


def _load(path: Path, expected: Mapping[str, tuple[int, ...]]) -> Weights:
    """The weights in one of FILES, checked."""
    held = load(path, "saliency-weights", FILES)
    return {
        name: checked(held, path, name, shape, "EML-Net's weights for this file") for name, shape in expected.items()
    }


def _readouts(picture: torch.Tensor, w: Weights) -> list[torch.Tensor]:
    """The five planes (1, 1, h, w) that a ResNet-50 is read out to; picture (1, 3, H, W), 0..1."""
    import torch.nn.functional as F

    x = F.relu(_normalize(F.conv2d(picture, w["conv1.weight"], stride=2, padding=3), w, "bn1"))
    stages = [x]
    x = F.max_pool2d(x, 3, stride=2, padding=1)
    for stage, (_, blocks) in enumerate(_STAGES, 1):
        for block in range(blocks):
            x = _bottleneck(x, w, f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1)
        stages.append(x)
    return [F.relu(_read(x, w, f"output{k}")) for k, x in enumerate(stages)]


def _bottleneck(x: torch.Tensor, w: Weights, name: str, stride: int) -> torch.Tensor:
    import torch.nn.functional as F

    y = F.relu(_normalize(F.conv2d(x, w[f"{name}.conv1.weight"]), w, f"{name}.bn1"))
    y = F.relu(_normalize(F.conv2d(y, w[f"{name}.conv2.weight"], stride=stride, padding=1), w, f"{name}.bn2"))
    y = _normalize(F.conv2d(y, w[f"{name}.conv3.weight"]), w, f"{name}.bn3")
    if f"{name}.downsample.0.weight" in w:
        x = _normalize(F.conv2d(x, w[f"{name}.downsample.0.weight"], stride=stride), w, f"{name}.downsample.1")
    return F.relu(x + y)


def _decode(planes: list[torch.Tensor], w: Weights) -> torch.Tensor:
    """(1, 1, *SIZE): the ten planes blended."""
    import torch
    import torch.nn.functional as F

    names = [f"{model}.{k}" for model in ("img_model", "pla_model") for k in range(len(_READ_OUT))]
    enlarged = [F.interpolate(F.relu(_read(x, w, name)), SIZE) for x, name in zip(planes, names, strict=True)]
    return torch.sigmoid(_read(torch.cat(enlarged, 1), w, "combined"))


def _read(x: torch.Tensor, w: Weights, name: str) -> torch.Tensor:
    import torch.nn.functional as F

    return _normalize(F.conv2d(x, w[f"{name}.0.weight"], w[f"{name}.0.bias"], padding=1), w, f"{name}.1")


def _normalize(x: torch.Tensor, w: Weights, name: str) -> torch.Tensor:
    import torch.nn.functional as F

    mean, variance, weight, bias = (w[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, mean, variance, weight, bias)


def _color(stack: TextureStack) -> np.ndarray:
    """(3, H, W): the color map's planes."""
    for m in stack.maps:
        if m.role is Role.COLOR and m.channels.startswith("RGB"):
            constant = np.ones((stack.height, stack.width), np.float32)
            return np.stack([
                stack.planes[s.plane] if s.kind == "plane" else np.clip(s.low, 0, 1) * constant for s in m.sources[:3]
            ])  # fmt: skip
    raise ImageGSError("saliency-weights: EML-Net judges color pictures, and this stack has none; leave the option out")
