"""The zip in a Blender of its own: installed and used where nobody may write, beside others' packages, and removed again.

Each test has an empty user folder. They are skipped with a message where `make extension` has not built the zip.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import zips  # noqa: E402

NAME = "bl_ext.user_default.imagegs_blender"


class Blender:
    """Blender as a module, with folders of its own below one.

    work     where its processes run, and all that may be written there
    """

    def __init__(self, folder: Path) -> None:
        self.work, self._user = folder / "work", folder / "user"
        self.work.mkdir()
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "NUMBA_CACHE_DIR")}
        self._environment = kept | {"BLENDER_USER_RESOURCES": str(self._user), "HOME": str(folder / "home")}

    def python(self, *arguments: str, path: str | None = None, careful: bool = False) -> str:
        """What it prints. path is PYTHONPATH. careful: it heeds permissions, even where root runs the tests."""
        done = self.start(*arguments, path=path, careful=careful)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, *arguments: str, path: str | None = None, careful: bool = False) -> subprocess.CompletedProcess:
        drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if careful and os.geteuid() == 0 else []
        return subprocess.run(
            [*drop, sys.executable, "-P", *arguments], cwd=self.work,
            env=self._environment | ({"PYTHONPATH": path} if path else {}), capture_output=True, text=True, timeout=1200,
        )  # fmt: skip

    def do(self, operator: str) -> None:
        """Run an operator of Blender's extensions and keep the preferences."""
        end = "bpy.ops.wm.save_userpref(); sys.stdout.flush(); os._exit(0 if result == {'FINISHED'} else 1)"
        self.python("-c", f"import bpy, os, sys; result = bpy.ops.extensions.{operator}; {end}")

    def install(self, package: Path) -> None:
        self.do(f"package_install_files(repo='user_default', filepath={str(package)!r})")

    def uninstall(self, name: str) -> None:
        repositories = "[r.module for r in bpy.context.preferences.extensions.repos]"
        self.do(f"package_uninstall(repo_index={repositories}.index('user_default'), pkg_id={name!r})")

    @property
    def extensions(self) -> Path:
        return self._user / "extensions"

    def files(self) -> list[Path]:
        """All that it has written outside of its place of work."""
        return [path for path in self.work.parent.rglob("*") if path.is_file() and not path.is_relative_to(self.work)]


@pytest.fixture
def package() -> Path:
    if sys.platform != "linux":
        pytest.skip("the zip for Linux is the one that is installed here")
    path = zips.running().path
    if not path.is_file():
        pytest.skip(f"{path.name} is not built: make extension")
    return path


@pytest.fixture
def blender(tmp_path: Path) -> Blender:
    return Blender(tmp_path)


def test_installed_copy_compresses_reopens_and_leaves(package: Path, blender: Blender) -> None:
    """Install the zip with Blender's own operator, use it there while nobody may write into its folder, and uninstall it."""
    blender.install(package)
    folder = blender.extensions / "user_default" / "imagegs_blender"
    before = snapshot(folder)
    assert "blender_manifest.toml" in before and "LICENSE" in before
    script = shutil.copy(ROOT / "tests" / "installed.py", blender.work)
    let_write(folder, False)
    seconds = json.loads(blender.python(script, str(blender.work), careful=True).splitlines()[-1])
    let_write(folder, True)
    assert seconds["fit"] > 0
    assert snapshot(folder) == before, "an extension must not write into its own folder"
    assert list((blender.extensions / ".user").rglob("*.nbi")), "Numba's cache is in the user folder"

    without = shutil.ignore_patterns("core", "gui", "__pycache__")
    shutil.copytree(ROOT / "tests", blender.work / "tests", ignore=without, dirs_exist_ok=True)
    shutil.copy(ROOT / "tests" / "as_installed.py", blender.work)
    chosen = [f"tests/operators/test_{name}.py" for name in ("compress", "tools", "undo")]
    quick = "not outlives_blender"  # starts Python with the package by name
    blender.python("-m", "pytest", "-q", "-p", "as_installed", "-k", quick, *chosen, path=str(blender.work))

    blender.uninstall("imagegs_blender")
    render = shutil.copy(ROOT / "tests" / "workflow" / "render.py", blender.work)
    pictures = []
    for name in ("original", "self-contained"):
        file, out = blender.work / f"{name}.blend", blender.work / "render.npy"
        blender.python(render, str(file), str(out), "cycles", "--without-addon")
        pictures.append(np.load(out))
    seen = pictures[0][..., 3] > 0.99
    assert seen.mean() > 0.1 and pictures[0][seen][:, :3].std() > 0.05
    assert np.abs(pictures[0] - pictures[1])[seen].mean() < 0.02, "self-contained files render without the extension"
    left = [path for path in blender.files() if "thumbnails" not in path.parts]  # Blender's own, of files that it saves
    assert not [path for path in left if "imagegs" in str(path.relative_to(blender.work.parent)).lower()]
    assert all(path.is_relative_to(blender.extensions.parent) for path in left), "nothing outside Blender's user folder"


