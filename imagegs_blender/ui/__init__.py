"""What a person sees: panels over the operators."""

from __future__ import annotations

from . import compare, divider, gltf_dialog, panel

_MODULES = (panel, compare, divider, gltf_dialog)


def register() -> None:
    for module in _MODULES:
        module.register()


def unregister() -> None:
    for module in reversed(_MODULES):
        module.unregister()
