"""A graphics card for tests: the one named by IMAGEGS_ADAPTER, else the first there is, on CI the software driver."""

from __future__ import annotations

import os

import pytest

from imagegs_blender.core.devices.gpu import adapters
from imagegs_blender.core.errors import ImageGSError


def adapter() -> adapters.Adapter:
    """Skips the module of tests where there is none."""
    try:
        found = adapters.adapters()
    except ImageGSError as error:
        pytest.skip(str(error), allow_module_level=True)
    if not found:
        pytest.skip(
            "no driver for Vulkan, Metal or Direct3D 12: apt-get install mesa-vulkan-drivers", allow_module_level=True
        )
    name = os.environ.get("IMAGEGS_ADAPTER")
    return adapters.choose(name) if name else found[0]
