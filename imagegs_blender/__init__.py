"""Image-GS texture compression for Blender: the extension's entry points. Importing this needs no bpy."""

from __future__ import annotations

import atexit


def register() -> None:
    """Add the operators and the handler that rebuilds tables when a file is opened."""
    from . import operators

    operators.register()
    # Python with the bpy 4.5 module hangs at its end, after a render, where a class or a handler is still registered.
    atexit.register(unregister)


def unregister() -> None:
    """Undo register()."""
    from . import operators

    atexit.unregister(unregister)
    operators.unregister()
