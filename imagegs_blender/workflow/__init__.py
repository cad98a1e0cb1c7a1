"""What is done to a file, without buttons: the handlers that keep decoders whole, and the work behind each operator."""

from __future__ import annotations

from ..blend import amount
from . import as_images, auto_kind, comparison, distance, forecast, levels, rebuild, run, saving, selection, uv_changes

_MODULES = (
    amount,
    auto_kind,
    as_images,
    forecast,
    comparison,
    distance,
    levels,
    rebuild,
    saving,
    run,
    selection,
    uv_changes,
)


def register() -> None:
    for module in _MODULES:
        module.register()


def unregister() -> None:
    for module in reversed(_MODULES):
        module.unregister()
