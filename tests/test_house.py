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
GROUND = {
    "core.edition",
    "core.errors",
    "core.files",
    "core.litter",
    "core.machine",
    "core.gaussians",
    "core.morton",
    "core.settings",
    "core.ssim",
    "core.version",
}
BELOW: dict[str, set[str]] = {
    "core.textures": GROUND,
    "core.devices": {"core.textures"},
    "core.igs": {"core.textures"},
    "core.fitting": {"core.devices"},
    "core.decoding": {"core.devices", "core.igs"},
    "core.quality": {"core.textures"},
    "core.encoding": {"core.fitting", "core.decoding", "core.quality"},
    "core.process": {"core.encoding"},
    "core.batch": {"core.process"},
    "core.cli": {"core.batch"},
    "blend": {"core.cli"},
    "scene": {"blend"},
    "shaders": {"blend"},
    "workflow": {"scene", "shaders"},
    "operators": {"workflow"},
    "ui": {"operators"},
}
"""The rooms that each room stands on: it imports from these, and from what they stand on, and from itself."""


def stands_on(room: str) -> set[str]:
    """Every room that a room may import from, itself included."""
    direct = BELOW.get(room, set())
    return {room, *GROUND}.union(*(stands_on(name) for name in direct))


def imports(path: Path) -> Iterator[str]:
    """The absolute names of all modules that a file imports, anywhere in it; `from a import b` gives a.b."""
    here = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*here[: len(here) - node.level]] if node.level else []
            yield from (".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names)


def room_of(module: str) -> str:
    """The room that holds a module, by its name below the package: core.igs.stream is in core.igs."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "core" else parts[0]


def modules() -> dict[str, Path]:
    """Every file of the package by its module's name below it; a room's __init__ has the room's name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        found["" if name == "__init__" else name.removesuffix(".__init__")] = path
    return found


def within(names: Iterator[str], known: dict[str, Path]) -> set[str]:
    """Those of these names that are modules of the package; the module that holds a name where it is no module itself."""
    inside = {name.removeprefix("imagegs_blender").removeprefix(".") for name in names if is_ours(name)}
    return {name if name in known else name.rpartition(".")[0] for name in inside}


def is_ours(name: str) -> bool:
    return name.split(".")[0] == "imagegs_blender"


@pytest.mark.parametrize("room", BELOW)
def test_rooms_import_only_downwards(room: str) -> None:
    known, allowed = modules(), stands_on(room)
    files = {name: path for name, path in known.items() if room_of(name) == room}
    assert files
    for name, path in files.items():
        for other in within(imports(path), known):
            assert other == room_of(other) == "" or room_of(other) in allowed, f"{name} imports {other}"
        for other in imports(path):
            assert not room.startswith("core") or other.split(".")[0] not in BLENDER, f"{name} imports {other}"


def test_every_file_is_in_a_room() -> None:
    alone = {"", "batch", "core", "core.__main__", *GROUND}
    assert {room_of(name) for name in modules() if name not in alone} == set(BELOW)


def test_the_ground_floor_stands_on_nothing_else() -> None:
    known = modules()
    for name in GROUND:
        assert within(imports(known[name]), known) <= GROUND | {""}, name


def test_no_file_is_part_of_a_circle() -> None:
    known = modules()
    arrows = {name: within(imports(path), known) - {name, ""} for name, path in known.items()}
    while arrows:
        free = [name for name, others in arrows.items() if not others & arrows.keys()]
        assert free, f"these import each other: {sorted(arrows)}"
        for name in free:
            del arrows[name]


def test_core_imports_without_blender() -> None:
    """The package and every module of core but those that need PyTorch, where Blender's modules fail to import."""
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((PACKAGE / "core").rglob("*.py"))
        if path.stem != "__main__" and path.parent.name != "cuda"
    ]
    code = f"import sys\nfor name in {sorted(BLENDER)}: sys.modules[name] = None\n"
    code += "".join(f"import {name}\n" for name in ["imagegs_blender", *modules])
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert len(modules) > 5


OPTIONAL = {"coverage"}
"""Packages that Numba imports where they are installed."""


@pytest.mark.parametrize("folder", ["benchmarks", "tools"])
def test_no_script_hides_a_package(folder: str) -> None:
    """Python looks beside a script first: whoever imports a package of its name would get the script."""
    scripts = {path.stem for path in (ROOT / folder).glob("*.py")}
    assert scripts and not scripts & (sys.stdlib_module_names | OPTIONAL)


def test_the_version_is_the_manifests() -> None:
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    try:
        installed = metadata.version("imagegs-blender")
    except metadata.PackageNotFoundError:
        pytest.skip("imagegs-blender is not installed here: pip install -e .")
    assert installed == manifest["version"]


def test_kernels_state_what_they_trust() -> None:
    """Numba checks no index: whoever changes a caller must know what a kernel takes for granted, and who checks it."""
    silent = []
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        if re.search(r"^@njit", text, re.MULTILINE) and "\nTrusts: " not in (ast.get_docstring(ast.parse(text)) or ""):
            silent.append(path.name)
    assert silent == []


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
