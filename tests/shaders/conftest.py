"""An empty .blend, with Cycles, for every test of the shaders."""

from __future__ import annotations

import bpy
import pytest

from . import plane


@pytest.fixture(autouse=True)
def empty_file() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    plane.enable_cycles()
