"""What is done to a file, without buttons: the handlers that keep decoders whole, and the work behind each operator."""

from __future__ import annotations

from . import as_images, comparison, distance, forecast, levels, rebuild, run, saving, uv_changes

_MODULES = (as_images, forecast, comparison, distance, levels, rebuild, saving, run, uv_changes)


def register() -> None:
    for module in _MODULES:
        module.register()


def unregister() -> None:
    for module in reversed(_MODULES):
        module.unregister()
