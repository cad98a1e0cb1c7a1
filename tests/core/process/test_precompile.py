"""Kernels are compiled once: how far that is can be heard, and a file in the cache says that it is over."""

from __future__ import annotations

import numba

from imagegs_blender.core.process import precompile
from imagegs_blender.core.process.worker import Worker
from tests.core.process import blocking
from tests.core.process.test_worker import QUICK
from tests.samples import picture_stack


def test_each_compilation_is_counted() -> None:
    @numba.njit
    def kernel(value: float) -> float:
        return value + 1

    heard: list[int] = []
    with precompile._counted(heard.append):
        kernel(1.0)
        kernel(2.0)
        kernel(3)
    kernel(4j)
    assert heard == [1, 2]


def test_the_first_fit_on_a_computer_prepares_it() -> None:
    """The kernels are in the cache already; what says so is taken away."""
    with Worker() as worker:
        blocking.fit(worker, picture_stack(64), QUICK)
    assert not precompile.is_needed()
    precompile._stamp().unlink()
    assert precompile.is_needed()
    with Worker() as worker:
        blocking.fit(worker, picture_stack(64), QUICK)
        assert worker.preparing is None
    assert not precompile.is_needed()


def test_progress_of_both_processes_grows_to_one() -> None:
    told: list[float] = []
    precompile.run(told.append)
    assert told == sorted(told) and all(0 < part <= 1 for part in told)
