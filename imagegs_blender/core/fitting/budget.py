"""The seconds that a fit may take."""

from __future__ import annotations

import time

TIMED_STEPS = 8
"""Steps after which steps_left() is asked: the time of a step is known well enough then. Chosen by trial."""

_LATER_STEPS = 1.35
"""How much longer the later steps take than the first ones, which have fewer Gaussians. Chosen by trial."""

GROWING_SHARE = 0.85
"""Share of the seconds after which Gaussians grow no longer: settling needs the rest. Chosen by trial."""

SETTLING_SHARE = 0.97
"""Share of the seconds after which a fit only ends. Chosen by trial."""


class TimeBudget:
    """Measures a fit from now on.

    seconds   those allowed; None: any number
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._started = time.perf_counter()
        self._compiled: float | None = None  # seconds until the first step was done: kernels are compiled in it

    def elapsed(self) -> float:
        """Seconds since the fit began."""
        return time.perf_counter() - self._started

    def stepped(self) -> None:
        """Take note that a step is done."""
        if self._compiled is None:
            self._compiled = self.elapsed()

    def steps_left(self, taken: int) -> int:
        """How many steps the seconds left allow, judged by those taken (2 or more) but the first."""
        assert self.seconds is not None and self._compiled is not None
        elapsed = self.elapsed()
        each = _LATER_STEPS * (elapsed - self._compiled) / (taken - 1)
        return int((self.seconds - elapsed) / each)

    def spent(self, share: float) -> bool:
        """Whether this share (0..1) of the seconds is over; never where any number is allowed."""
        return self.seconds is not None and self.elapsed() > share * self.seconds
