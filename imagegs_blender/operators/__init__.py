"""What a person can do: one file each, registered in this order."""

from __future__ import annotations

from . import (
    bake,
    compare,
    distance,
    drop_originals,
    found,
    make_local,
    press,
    properties,
    rebuild,
    restore,
    self_contained,
    set_decoder,
    streams,
    summary,
)  # fmt: skip

_MODULES = (
    properties, found, press, restore, drop_originals, make_local, summary, compare, set_decoder, self_contained, distance,
    bake, streams, rebuild,
)  # fmt: skip


def register() -> None:
    for module in _MODULES:
        module.register()


def unregister() -> None:
    for module in reversed(_MODULES):
        module.unregister()
