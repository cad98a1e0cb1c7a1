"""The first fit on a machine compiles its kernels; those that it needs late are compiled beside it, by a second process.

Each process finds in Numba's cache the kernels that the other has compiled. A file in that cache says that all are there.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
from llvmlite import binding

from ..decoding import leaves, tables
from ..devices.cpu.device import Cpu
from ..devices.optimizer import NAMES
from ..devices.types import Grid
from ..gaussians import Gaussians
from ..igs import stream
from ..quality import metrics
from ..settings import PRESETS
from ..textures import resample, texture_stack
from ..textures.texture_stack import Channel, ColorSpace, Depth, MapInfo, Role
from .child import command, from_parent


def start() -> subprocess.Popen | None:
    """Compile the kernels that the cache lacks, in a process that ends with this one; None where it lacks none."""
    if _stamp().exists():
        return None
    return subprocess.Popen(
        command(sys.executable, "process.precompile"),
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )  # fmt: skip


def main() -> int:
    """The process: grow, pack, measure and tabulate a small picture."""
    from_parent()
    rng = np.random.default_rng(0)
    size, count, planes = 64, 200, 4
    arrays = (
        rng.random((count, 2)), rng.uniform(1.5, 4, (count, 2)), rng.uniform(0, 3, count), rng.random((count, planes)),
        np.zeros(count),
    )  # fmt: skip
    mean, scale, rotation, feature, bias = (a.astype(np.float32) for a in arrays)
    topk = PRESETS["balanced"].topk
    gaussians = Gaussians(mean, scale, rotation, feature, bias, size, size, True, topk)
    channels = tuple(Channel("plane", plane) for plane in range(planes))
    maps = (
        MapInfo("color", Role.COLOR, ColorSpace.SRGB, Depth.U8, "RGB", size, size, channels[:3]),
        MapInfo("gray", Role.DATA, ColorSpace.RAW, Depth.U8, "L", size, size, channels[3:]),
    )
    target = rng.random((planes, size, size), np.float32)
    device = Cpu(target, Grid(size, size, True, topk))
    optimizer = device.optimizer(PRESETS["balanced"].inverse_scale, dict.fromkeys(NAMES, 0.1))
    optimizer.add(mean, 2.0, feature)
    device.error(optimizer, PRESETS["balanced"].error_power)
    device.removal(optimizer)
    stream.read(stream.write(gaussians, maps))
    pictures = texture_stack.images(target, maps, True)
    metrics.compare(pictures, pictures, {m.name: m.role for m in maps})
    tables.build(gaussians, maps)
    resample.fill(target, target[0] > 0.5, True)
    _stamp().touch()
    return 0


def _stamp() -> Path:
    """The file that says that the cache holds the kernels of these sources, for this Numba and this processor."""
    files = [path.stat() for path in sorted(Path(__file__).parents[1].rglob("*.py"))]
    state = [numba.__version__, binding.get_host_cpu_name(), *((s.st_mtime_ns, s.st_size) for s in files)]
    return Path(leaves.fill.stats.cache_path, f"compiled-{hashlib.sha256(repr(state).encode()).hexdigest()[:16]}")
