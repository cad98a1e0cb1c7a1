"""Which build this is: the whole, or the one for extensions.blender.org, which needs nothing from outside of Blender."""

from __future__ import annotations

from typing import Final

COMPLETE: Final = True
"""False in the build for extensions.blender.org. tools/extension.py writes it there and leaves out what only the whole
uses: fits on NVIDIA GPUs and in another Python, the command imagegs, measures from other packages."""
