"""The numbers of an Optimizer in the GPU's memory, as PyTorch's tensors."""

from __future__ import annotations

import numpy as np
import torch

from ..plan import GROUPS
from .pipeline import Machine, Numbers


class Tensors:
    """Store: rows of the free numbers without gaps, as the kernels have them."""

    feature = 6

    def __init__(self, machine: Machine, planes: int) -> None:
        self._device = machine.device
        self.width = self.feature + planes

    def allocated(self, n: int) -> Numbers:
        value, first, second = (torch.empty((n, self.width), device=self._device) for _ in range(3))
        return Numbers(value, first, second, torch.empty((n, GROUPS), dtype=torch.int32, device=self._device))

    def send(self, numbers: Numbers, tables: list[np.ndarray], steps: np.ndarray) -> None:
        for tensor, table in zip((numbers.value, numbers.first, numbers.second), tables, strict=True):
            tensor.copy_(torch.from_numpy(table))
        numbers.steps.copy_(torch.from_numpy(steps))

    def bring(self, numbers: Numbers, n: int) -> tuple[list[np.ndarray], np.ndarray]:  # noqa: ARG002
        tables = [tensor.cpu().numpy() for tensor in (numbers.value, numbers.first, numbers.second)]
        return tables, numbers.steps.cpu().numpy()
