"""Features in closed form: nearer to the picture with every iteration, and never so large that they can't be stored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from imagegs_blender.core.devices.cpu.device import Cpu
from imagegs_blender.core.devices.types import Grid, LossWeights, Splats
from imagegs_blender.core.fitting.solve import solve_features


def test_iterations_beyond_what_rounding_allows_do_no_harm() -> None:
    """Of pairs at nearly one place only the sum counts: their difference is as flat as rounding lets it look."""
    rng, grid, count = np.random.default_rng(0), Grid(32, 32, False, 6), 40
    center = (rng.random((count, 2)) * 32).astype(np.float32)
    center[20:] = center[:20] + np.float32(0.001)
    conic = np.tile(np.float32([0.02, 0, 0.02]), (count, 1))
    splats = Splats(center, conic, np.zeros(count, np.float32), rng.random((count, 2)).astype(np.float32))
    picture = Cpu(np.zeros((2, 32, 32), np.float32), grid).render(splats)
    device = Cpu(picture + rng.normal(0, 0.1, picture.shape).astype(np.float32), grid)
    solved = [solve_features(device, splats, iterations) for iterations in (0, 9, 300)]
    losses = [device.gradient(replace(splats, feature=f), LossWeights(l2=1.0))[0].l2 for f in solved]
    assert losses[0] > losses[1] >= losses[2]
    assert np.abs(solved[2]).max() < 10
