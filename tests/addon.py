"""The add-on, switched on in an empty file."""

from __future__ import annotations

from collections.abc import Iterator

import bpy
import pytest

import imagegs_blender


@pytest.fixture
def addon() -> Iterator[None]:
    bpy.ops.wm.read_homefile(use_empty=True)
    imagegs_blender.register()
    yield
    imagegs_blender.unregister()
