"""Candidates by code: a Gaussian itself, or its copy across the border of a texture that repeats.

    code = 9 i + 3 (sx + 1) + (sy + 1)

is Gaussian i, its mean moved by sx periods across and sy down, each -1, 0 or 1; -1 is no candidate.
"""

from __future__ import annotations

from typing import Any

from numba.extending import register_jitable

COPIES = 9
"""Codes of one Gaussian."""

ITSELF = 4
"""The one of them that is not moved."""

NONE = -1
"""The code of a slot that holds no candidate."""


@register_jitable
def code_of(i: Any, sx: Any, sy: Any) -> Any:
    """The code of Gaussian i, moved by (sx, sy) periods."""
    return COPIES * i + 3 * (sx + 1) + sy + 1


@register_jitable
def gaussian_of(code: Any) -> Any:
    """i, of a code that is not NONE."""
    return code // COPIES


@register_jitable
def shift_of(code: Any) -> Any:
    """(sx, sy) in periods, of a code that is not NONE."""
    return code % COPIES // 3 - 1, code % 3 - 1
