"""The command line that runs a module of core in a process of its own."""

from __future__ import annotations

from pathlib import Path

# The package under the name that it has here, from where it is: in Blender it is bl_ext.<repository>.<name>, which no
# path leads to, and Numba's cache holds that name.
_START = """
import importlib.util, pathlib, sys, types
name, first, module, *arguments = sys.argv[1:]
parts = name.split(".")
for parent in (".".join(parts[:end]) for end in range(1, len(parts))):
    sys.modules[parent] = types.ModuleType(parent)
spec = importlib.util.spec_from_file_location(name, first)
package = sys.modules[name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
sys.exit(importlib.import_module(name + ".core." + module).main(*map(pathlib.Path, arguments)))
"""


def command(python: str, module: str, *arguments: Path) -> list[str]:
    """The command line that runs main(*arguments) of a module of core in a process of its own."""
    package = __name__.removesuffix(".core.process.child")
    first = Path(__file__).resolve().parents[2] / "__init__.py"
    return [python, "-P", "-c", _START, package, str(first), module, *map(str, arguments)]
