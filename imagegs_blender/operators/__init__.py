"""What a person can do: one file each, registered in this order."""

from __future__ import annotations

from . import drop_originals, press, properties, rebuild, restore

_MODULES = (properties, press, restore, drop_originals, rebuild)


def register() -> None:
    for module in _MODULES:
        module.register()


def unregister() -> None:
    for module in reversed(_MODULES):
        module.unregister()
