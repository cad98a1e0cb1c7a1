"""When Gaussians are added, how the rates of a fit fall, and when it has stopped gaining."""

from __future__ import annotations

from ..devices.types import Loss
from ..settings import FitSettings

_LAST_DECAY = 30.0
"""What the rates are divided by at the end. Chosen by trial."""


def decay(along: float, share: float) -> float:
    """1, then over the last `share` (0..1) of the way geometrically down to 1 / _LAST_DECAY; along is 0..1."""
    past = (along - (1 - share)) / share if share else 0.0
    return float(_LAST_DECAY ** -max(0.0, past))


def reversed_bits(step: int, size: int) -> int:
    """Every number below size, a power of 2, once in size steps, neighbors far apart (van der Corput)."""
    bits = size.bit_length() - 1
    return int(f"{step % size:0{bits}b}"[::-1], 2) if bits else 0


class Additions:
    """When Gaussians are added to those of the start. A stage is what lies between two additions.

    stage   additions made so far
    """

    def __init__(self, settings: FitSettings) -> None:
        self.settings = settings
        self.stage = 0

    def steps(self, growing: int) -> list[int]:
        """The steps at which Gaussians are added, of a fit in which they grow for so many steps; none where all are there."""
        settings = self.settings
        if settings.initial_ratio >= 1:
            return []
        spacing = settings.add_steps or max(1, int(growing * settings.add_share) // max(settings.add_times, 1))
        return [k * spacing for k in range(1, settings.add_times + 1) if k * spacing < growing]

    def ahead(self, growing: int) -> list[int]:
        """Those not made yet."""
        return self.steps(growing)[self.stage :]


class Plateau:
    """Image-GS's schedule: when PSNR or SSIM stalls for check_decay_steps, the rates fall by decay_ratio; then the fit ends.

    factor   what the rates are multiplied by
    """

    def __init__(self, settings: FitSettings) -> None:
        self.settings = settings
        self.factor = 1.0
        self.best_psnr = self.best_ssim = -1.0
        self.waited = self.decays = 0

    def stalled(self, loss: Loss) -> bool:
        """Take note of a step. True when the fit should end."""
        settings = self.settings
        if not (settings.lr_schedule and settings.check_decay_steps):
            return False
        threshold = settings.decay_threshold
        gained = loss.psnr > self.best_psnr + 100 * threshold
        if loss.ssim is not None:
            gained = gained and loss.ssim > self.best_ssim + threshold
        if gained:
            self.best_psnr, self.best_ssim, self.waited = loss.psnr, loss.ssim or 0.0, 0
            return False
        self.waited += 1
        if self.waited < settings.check_decay_steps:
            return False
        self.waited = 0
        self.decays += 1
        self.factor /= settings.decay_ratio
        return self.decays > settings.max_decay_times

    def state(self) -> dict[str, float]:
        """All that the schedule depends on: restore() takes it."""
        return {name: getattr(self, name) for name in _STATE}

    def restore(self, state: dict[str, float]) -> None:
        """Go on from an earlier state()."""
        for name in _STATE:
            setattr(self, name, state[name])


_STATE = ("factor", "best_psnr", "best_ssim", "waited", "decays")