NUMBA = f"""
import bpy, addon_utils, importlib, os, sys
if os.path.isdir(bpy.utils.user_resource("EXTENSIONS", path="user_default/neighbor")):
    assert addon_utils.enable("bl_ext.user_default.neighbor", default_set=True)
if addon_utils.enable({NAME!r}, default_set=True):
    import numba, llvmlite
    importlib.import_module({NAME!r} + ".core.process.serve")
    print("with", numba.__version__, llvmlite.__version__)
sys.stdout.flush()
os._exit(0)
"""


def test_an_older_numba_of_another_extension_gives_way(package: Path, blender: Blender, tmp_path: Path) -> None:
    """Blender unpacks the newest of each package, whoever brings it: ours, whichever extension was there first."""
    versions = {wheel.name: wheel.version for wheel in zips.running().wheels}
    other = neighbor(tmp_path, "0.1.0")
    for first, second in ((other, package), (package, other)):
        blender.install(first)
        blender.install(second)
        assert f"with {versions['numba']} {versions['llvmlite']}\n" in blender.python("-c", NUMBA)
        for name in ("neighbor", "imagegs_blender"):
            blender.uninstall(name)


def test_a_newer_numba_that_does_not_work_is_one_clear_error(package: Path, blender: Blender, tmp_path: Path) -> None:
    """Blender unpacks the other's, which is newer. Without that extension ours works again."""
    blender.install(package)
    blender.install(neighbor(tmp_path, "999.0.0"))
    done = blender.start("-c", NUMBA)
    problem = "Add-on Image-GS Textures can't load what it brings (Numba of a neighbor): "
    advice = "another extension brings another version; disable or update that one, and restart Blender"
    said = [line for line in done.stdout.splitlines() if line.startswith("Add-on ")]
    assert said == [problem + advice], done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    blender.uninstall("neighbor")
    assert "with " in blender.python("-c", NUMBA)


def neighbor(folder: Path, version: str) -> Path:
    """The zip of an extension that brings a Numba and an llvmlite of this version, which can't be imported."""
    tags = "-".join(zips.running().wheels[0].filename.removesuffix(".whl").split("-")[2:])
    package = folder / f"neighbor-{version}.zip"
    names = []
    with zipfile.ZipFile(package, "w") as archive:
        for name in ("numba", "llvmlite"):
            wheel = folder / f"{name}-{version}-{tags}.whl"
            about = f"{name}-{version}.dist-info"
            with zipfile.ZipFile(wheel, "w") as inner:
                inner.writestr(f"{name}/__init__.py", 'raise ImportError("Numba of a neighbor")\n')
                inner.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
                inner.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tags}\n")
                inner.writestr(f"{about}/RECORD", f"{name}/__init__.py,,\n{about}/RECORD,,\n")
            archive.write(wheel, f"wheels/{wheel.name}")
            names.append(f"./wheels/{wheel.name}")
        archive.writestr("__init__.py", "def register():\n    pass\n\n\ndef unregister():\n    pass\n")
        fields = {
            "schema_version": "1.0.0", "id": "neighbor", "version": "1.0.0", "name": "Neighbor", "tagline": "Brings Numba",
            "maintainer": "Nobody", "type": "add-on", "blender_version_min": "4.5.0", "license": ["SPDX:GPL-3.0-or-later"],
            "wheels": names,
        }  # fmt: skip
        archive.writestr("blender_manifest.toml", "".join(f"{key} = {json.dumps(v)}\n" for key, v in fields.items()))
    return package


def let_write(folder: Path, allowed: bool) -> None:
    """Allow everybody who may write a folder and all in it to do so, or nobody."""
    for path in (folder, *folder.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode | 0o200 if allowed else mode & ~0o222)


def snapshot(folder: Path) -> dict[str, int]:
    """The files below a folder, but Python's own bytecode, and their sizes."""
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {str(path.relative_to(folder)): path.stat().st_size for path in files}
