"""Before the first fit on a computer its kernels are compiled: half of them in a second process.

Each process finds in Numba's cache the kernels that the other has compiled. A file in that cache says that all are there.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numba
import numpy as np
from llvmlite import binding
from numba.core import event

from ..decoding import leaves, lod, node_tables, tables
from ..devices.cpu.device import Cpu
from ..devices.optimizer import NAMES
from ..devices.types import Grid, LossWeights, Rows, Step
from ..gaussians import Gaussians
from ..igs import stream
from ..quality import metrics
from ..settings import PRESETS
from ..textures import resample, texture_stack
from ..textures.texture_stack import Channel, ColorSpace, Depth, MapInfo, Role
from .child import command, from_parent


def is_needed() -> bool:
    """Whether the cache may lack kernels of these sources, for this Numba and this processor."""
    return not _stamp().exists()


def run(tell: Callable[[float], None]) -> None:
    """Compile the kernels that the cache lacks, half of them in a process of its own, which ends with this one.

    tell   hears how much is done, 0..1
    """
    helper = subprocess.Popen(
        command(sys.executable, "core.process.precompile"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )  # fmt: skip
    assert helper.stdout is not None
    counts, lock = {"here": 0, "there": 0}, threading.Lock()

    def count(where: str, done: int) -> None:
        with lock:  # two threads tell, and lines must not mix
            counts[where] = done
            tell(sum(min(counts[w], most) for w, most in _COMPILATIONS.items()) / sum(_COMPILATIONS.values()))

    def listen(lines: IO[str]) -> None:
        for line in lines:
            count("there", int(line))

    reader = threading.Thread(target=listen, args=(helper.stdout,), daemon=True)
    reader.start()
    with _counted(lambda done: count("here", done)):
        _compile_fit()
    helper.wait()
    reader.join()
    if helper.returncode == 0:
        with suppress(OSError):  # a cache that can't be written to is looked through again by the next child
            _stamp().touch()


def main() -> int:
    """The process: the half that a fit needs late; it prints how many compilations are done."""
    from_parent()
    with _counted(lambda done: print(done, flush=True)):
        _compile_rest()
    return 0


_COMPILATIONS = {"here": 61, "there": 101}
"""How many there are in each process, measured with Numba 0.68; others only let a bar move unevenly."""

_SIZE, _PLANES = 64, 4


@contextmanager
def _counted(tell: Callable[[int], None]) -> Iterator[None]:
    """Hear of each compilation that ends, while the context lasts."""

    class Listener(event.Listener):  # type: ignore[misc]  # Numba has no types
        done = 0

        def on_start(self, _: event.Event) -> None:
            pass

        def on_end(self, _: event.Event) -> None:
            self.done += 1
            tell(self.done)

    with event.install_listener("numba:compile", Listener()):
        yield


def _gaussians() -> Gaussians:
    rng = np.random.default_rng(0)
    count = 200
    arrays = (
        rng.random((count, 2)), rng.uniform(1.5, 4, (count, 2)), rng.uniform(0, 3, count), rng.random((count, _PLANES)),
        np.zeros(count),
    )  # fmt: skip
    mean, scale, rotation, feature, bias = (a.astype(np.float32) for a in arrays)
    return Gaussians(mean, scale, rotation, feature, bias, _SIZE, _SIZE, True, PRESETS["balanced"].topk)


def _target() -> np.ndarray:
    return np.random.default_rng(1).random((_PLANES, _SIZE, _SIZE), np.float32)


def _compile_fit() -> None:
    """Grow: steps, error, removal."""
    settings, gaussians = PRESETS["balanced"], _gaussians()
    device = Cpu(_target(), Grid(_SIZE, _SIZE, True, settings.topk))
    optimizer = device.optimizer(settings.inverse_scale, dict.fromkeys(NAMES, 0.1))
    optimizer.add(gaussians.mean, 2.0, gaussians.feature)
    step = Step(rows=Rows(0, settings.row_stride))
    device.steps(optimizer, LossWeights(settings.l1, settings.l2, settings.ssim), [step])
    device.error(optimizer, settings.error_power)
    device.removal(optimizer)


def _compile_rest() -> None:
    """Pack, measure and tabulate."""
    gaussians, target = _gaussians(), _target()
    channels = tuple(Channel("plane", plane) for plane in range(_PLANES))
    maps = (
        MapInfo("color", Role.COLOR, ColorSpace.SRGB, Depth.U8, "RGB", _SIZE, _SIZE, channels[:3]),
        MapInfo("gray", Role.DATA, ColorSpace.RAW, Depth.U8, "L", _SIZE, _SIZE, channels[3:]),
    )
    stream.read(stream.write(gaussians, maps))
    pictures = texture_stack.images(target, maps, True)
    metrics.compare(pictures, pictures, {m.name: m.role for m in maps})
    lod.average(tables.build(gaussians, maps).tail)
    node_tables.build(gaussians, maps)
    resample.fill(target, target[0] > 0.5, True)


def _stamp() -> Path:
    """The file that says that the cache holds the kernels of these sources, for this Numba and this processor."""
    files = [path.stat() for path in sorted(Path(__file__).parents[1].rglob("*.py"))]
    state = [numba.__version__, binding.get_host_cpu_name(), *((s.st_mtime_ns, s.st_size) for s in files)]
    return Path(leaves.fill.stats.cache_path, f"compiled-{hashlib.sha256(repr(state).encode()).hexdigest()[:16]}")
