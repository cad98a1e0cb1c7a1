"""The seconds that a fit may take."""

from __future__ import annotations

import math
import time

from ..errors import ImageGSError

TIMED_STEPS = 8
"""Steps after which steps_left() is asked, if they are enough seconds to tell. Chosen by trial."""

_TIMED_SHARE = 0.01
"""Share of the seconds that these steps take at least: those of a small picture are too short to be told by eight of them."""

_AGAIN = (0.25, 0.5, 0.7)
"""Shares of the seconds after which it is asked again: a computer may have got other work meanwhile, and rates must have fallen
when a fit is cut short."""

_LATER_STEPS = 1.35, 1.2, 1.1, 1.05
"""How much longer later steps take than those before, which have fewer Gaussians: judged first, and again. Chosen by trial."""

GROWING_SHARE = 0.85
"""Share of the seconds after which Gaussians grow no longer: settling needs the rest. Chosen by trial."""

SETTLING_SHARE = 0.97
"""Share of the seconds after which a fit only ends. Chosen by trial."""

LEAST_STEPS = 16
"""Steps of the shortest fit that gives a picture: all Gaussians are placed, and their parameters frozen one by one. Of preset
fast at 1 bpp they give 27.7 dB of the 34.4 dB of all 500 (scifi_container), or 34.0 of 35.2 (wood_table_worn)."""

_KNOWN_STEPS = 3
"""Steps after which the time of one is known well enough to say that the seconds are too few."""


class TooShort(ImageGSError):
    """A time budget gives no picture.

    least   seconds that a fit takes at least, on this stack and machine, from what was seen of it
    """

    def __init__(self, seconds: float, least: float) -> None:
        self.least = least
        super().__init__(f"time-budget {seconds:g} is too short for a picture: at least {rounded_up(least)} s here")


def rounded_up(seconds: float) -> str:
    """Seconds with two digits, not less than they are."""
    digits = max(0, 1 - math.floor(math.log10(max(seconds, 0.01))))
    return f"{math.ceil(seconds * 10**digits) / 10**digits:g}"


class TimeBudget:
    """Measures a fit from now on.

    seconds   those allowed; None: any number
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._started = time.perf_counter()
        self._steps = self._judged = 0  # how often
        self._since = (
            0.0,
            0,
        )  # seconds and steps when it was judged last; before, after the first step, which compiles kernels

    def elapsed(self) -> float:
        """Seconds since the fit began."""
        return time.perf_counter() - self._started

    def stepped(self) -> None:
        """Take note that a step is done."""
        self._steps += 1
        if self._steps == 1:
            self._since = self.elapsed(), 1

    def is_judged(self) -> bool:
        """Whether it is time to ask for steps_left(): after so many steps, and again later."""
        if self.seconds is None:
            return False
        if self._judged:
            return self._judged <= len(_AGAIN) and self.spent(_AGAIN[self._judged - 1])
        is_told = self._steps >= TIMED_STEPS and self.elapsed() - self._since[0] >= _TIMED_SHARE * self.seconds
        return is_told or (self._steps >= _KNOWN_STEPS and self.spent(GROWING_SHARE))

    def steps_left(self, taken: int, planned: int) -> int:
        """How many more steps the seconds left allow, judged by those taken since the last time, or since the first one.

        taken     steps of the fit so far, with those before a checkpoint
        planned   steps of the fit where there is time for all. Raises TooShort where there is too little for a picture.
        """
        assert self.seconds is not None
        elapsed = self.elapsed()
        seconds, steps = self._since
        each = _LATER_STEPS[self._judged] * (elapsed - seconds) / (self._steps - steps)
        self._judged, self._since = self._judged + 1, (elapsed, self._steps)
        left = int((self.seconds - elapsed) / each)
        missing = min(LEAST_STEPS, planned) - taken
        if left < missing:
            raise TooShort(self.seconds, elapsed + missing * each)
        return left

    def spent(self, share: float) -> bool:
        """Whether this share (0..1) of the seconds is over; never where any number is allowed."""
        return self.seconds is not None and self.elapsed() > share * self.seconds

    def ends(self, share: float) -> bool:
        """Whether a share of the seconds is over that are known to be enough for a picture."""
        return self._judged > 0 and self.spent(share)
