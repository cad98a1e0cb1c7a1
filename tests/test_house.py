"""The house keeps its shape: who may import whom, what imports without Blender, one version, no machine in the text."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "imagegs_blender"
BLENDER = {"bpy", "bmesh", "gpu", "mathutils", "bl_ui", "blf", "addon_utils"}
MAY_IMPORT = {
    "core": {"core"},
    "scene": {"core", "scene"},
    "shaders": {"core", "shaders"},
    "operators": {"core", "scene", "shaders", "operators"},
    "ui": {"core", "scene", "shaders", "operators", "ui"},
}


def imports(path: Path) -> Iterator[str]:
    """The absolute names of all modules that a file imports, anywhere in it; `from a import b` gives a.b."""
    here = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*here[: len(here) - node.level]] if node.level else []
            yield from (".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_import_only_downwards(room: str) -> None:
    files = sorted((PACKAGE / room).rglob("*.py"))
    assert files
    for path in files:
        for name in imports(path):
            parts = name.split(".")
            where = f"{path.relative_to(ROOT)} imports {name}"
            if parts[0] == "imagegs_blender":
                assert len(parts) > 1 and parts[1] in MAY_IMPORT[room], where
            assert room != "core" or parts[0] not in BLENDER, where


def test_core_imports_without_blender() -> None:
    """The package and every module of core but those that need PyTorch, where Blender's modules fail to import."""
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((PACKAGE / "core").rglob("*.py"))
        if path.stem not in ("__main__", "cuda", "driver", "pipeline")
    ]
    code = f"import sys\nfor name in {sorted(BLENDER)}: sys.modules[name] = None\n"
    code += "".join(f"import {name}\n" for name in ["imagegs_blender", *modules])
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert len(modules) > 5


def test_the_version_is_the_manifests() -> None:
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    try:
        installed = metadata.version("imagegs-blender")
    except metadata.PackageNotFoundError:
        pytest.skip("imagegs-blender is not installed here: pip install -e .")
    assert installed == manifest["version"]


def test_no_machine_in_tracked_files() -> None:
    """Paths of a home or a build machine, package mirrors: nothing that holds on one machine only."""
    machine = re.compile(
        r"(?<![\w.])/(?:work|root|tmp|opt|mnt)/\w|/home/\w+/|/Users/\w+/|[A-Z]:\\Users|(?:extra-)?index-url|find-links"
    )
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: tracked files are unknown")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path == Path(__file__).resolve() or not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
        found += [f"{name}:{text.count(chr(10), 0, m.start()) + 1}: {m[0]}" for m in machine.finditer(text)]
    assert not found
