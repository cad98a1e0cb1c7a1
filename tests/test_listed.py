"""The build for extensions.blender.org: it needs nothing from outside of Blender, and keeps the rules of the site.

CONTRIBUTING.md lists the rules. Whatever is true of the whole package is tested on the whole package.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import extension  # noqa: E402
import zips  # noqa: E402

PACKAGE = ROOT / "imagegs_blender"
LISTED = next(zips.zips(listed=True))


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The content of a zip for the site, but its wheels, as a package."""
    folder = tmp_path_factory.mktemp("listed") / "imagegs_blender"
    extension.stage(folder, LISTED)
    return folder


def texts(folder: Path) -> dict[str, str]:
    """The programs below a folder, by their names in it."""
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in sorted(folder.rglob("*.py"))}


def test_nothing_leads_to_other_software(staged: Path) -> None:
    """No preference, device, message or import of the whole build that is about programs or packages from elsewhere."""
    outside = re.compile(
        r"External Python|imagegs-blender\[|\btorch\b|PyTorch|nvrtc|pip install(?! OpenImageIO)|PyYAML"
    )
    assert [name for name, text in texts(PACKAGE).items() if outside.search(text)]
    left = texts(staged)
    assert not [f"{name}: {m[0]}" for name, text in left.items() if (m := outside.search(text))]
    assert {path.suffix for path in staged.rglob("*.*")} == {".py", ".osl", ".glsl", ".wgsl", ".txt", ".toml", ".typed"}
    assert "batch.py" in left and "operators/preferences.py" in left


BLENDER = """
import importlib, pkgutil, bpy, imagegs_blender
from imagegs_blender.core.devices.choice import choose
from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.operators.preferences import IMAGEGS_AP_preferences, where, worker_options

for module in pkgutil.walk_packages(imagegs_blender.__path__, "imagegs_blender."):
    importlib.import_module(module.name)
imagegs_blender.register()
properties = set(IMAGEGS_AP_preferences.bl_rna.properties.keys()) - {"rna_type", "bl_idname"}
assert properties == {"default_preset", "threads", "cache_folder", "device", "adapter"}, properties
assert (where(), worker_options()) == ({}, {})
assert choose("auto") in ("cpu", "gpu")
try:
    FitSettings.preset("fast", device="cuda")
except ImageGSError as error:
    assert str(error) == "device 'cuda' is unknown: choose one of auto, cpu, gpu", error
else:
    raise AssertionError("cuda is taken")
imagegs_blender.unregister()
print("passed", flush=True)
"""


def test_it_registers_and_fits_on_the_processor(staged: Path) -> None:
    """Every module of it can be imported: nothing that was left out is missed."""
    environment = os.environ | {"PYTHONPATH": str(staged.parent)}
    command = [sys.executable, "-P", "-c", BLENDER]
    run = subprocess.run(command, env=environment, cwd=staged.parent, capture_output=True, text=True, timeout=300)
    assert "passed" in run.stdout, run.stdout + run.stderr


def test_the_manifest_keeps_the_rules() -> None:
    """What Blender's own tool, which builds the zips, does not look at."""
    manifest = zips.manifest()
    reasons = manifest["permissions"]
    for text in (manifest["tagline"], *reasons.values()):
        assert len(text) <= 64 and text[-1].isalnum(), text
    assert "blender" not in manifest["name"].lower(), "the name must not hold Blender's"
    assert manifest["license"] == ["SPDX:GPL-3.0-or-later"]
    assert set(reasons) == {"files", "clipboard"}
    assert any(".clipboard" in text for text in texts(PACKAGE).values())
    bundled = {wheel.name for wheel in LISTED.wheels}
    credited = {name.lower() for holder in manifest["copyright"] for name in re.findall(r"\((\w+)\)", holder)}
    assert bundled <= credited, "the holders of what is bundled are named"


NETWORK = {
    "aiohttp",
    "ftplib",
    "http",
    "requests",
    "smtplib",
    "socket",
    "ssl",
    "urllib",
    "urllib3",
    "webbrowser",
    "xmlrpc",
}
INSTALLERS = {"ensurepip", "pip", "setuptools", "site", "venv", "zipimport"}


def test_no_network_and_no_installing() -> None:
    for name, text in texts(PACKAGE).items():
        for node in ast.walk(ast.parse(text)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for module in names:
                assert module.split(".")[0] not in NETWORK | INSTALLERS, f"{name}: {module}"


def test_python_is_left_as_blender_made_it() -> None:
    """No module changes where Python looks for modules, runs text, or has a fixed name of the add-on.

    batch.py is also a script for blender --python, which finds its package so; the extension never runs it as one.
    """
    script = re.compile(r"(?ms)^if not __package__:.*?(?=^\S)")
    assert "sys.path.insert" in script.search(texts(PACKAGE)["batch.py"])[0]
    for name, whole in texts(PACKAGE).items():
        text = script.sub("", whole) if name == "batch.py" else whole
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("eval", "exec", "compile", "__import__"), f"{name}:{node.lineno}: {called}()"
                assert not re.match(r"(sys\.path|site)\.\w+", called), f"{name}:{node.lineno}: {called}()"
            if isinstance(node, ast.Assign | ast.AugAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in map(ast.unparse, targets):
                    assert not target.startswith(("sys.path", "sys.modules", "sys.meta_path")), f"{name}: {target}"
        assert not re.search(r"bl_ext\.(user_default|blender_org)", text), name


SPEAKERS = {
    "batch.py": "the command, where a mistake of ours ends it: what a report of it needs",
    "workflow/one_file.py": "a file of a batch, where a mistake of ours ends it: what a report of it needs",
    "core/cli/console.py": "the command, for people",
    "core/process/child.py": "the process of a fit, into a pipe to Blender",
    "core/process/looking.py": "the process that looks for devices, into a pipe to Blender",
    "core/process/precompile.py": "the process that compiles, into a pipe to Blender",
    "workflow/compress.py": "where a fit fails by a mistake of ours: what a report of it needs",
    "workflow/rebuild.py": "what is wrong with a file that is being opened, which no operator can say",
}


def test_the_console_stays_quiet(staged: Path) -> None:
    """Nobody but these prints."""
    found = set()
    for name, text in texts(staged).items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "traceback.print_exc"):
                found.add(name)
    assert found == SPEAKERS.keys()
