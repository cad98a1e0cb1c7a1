"""The free numbers of a fit, their gradients from the device's, and Adam.

Trusts: every array has a row for each Gaussian (an assert where they are taken).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numba import njit, prange

from ..gaussians import CUTOFF, Gaussians, conic
from .types import Grid, Splats

NAMES = ("mean", "scale", "rotation", "bias", "feature")
_MOMENTS = ("first", "second", "steps")
BETA1, BETA2, TINY = 0.9, 0.999, 1e-15
"""Adam's decay of both moments (its authors' choice), and what keeps it from dividing by zero."""

MIN_SCALE = 0.2
"""Smallest standard deviation, texels: such a Gaussian is e^-3 of its peak half a texel away. Chosen by trial."""

MAX_BIAS = 3.0
"""Limit of a bias: amplitudes from e^-3 to e^3. Chosen by trial; the support of the wrapped ones is bounded by it, too."""


class Optimizer:
    """Gaussians under optimization.

    value[name] are the free numbers: mean (N, 2) in texels, scale (N, 2) as log scale or 1 / scale, rotation (N,),
    bias (N,), feature (N, C). rate[name] are Adam's rates; frozen names keep their value.
    """

    def __init__(self, grid: Grid, planes: int, inverse_scale: bool, rate: dict[str, float]) -> None:
        self.grid, self.inverse_scale, self.rate = grid, inverse_scale, rate
        shapes = {"mean": (0, 2), "scale": (0, 2), "rotation": (0,), "bias": (0,), "feature": (0, planes)}
        self.value = {name: np.empty(shape, np.float32) for name, shape in shapes.items()}
        self.frozen = {name for name in NAMES if rate[name] == 0}
        self.moments: dict[str, tuple[np.ndarray, ...]] = {
            name: (v.copy(), v.copy(), np.empty(0, np.int32)) for name, v in self.value.items()
        }

    def __len__(self) -> int:
        return len(self.value["mean"])

    def add(self, mean: np.ndarray, scale: float | np.ndarray, feature: np.ndarray) -> None:
        """New round Gaussians at mean (n, 2) texture coordinates, standard deviation `scale` texels, feature (n, C)."""
        n = len(mean)
        assert len(feature) == n  # kernels trust that all arrays have as many rows
        start = 1 / scale if self.inverse_scale else np.log(scale)
        new = {
            "mean": mean * [self.grid.width, self.grid.height],
            "scale": np.full((n, 2), start),
            "rotation": np.zeros(n),
            "bias": np.zeros(n),
            "feature": feature,
        }
        for name in NAMES:
            rows = new[name].astype(np.float32)
            self.value[name] = np.concatenate([self.value[name], rows])
            first, second, steps = self.moments[name]
            zeros = np.zeros_like(rows)
            self.moments[name] = (
                np.concatenate([first, zeros]), np.concatenate([second, zeros]), np.concatenate([steps, np.zeros(n, np.int32)]),
            )  # fmt: skip

    def keep(self, index: np.ndarray) -> None:
        """Only the Gaussians at index stay, in that order."""
        self.value = {name: value[index] for name, value in self.value.items()}
        self.moments = {name: tuple(part[index] for part in moments) for name, moments in self.moments.items()}

    def splats(self) -> Splats:
        """The current Gaussians as the device sees them."""
        shape = conic(self._scale(), self.value["rotation"])
        return Splats(self.value["mean"], shape, self.value["bias"], self.value["feature"])

    def step(self, gradient: Splats, slow_down: float) -> None:
        """One Adam step; the rates are multiplied by slow_down."""
        by_scale, by_rotation = self._chain(gradient.conic)
        gradients = {
            "mean": gradient.center,
            "scale": by_scale,
            "rotation": by_rotation,
            "bias": gradient.bias,
            "feature": gradient.feature,
        }
        for name in self._free():
            first, second, steps = self.moments[name]
            width = self.value[name].size // max(len(self), 1)
            _adam(
                self.value[name].reshape(-1, width), np.ascontiguousarray(gradients[name], np.float32).reshape(-1, width),
                first.reshape(-1, width), second.reshape(-1, width), steps, np.float32(self.rate[name] * slow_down),
            )  # fmt: skip
        self._keep_in_range()

    def gaussians(self) -> Gaussians:
        """The current state as the representation."""
        grid = self.grid
        mean = self.value["mean"] / np.array([grid.width, grid.height], np.float32)
        if grid.wrap:
            mean = mean - np.floor(mean)
        return Gaussians(
            mean, self._scale(), self.value["rotation"].copy(), self.value["feature"].copy(), self.value["bias"].copy(),
            grid.width, grid.height, grid.wrap, grid.topk,
        )  # fmt: skip

    def freeze(self, gaussians: Gaussians, names: Iterable[str]) -> None:
        """Take over these parameters from gaussians (in the same order) and keep them."""
        for name in names:
            value = getattr(gaussians, name)
            if name == "mean":
                value = value * np.array([self.grid.width, self.grid.height], np.float32)
            elif name == "scale":
                value = 1 / value if self.inverse_scale else np.log(value)
            self.value[name] = np.ascontiguousarray(value, np.float32)
            self.frozen.add(name)

    def state(self) -> dict[str, np.ndarray]:
        """Everything that changes while nothing is frozen, as arrays by name: what restore() takes."""
        arrays = dict(self.value)
        for name, moments in self.moments.items():
            arrays |= {f"{name}.{part}": array for part, array in zip(_MOMENTS, moments, strict=True)}
        return arrays

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from an earlier state()."""
        self.value = {name: state[name] for name in NAMES}
        self.moments = {name: tuple(state[f"{name}.{part}"] for part in _MOMENTS) for name in NAMES}

    def _free(self) -> list[str]:
        return [name for name in NAMES if name not in self.frozen]

    def _scale(self) -> np.ndarray:
        return (1 / self.value["scale"] if self.inverse_scale else np.exp(self.value["scale"])).astype(np.float32)

    def _chain(self, by_conic: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradients of scale parameters (N, 2) and rotation (N,) from those of gaussians.conic(), (N, 3)."""
        rotation, (u, v) = self.value["rotation"], (0.5 / self._scale() ** 2).T
        cos, sin = np.cos(rotation), np.sin(rotation)
        ga, gb, gc = by_conic.T
        by_u = ga * cos * cos + 2 * gb * cos * sin + gc * sin * sin
        by_v = ga * sin * sin - 2 * gb * cos * sin + gc * cos * cos
        by_rotation = 2 * (u - v) * ((gc - ga) * cos * sin + gb * (cos * cos - sin * sin))
        both, uv = np.stack([by_u, by_v], 1), np.stack([u, v], 1)
        # u = 1 / (2 s^2): du / d(1/s) = 1/s, du / d(log s) = -2 u
        return both * self.value["scale"] if self.inverse_scale else -2 * uv * both, by_rotation

    def _keep_in_range(self) -> None:
        np.clip(self.value["scale"], *scale_limits(self.grid, self.inverse_scale), out=self.value["scale"])
        np.clip(self.value["bias"], -MAX_BIAS, MAX_BIAS, out=self.value["bias"])
        mean, size = self.value["mean"], np.array([self.grid.width, self.grid.height], np.float32)
        if "mean" not in self.frozen:
            if self.grid.wrap:
                mean -= size * np.floor(mean / size)
            np.clip(mean, 0, size, out=mean)


def scale_range(grid: Grid) -> tuple[float, float]:
    """Allowed standard deviations, texels. On the torus a Gaussian reaches at most half way round."""
    side = min(grid.width, grid.height)
    reach = float(np.sqrt(2 * (CUTOFF + MAX_BIAS)))
    high = 0.499 * side / reach if grid.wrap else max(side / 2, 8.0)
    return min(MIN_SCALE, 0.5 * high), high


def scale_limits(grid: Grid, inverse_scale: bool) -> tuple[float, float]:
    """scale_range() as Optimizer.value has scales."""
    low, high = scale_range(grid)
    return (1 / high, 1 / low) if inverse_scale else (float(np.log(low)), float(np.log(high)))


@njit(parallel=True, cache=True)
def _adam(value, gradient, first, second, steps, rate):
    """Kingma & Ba 2015, with a step count per Gaussian: one added later starts with its own bias correction."""
    for i in prange(len(value)):
        steps[i] += 1
        correct1 = np.float32(1 - BETA1 ** steps[i])
        correct2 = np.float32(1 - BETA2 ** steps[i])
        for k in range(value.shape[1]):
            g = gradient[i, k]
            first[i, k] = np.float32(BETA1) * first[i, k] + np.float32(1 - BETA1) * g
            second[i, k] = np.float32(BETA2) * second[i, k] + np.float32(1 - BETA2) * g * g
            deviation = np.sqrt(second[i, k] / correct2) + np.float32(TINY)
            value[i, k] -= rate * (first[i, k] / correct1) / deviation
