"""A number of splats at work on the GPU: their pipeline, its steps as one launch, and what a step exchanges with the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ..types import LossWeights
from .layout import GROUPS
from .pipeline import Machine, Numbers, Pipeline


@dataclass(frozen=True)
class Kind:
    """What steps must have in common to be launched as one graph, which keeps all of it, and the addresses of numbers."""

    numbers: Numbers
    inverse_scale: bool
    weights: LossWeights
    stride: int


class Steps:
    """Steps of one kind: the first is taken kernel by kernel, which finds out whether memory suffices; the others as one graph."""

    def __init__(self, kind: Kind, work: Callable[[], None], machine: Machine) -> None:
        self.kind, self._work, self._machine = kind, work, machine
        self._is_first = True
        self._graph: Callable[[], None] | None = None

    def launch(self) -> None:
        """Enqueue one."""
        if self._is_first:
            self._is_first = False
            self._work()
            return
        self._graph = self._graph or self._machine.captured(self._work)
        self._graph()


@dataclass
class Session:
    """What is allocated for a number of splats, beside the target.

    steps   of the kind that was taken last; None before the first step
    """

    pipeline: Pipeline
    steps: Steps | None = None


class Exchange:
    """Six numbers that a step takes along and four that it brings back: in memory that the device copies by itself.

    controls   (6,) float32 on the device: Adam's rate of each group, 0 where it keeps its value; then the first row
    """

    def __init__(self, machine: Machine) -> None:
        self.controls = torch.zeros(GROUPS + 1, dtype=torch.float32, device=machine.device)
        self._outgoing = machine.pinned(GROUPS + 1, dtype=torch.float32)
        self._incoming = machine.pinned(4, dtype=torch.float64)

    def write(self, rates: Sequence[float], first_row: int) -> None:
        """What the next step takes along."""
        self._outgoing.copy_(torch.tensor([*rates, first_row], dtype=torch.float32))

    def send(self) -> None:
        """Enqueue the way there."""
        self.controls.copy_(self._outgoing, non_blocking=True)

    def fetch(self, pipeline: Pipeline) -> None:
        """Enqueue the way back."""
        pipeline.report[3:].copy_(pipeline.needed)
        self._incoming.copy_(pipeline.report, non_blocking=True)

    def read(self) -> tuple[list[float], int]:
        """What the step brought: the sums of the loss (l1, l2, ssim), and how many entries its lists need."""
        *totals, needed = self._incoming.tolist()
        return totals, int(needed)
