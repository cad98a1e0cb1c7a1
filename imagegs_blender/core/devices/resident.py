"""An Optimizer whose numbers stay in a device's memory between steps."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from .optimizer import NAMES, Optimizer
from .types import Grid

Numbers = TypeVar("Numbers")
"""What a device has them in."""


class Store(Protocol[Numbers]):
    """A device's memory for the numbers of N splats.

    width     numbers of a row of the free numbers, and of each of Adam's moments
    feature   where the features begin in it; before them come mean (2), scale (2), rotation and bias
    """

    width: int
    feature: int

    def allocated(self, n: int) -> Numbers:
        """Memory for n splats."""
        ...

    def send(self, numbers: Numbers, tables: list[np.ndarray], steps: np.ndarray) -> None:
        """(N, width) float32 of values and both moments, and steps (N, 5) int32, to the device."""
        ...

    def bring(self, numbers: Numbers, n: int) -> tuple[list[np.ndarray], np.ndarray]:
        """The other way; waits for the device."""
        ...


class Resident(Optimizer, Generic[Numbers]):
    """Optimizer: the numbers are either here or on the device, and go where they are asked for.

    Reading or setting value and moments brings them here, which waits for the device; on_device() brings them there.
    """

    def __init__(
        self, store: Store[Numbers], grid: Grid, planes: int, inverse_scale: bool, rate: dict[str, float]
    ) -> None:
        self._store = store
        feature = slice(store.feature, store.feature + planes)
        self._columns: dict[str, Any] = {
            "mean": slice(0, 2), "scale": slice(2, 4), "rotation": 4, "bias": 5, "feature": feature,
        }  # fmt: skip
        self._numbers: Numbers | None = None
        self._room = 0  # splats that _numbers are for
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
        if self._numbers is None or self._room != len(self):
            self._numbers = None  # frees what the next line may need
            self._numbers, self._room = self._store.allocated(len(self)), len(self)
        if not self._are_away:
            parts = [self._moments[name] for name in NAMES]
            values = [self._value[name] for name in NAMES], *([part[k] for part in parts] for k in (0, 1))
            tables = [self._table(of_names) for of_names in values]
            self._store.send(self._numbers, tables, np.stack([part[2] for part in parts], 1))
            self._are_away = True
        return self._numbers

    def _table(self, of_names: list[np.ndarray]) -> np.ndarray:
        table = np.zeros((len(self), self._store.width), np.float32)
        for name, values in zip(NAMES, of_names, strict=True):
            table[:, self._columns[name]] = values
        return table

    def _bring_here(self) -> None:
        if not self._are_away:
            return
        self._are_away = False
        assert self._numbers is not None
        (value, first, second), steps = self._store.bring(self._numbers, len(self))
        for group, name in enumerate(NAMES):
            columns = self._columns[name]
            self._value[name] = np.ascontiguousarray(value[:, columns])
            moments = (np.ascontiguousarray(table[:, columns]) for table in (first, second))
            self._moments[name] = (*moments, np.ascontiguousarray(steps[:, group]))
