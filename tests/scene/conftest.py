"""An empty .blend for every test of the scene."""

from __future__ import annotations

import bpy
import pytest


@pytest.fixture(autouse=True)
def empty_file() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
