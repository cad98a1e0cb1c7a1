"""An Optimizer whose numbers stay on the GPU between steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..optimizer import NAMES, Optimizer
from ..types import Grid
from .layout import GROUPS
from .pipeline import Machine, Numbers

_COLUMNS: dict[str, Any] = {
    "mean": slice(0, 2),
    "scale": slice(2, 4),
    "rotation": 4,
    "bias": 5,
    "feature": slice(6, None),
}
"""Where each of NAMES is in a row of Numbers."""


class Resident(Optimizer):
    """Optimizer: the numbers are either here or on the device, and go where they are asked for.

    Reading or setting value and moments brings them here, which waits for the device; on_device() brings them there.
    """

    def __init__(self, machine: Machine, grid: Grid, planes: int, inverse_scale: bool, rate: dict[str, float]) -> None:
        self._machine, self._planes = machine, planes
        self._numbers = self._allocated(0)
        self._are_away = False  # the device's are newer than those here
        super().__init__(grid, planes, inverse_scale, rate)

    def __len__(self) -> int:
        return len(self._value["mean"])  # is known here, wherever the numbers are

    @property
    def value(self) -> dict[str, np.ndarray]:
        """The free numbers."""
        self._bring_here()
        return self._value

    @value.setter
    def value(self, value: dict[str, np.ndarray]) -> None:
        self._bring_here()
        self._value = value

    @property
    def moments(self) -> dict[str, tuple[np.ndarray, ...]]:
        """Adam's moments."""
        self._bring_here()
        return self._moments

    @moments.setter
    def moments(self, moments: dict[str, tuple[np.ndarray, ...]]) -> None:
        self._bring_here()
        self._moments = moments

    def on_device(self) -> Numbers:
        """The numbers there: in the same memory as before, as long as there are as many Gaussians."""
        if not self._are_away:
            if len(self._numbers.value) != len(self):
                self._numbers = self._allocated(0)  # frees what the next line may need
                self._numbers = self._allocated(len(self))
            self._send()
            self._are_away = True
        return self._numbers

    def _allocated(self, n: int) -> Numbers:
        device = self._machine.device
        value, first, second = (torch.empty((n, 6 + self._planes), device=device) for _ in range(3))
        return Numbers(value, first, second, torch.empty((n, GROUPS), dtype=torch.int32, device=device))

    def _send(self) -> None:
        value, moments = [self._value[name] for name in NAMES], [self._moments[name] for name in NAMES]
        first, second, steps = ([of_name[part] for of_name in moments] for part in range(3))
        for tensor, arrays in (
            (self._numbers.value, value),
            (self._numbers.first, first),
            (self._numbers.second, second),
        ):
            tensor.copy_(torch.from_numpy(np.concatenate([a.reshape(len(self), -1) for a in arrays], 1)))
        self._numbers.steps.copy_(torch.from_numpy(np.stack(steps, 1)))

    def _bring_here(self) -> None:
        if not self._are_away:
            return
        self._are_away = False
        tables = [tensor.cpu().numpy() for tensor in (self._numbers.value, self._numbers.first, self._numbers.second)]
        steps = self._numbers.steps.cpu().numpy()
        for group, name in enumerate(NAMES):
            value, first, second = (np.ascontiguousarray(table[:, _COLUMNS[name]]) for table in tables)
            self._value[name] = value
            self._moments[name] = (first, second, np.ascontiguousarray(steps[:, group]))
