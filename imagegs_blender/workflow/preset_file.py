"""Presets of the panel as Blender keeps them: files of Python lines `settings.name = value`, which are read, not run."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from ..core.errors import ImageGSError

NAMES = {
    "preset": str, "rate": str, "max_kilobytes": float, "bpp": float, "target_psnr": float, "seed": int,
    "even_if_not_smaller": bool, "ignore_unused": bool, "importance": str, "weigh": str, "importance_attribute": str,
}  # fmt: skip
"""What a preset holds of the panel's settings, and their types: all but an image, which another file would not have."""

OBJECT = "settings"
"""The name that the lines give to what they set."""


def read(path: Path) -> tuple[dict[str, Any], list[str]]:
    """The values of a preset by name, and the names in it that this version does not know, or not with such a value.

    Raises ImageGSError where the file can't be read, or is no preset of this add-on.
    """
    try:
        lines = ast.parse(path.read_text("utf-8")).body
    except OSError as error:
        raise ImageGSError(f"{path}: can't be read ({error.strerror}); choose another preset") from None
    except (SyntaxError, ValueError):
        raise ImageGSError(f"{path}: is no preset; choose a file that the panel's Presets saved") from None
    values: dict[str, Any] = {}
    unknown = []
    for line in lines:
        match line:
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id=name), attr=key)], value=value) if name == OBJECT:
                found = _constant(value, path, key)
                if key in NAMES and isinstance(found, (int, float) if NAMES[key] is float else NAMES[key]):
                    values[key] = found
                else:
                    unknown.append(key)
    if not values:
        raise ImageGSError(f"{path}: holds no settings; choose a file that the panel's Presets saved")
    return values, unknown


def _constant(value: ast.expr, path: Path, key: str) -> Any:
    try:
        found = ast.literal_eval(value)
    except ValueError:
        raise ImageGSError(f"{path}: {key} is not a plain value; save the preset again") from None
    return found
