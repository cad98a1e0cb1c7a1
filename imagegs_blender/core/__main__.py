"""python -m imagegs_blender.core is the command imagegs."""

from __future__ import annotations

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
