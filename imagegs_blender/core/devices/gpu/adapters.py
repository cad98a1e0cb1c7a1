"""The graphics cards of this computer, as wgpu finds them."""

from __future__ import annotations

import importlib.util
import logging
import os
from dataclasses import dataclass
from functools import cache
from typing import Any

from ...errors import ImageGSError, first_line

_KINDS = {"DiscreteGPU": "graphics card", "IntegratedGPU": "built-in graphics", "CPU": "software"}
_BACKENDS = ("Vulkan", "Metal", "DX12")
_ORDER = ("DiscreteGPU", "IntegratedGPU", "VirtualGPU", "Unknown", "CPU")


@dataclass(frozen=True)
class Adapter:
    """A way to a GPU.

    name      the GPU's
    kind      "graphics card", "built-in graphics", "software" or "GPU"
    backend   Vulkan, Metal or D3D12
    handle    wgpu's
    """

    name: str
    kind: str
    backend: str
    handle: Any

    @property
    def is_software(self) -> bool:
        """It runs on the processor: for tests, and chosen only by name."""
        return self.kind == _KINDS["CPU"]

    def __str__(self) -> str:
        return f"{self.name} ({self.kind}, {self.backend})"


@cache
def adapters() -> tuple[Adapter, ...]:
    """All, the ones to prefer first, each GPU once. Raises ImageGSError where wgpu is not there or does not run."""
    if importlib.util.find_spec("wgpu") is None:
        raise ImageGSError("the package wgpu is missing: reinstall the extension, or imagegs-blender")
    try:
        import wgpu
        from wgpu.backends.wgpu_native import extras

        if "XDG_RUNTIME_DIR" not in os.environ:  # no desktop: a layer of Mesa would look for one, and complain
            os.environ.setdefault("NODEVICE_SELECT", "1")
        logging.getLogger("wgpu").addHandler(logging.NullHandler())  # what it logs is raised, too
        extras.set_instance_extras(backends=_BACKENDS)  # OpenGL can't do what the kernels need
        found = wgpu.gpu.enumerate_adapters_sync()
    except Exception as error:  # a library that can't be loaded, or a driver that fails, fails in many ways
        raise ImageGSError(f"wgpu does not run here ({first_line(error)}): update the graphics driver") from error
    usable = [adapter for adapter in found if adapter.info["backend_type"] in ("Vulkan", "Metal", "D3D12")]
    usable.sort(key=lambda adapter: _ORDER.index(adapter.info["adapter_type"]))
    by_name: dict[str, Adapter] = {}
    for adapter in usable:
        info = adapter.info
        kind = _KINDS.get(info["adapter_type"], "GPU")
        by_name.setdefault(info["device"], Adapter(info["device"], kind, info["backend_type"], adapter))
    return tuple(by_name.values())


def choose(name: str = "") -> Adapter:
    """The first GPU that is not software, or the first whose name has `name` in it, in any case.

    Raises ImageGSError where there is none, and says which there are.
    """
    found = adapters()
    if name:
        chosen = [adapter for adapter in found if name.lower() in adapter.name.lower()]
        advice = f"choose one of {', '.join(a.name for a in found)}" if found else "no graphics driver was found"
        missing = f"adapter {name!r} is not here: {advice}"
    else:
        chosen = [adapter for adapter in found if not adapter.is_software]
        missing = (
            "no graphics card with a driver for Vulkan, Metal or Direct3D 12 was found: install or update its driver"
        )
    if not chosen:
        raise ImageGSError(missing)
    return chosen[0]
