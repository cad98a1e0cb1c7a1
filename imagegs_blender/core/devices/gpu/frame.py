"""What changes from launch to launch: Frame of common.wgsl, as bytes."""

from __future__ import annotations

import ctypes

_INTEGERS = (
    "width", "height", "columns", "wrap", "band", "blocks", "from_block", "to_block", "splats", "capacity", "first_row",
    "slot", "more", "plane", "items",
)  # fmt: skip
_NUMBERS = (
    "l1", "l2", "ssim", "power", "rate_mean", "rate_scale", "rate_rotation", "rate_bias", "rate_feature", "lowest_scale",
    "highest_scale", "most_bias",
)  # fmt: skip


class Frame(ctypes.Structure):
    """Frame of common.wgsl."""

    _fields_ = [
        *((name, ctypes.c_uint32) for name in _INTEGERS),
        *((name, ctypes.c_float) for name in _NUMBERS),
        ("inverse_scale", ctypes.c_uint32),
    ]

    def but(self, **changes: float) -> Frame:
        """The same with other numbers."""
        changed = Frame.from_buffer_copy(self)
        for name, value in changes.items():
            setattr(changed, name, value)
        return changed
