"""What operators say to people, in the language of the interface where it has been translated."""

from __future__ import annotations

from collections.abc import Callable

from bpy.app.translations import pgettext_iface, pgettext_rpt

say = pgettext_rpt
"""A report's translation, given its English words (with {fields} to be filled in afterwards)."""


def counted(number: int, one: str, many: str, translate: Callable[[str], str] = pgettext_iface) -> str:
    """A number with the word for that many, such as "1 image" or "12 images"."""
    return f"{number:,} {translate(one if number == 1 else many)}"
