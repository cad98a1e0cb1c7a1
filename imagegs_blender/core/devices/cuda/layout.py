"""What Python and the kernels agree on: launch geometry and structures. nvrtc.constants() hands all of it to the kernels."""

from __future__ import annotations

import ctypes

from ...ssim import SSIM_RADIUS
from ..plan import GROUPS

WARP = 32
"""Threads that run in step, on every NVIDIA GPU."""

SPLAT_FLOATS = 8
"""Numbers of 4 bytes in a Splat of common.cuh."""

BIN_THREADS = 128
"""Threads of a thread block that lists the blocks of splats, a warp per splat."""

SCAN_THREADS = 1024
SCAN_CHUNK = 4 * SCAN_THREADS
"""Numbers that a thread block of a scan sums up: four a thread."""

RANK_THREADS = 128
"""Threads of a thread block that orders the entries of a block of texels."""

ROW_THREADS = 128
"""Threads of a thread block of all kernels that have a thread, or a warp, for each splat or number."""

LOSS_THREADS = 1024
"""Threads that sum up the loss: one thread block, so that the order of the sum is fixed."""

SSIM_THREADS = 128
"""Threads of a thread block that walks down a strip, one for each column."""

SSIM_PANEL = SSIM_THREADS - 4 * SSIM_RADIUS
"""Columns whose gradient a thread block computes; its other threads blur what is beside them."""

SSIM_STRIP = 64
"""Rows whose gradient a thread block computes."""

NUMBERS = (
    "WARP", "SPLAT_FLOATS", "BIN_THREADS", "SCAN_THREADS", "SCAN_CHUNK", "RANK_THREADS", "ROW_THREADS",
    "LOSS_THREADS", "SSIM_THREADS", "SSIM_PANEL", "SSIM_STRIP",
)  # fmt: skip
"""Those above, by the names that the kernels know them by."""


class Field(ctypes.Structure):
    """Field of common.cuh."""

    _fields_ = [(name, ctypes.c_int) for name in ("width", "height", "columns", "wrap", "first_row", "rows")]


class Scene(ctypes.Structure):
    """Scene of blend.cuh."""

    _fields_ = [
        ("splats", ctypes.c_void_p), ("features", ctypes.c_void_p), ("stride", ctypes.c_int), ("field", Field),
        ("start", ctypes.c_void_p), ("entries", ctypes.c_void_p), ("capacity", ctypes.c_int),
    ]  # fmt: skip


class Rules(ctypes.Structure):
    """Rules of splats.cuh."""

    _fields_ = [("inverse_scale", ctypes.c_int), ("wrap", ctypes.c_int)] + [
        (name, ctypes.c_float) for name in ("width", "height", "lowest_scale", "highest_scale", "max_bias")
    ]


def definitions() -> str:
    """The numbers, and the sizes of the structures, as C++: the kernels assert that theirs are as large."""
    values = {"GROUPS": GROUPS} | {name: globals()[name] for name in NUMBERS}
    numbers = ", ".join(f"{name} = {value}" for name, value in values.items())
    sizes = ", ".join(f"{kind.__name__.upper()}_BYTES = {ctypes.sizeof(kind)}" for kind in (Field, Scene, Rules))
    return f"constexpr int {numbers};\nconstexpr int {sizes};"
