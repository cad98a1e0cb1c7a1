"""What operators and panels say to people, in the language of the interface where it has been translated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy

_translations: Any = bpy.app.translations  # its annotations say that nothing is returned


def say(text: str) -> str:
    """A report's translation, given its English words (with {fields} to be filled in afterwards)."""
    return _translations.pgettext_rpt(text)


def shown(text: str) -> str:
    """The same for what is shown in a panel."""
    return _translations.pgettext_iface(text)


def counted(number: int, one: str, many: str, translate: Callable[[str], str] = shown) -> str:
    """A number with the word for that many, such as "1 image" or "12 images"."""
    return f"{number:,} {translate(one if number == 1 else many)}"
