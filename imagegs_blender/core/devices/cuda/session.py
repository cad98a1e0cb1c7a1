"""A number of splats at work on the GPU: their pipeline, its steps as one launch, and what a step exchanges with the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ..plan import GROUPS
from ..types import LossWeights
from .pipeline import Machine, Numbers, Pipeline


@dataclass(frozen=True)
class Kind:
    """What steps must have in common to be launched as one graph, which keeps all of it, and the addresses of numbers."""

    numbers: Numbers
    inverse_scale: bool
    weights: LossWeights
    stride: int


class Steps:
    """Steps of one kind: the first kernel by kernel, which finds out whether memory suffices; the others as one graph."""

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
    """Six numbers that each step takes along and four that it brings back, for up to `ahead` steps that follow one another.

    controls   (6,) float32 on the device: Adam's rate of each group, 0 where it keeps its value; then the first row
    """

    def __init__(self, machine: Machine, ahead: int) -> None:
        self._machine = machine
        self._all_controls = torch.zeros((ahead, GROUPS + 1), dtype=torch.float32, device=machine.device)
        self._current = torch.zeros((1, GROUPS + 1), dtype=torch.float32, device=machine.device)
        self._reports = torch.zeros((ahead, 4), dtype=torch.float64, device=machine.device)
        self._at = torch.zeros(1, dtype=torch.int64, device=machine.device)  # the step that is taken
        self._outgoing = machine.pinned(ahead, GROUPS + 1, dtype=torch.float32)
        self._incoming = machine.pinned(ahead, 4, dtype=torch.float64)
        self.controls = self._current[0]

    def send(self, controls: Sequence[Sequence[float]]) -> None:
        """Enqueue the way there of what the next steps take along, a row for each."""
        self._outgoing[: len(controls)].copy_(torch.tensor(controls, dtype=torch.float32))
        self._all_controls.copy_(self._outgoing, non_blocking=True)
        self._at.zero_()

    def begin(self) -> None:
        """Enqueue: the step's controls are the current ones."""
        torch.index_select(self._all_controls, 0, self._at, out=self._current)

    def end(self, pipeline: Pipeline) -> None:
        """Enqueue: the step's report is kept, and the next step follows."""
        pipeline.report[3:].copy_(pipeline.needed)
        self._reports.index_copy_(0, self._at, pipeline.report[None])
        self._at.add_(1).remainder_(len(self._reports))

    def read(self, steps: int) -> list[list[float]]:
        """Wait for so many steps; for each the sums of the loss (l1, l2, ssim), and how many entries its lists need."""
        self._incoming.copy_(self._reports, non_blocking=True)
        self._machine.wait()
        return self._incoming[:steps].tolist()
