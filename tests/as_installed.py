"""A pytest plugin (-p as_installed): tests meet the installed extension under the package's own name.

Run in a folder that holds a copy of tests/ and nothing else of a checkout, with a Blender that has the extension.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

import bpy  # noqa: F401  addon_utils is known once bpy is imported

import addon_utils  # isort: skip

from installed import NAME, check_places

NOT_BUNDLED = ("torch", "yaml", "flip_evaluator", "torchmetrics")
"""Packages that some modules need and the extension does not have."""

if NAME not in sys.modules:
    addon_utils.enable(NAME, default_set=True)
check_places()
package = sys.modules[NAME]
found = [NAME, *(module.name for module in pkgutil.walk_packages(package.__path__, f"{NAME}."))]
for name in found:
    if name.endswith(".__main__"):
        continue
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in NOT_BUNDLED:
            raise
    else:
        sys.modules[name.replace(NAME, "imagegs_blender", 1)] = module
package.unregister()  # each test registers it
