"""What a person can do: one operator or pair a file, registered in this order."""

from __future__ import annotations

from types import ModuleType

from . import (
    bake,
    compare,
    compress,
    copy_report,
    devices,
    drop_originals,
    igs_files,
    make_local,
    preferences,
    presets,
    reach_quality,
    restore,
    self_contained,
    set_decoder,
    settings,
    show_as_images,
    show_originals,
    whole_name,
)

_MODULES: tuple[ModuleType, ...] = (
    devices, settings, preferences, presets, compress, reach_quality, restore, drop_originals, make_local, copy_report, compare,
    set_decoder, self_contained, bake, show_as_images, show_originals, igs_files,
    whole_name,
)  # fmt: skip


def register() -> None:
    for module in _MODULES:
        module.register()


def unregister() -> None:
    for module in reversed(_MODULES):
        module.unregister()
