"""The add-on as Blender keeps it: the name that it has there, and its preferences."""

from __future__ import annotations

from typing import Any

import bpy

PACKAGE = __package__.rpartition(".")[0]


def preferences() -> Any:
    """The add-on's preferences; None where it is not enabled as an add-on (scripts, tests)."""
    everyone = bpy.context.preferences
    assert everyone is not None
    addon = everyone.addons.get(PACKAGE)
    return addon.preferences if addon else None
