"""What decodes Gaussians: the processor, or a graphics card where one was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from ..devices import choice
from ..devices.cpu import device as cpu
from ..devices.gpu import adapters
from ..devices.types import Grid, Splats
from ..errors import DeviceFailed

PLACES = ("auto", "cpu", "gpu")
"""auto is a graphics card where there is one, else the processor."""

Render = Callable[[Splats, Grid, Iterable[tuple[int, int]]], Iterator[np.ndarray]]

_render: ContextVar[Render] = ContextVar("render", default=cpu.render_rows)

preferred = ("cpu", "")
"""What a person prefers, place and adapter: for on()."""


def render_rows(splats: Splats, grid: Grid, ranges: Iterable[tuple[int, int]]) -> Iterator[np.ndarray]:
    """(C, end - first, width) float32 for each (first, end) of rows of texels."""
    return _render.get()(splats, grid, ranges)


@contextmanager
def on(place: str, adapter: str = "") -> Iterator[str]:
    """Within, all that is decoded is decoded there: one of PLACES. Gives its name.

    adapter   part of the name of the graphics card; empty: the first
    Raises ImageGSError where it can't be had; and within, DeviceFailed where it fails.
    """
    if place == "cpu" or choice.choose(place, adapter, cuda=False) == "cpu":
        yield "CPU"
        return
    from ..devices.gpu import decode
    from ..devices.gpu.machine import machine

    chosen = machine(adapters.choose(adapter))

    def render(splats: Splats, grid: Grid, ranges: Iterable[tuple[int, int]]) -> Iterator[np.ndarray]:
        return decode.render_rows(chosen, splats, grid, ranges)

    token = _render.set(render)
    try:
        yield chosen.name
    finally:
        _render.reset(token)


def as_preferred(decoded: Callable[[], np.ndarray]) -> tuple[np.ndarray, str]:
    """What decoded() gives where a person prefers it, and what decoded it; where auto fails, on the processor, and why."""
    place, adapter = preferred
    try:
        with on(place, adapter) as name:
            return decoded(), name
    except DeviceFailed as error:
        if place != "auto":
            raise
        return decoded(), f"CPU, because {error}"
