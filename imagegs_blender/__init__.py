"""Image-GS texture compression for Blender: the extension's entry points. Importing this needs no bpy."""

from __future__ import annotations

import atexit
import os
import sys
from typing import Any

_registered: dict[str, Any] = {}
_OTHER = "another extension brings another version; disable or update that one, and restart Blender"


def register() -> None:
    """Add operators, panels, the command and the handler that rebuilds tables when a file is opened."""
    import bpy

    if __package__.startswith("bl_ext.") and "NUMBA_CACHE_DIR" not in os.environ:
        _keep_numba_cache(bpy.utils.extension_path_user(__package__, path="numba", create=True))
    try:
        from . import operators, ui, workflow
    except ImportError as error:
        from .core.errors import first_line

        # of an import error that begins so, Blender shows the line without a traceback
        raise ImportError(
            f"Add-on Image-GS Textures can't load what it brings ({first_line(error)}): {_OTHER}"
        ) from None

    workflow.register()
    operators.register()
    ui.register()
    _registered["command"] = bpy.utils.register_cli_command("imagegs", _command)  # type: ignore[func-returns-value]
    if not bpy.app.binary_path:
        # Python with the bpy 4.5 module hangs at its end, after a render, where a class or handler is still registered.
        atexit.register(unregister)


def unregister() -> None:
    """Undo register(); nothing where that has been done, at Python's end."""
    if "command" not in _registered:
        return
    import bpy

    from . import operators, ui, workflow

    atexit.unregister(unregister)
    bpy.utils.unregister_cli_command(_registered.pop("command"))
    ui.unregister()
    operators.unregister()
    workflow.unregister()
    if _registered.pop("numba", None):
        del os.environ["NUMBA_CACHE_DIR"]


def glTF2ExportUserExtension() -> Any:
    """What the glTF exporter asks every enabled add-on for, by this name: images stand in for decoders while it runs."""
    from .workflow import gltf

    return gltf.Extension()


def _command(arguments: list[str]) -> int:
    """blender --command imagegs FILES OPTIONS: batch.py where no path leads to it."""
    from . import batch

    return batch.main(arguments, "blender --command imagegs")


def _keep_numba_cache(folder: str) -> None:
    """Compiled kernels of this process and of the fits it starts; an extension must not write beside its own files."""
    os.environ["NUMBA_CACHE_DIR"] = folder
    _registered["numba"] = folder
    if "numba" in sys.modules:  # another extension was first
        sys.modules["numba"].config.reload_config()
