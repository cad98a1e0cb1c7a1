"""The add-on, switched on in an empty file."""

from __future__ import annotations

from collections.abc import Iterator

import bpy
import pytest

import imagegs_blender


@pytest.fixture
def addon() -> Iterator[None]:
    """The add-on in an empty file, where even the tiny textures of tests are worth compressing."""
    bpy.ops.wm.read_homefile(use_empty=True)
    imagegs_blender.register()
    bpy.context.scene.imagegs.even_if_not_smaller = True
    yield
    imagegs_blender.unregister()
