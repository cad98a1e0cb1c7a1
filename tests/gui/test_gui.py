"""The built extension in a real Blender window: installed, pressed by mouse, looked at.

Set BLENDER to a command that starts Blender in a window (a virtual screen will do) where xdotool and import are found,
and build the extension first (make extension). Screenshots stay in build/gui.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import zips  # noqa: E402

OUT = Path("build/gui")
MINUTES = 40


@pytest.fixture
def blender() -> list[str]:
    command = os.environ.get("BLENDER")
    if not command:
        pytest.skip("no Blender with a window: set BLENDER to the command that starts it")
    return shlex.split(command)


@pytest.fixture
def extension(blender: list[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The zip for Linux and the Python of that Blender; its path is relative, see below."""
    monkeypatch.chdir(ROOT)
    said = run(blender, "-b", "--python-expr", "import sys; print('python', 'cp%d%d' % sys.version_info[:2])")
    wanted = zips.Zip("linux-x64", re.search(r"(?m)^python (cp\d+)$", said)[1]).path.relative_to(ROOT)
    if not wanted.is_file():
        pytest.skip(f"{wanted} is not built: make extension")
    return wanted


def test_an_artist_presses_the_button(blender: list[str], extension: Path, data: Path) -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    shutil.copytree(data / "blend" / "tea_set", OUT / "tea_set")
    run(blender, "--command", "extension", "install-file", "-r", "user_default", "-e", str(extension))
    help_text = run(blender, "--command", "imagegs", "--help")
    assert all(
        option in help_text for option in ("--max-bytes", "--target-psnr", "--time-budget", "--device", "--report")
    )
    scene = next((OUT / "tea_set").rglob("*.blend"))
    size = [os.environ["IMAGEGS_GUI_TEXELS"]] if "IMAGEGS_GUI_TEXELS" in os.environ else []
    # paths are relative: the Blender may see this folder under another name
    log = run(blender, "--python", "tests/gui/drive.py", "--", str(OUT), str(scene), *size)
    result = OUT / "result.txt"
    said = result.read_text("utf-8") if result.exists() else log
    assert said.rstrip().endswith("passed"), said
    assert "in a render" in log, "its maps were not weighed by one"
    assert len(list(OUT.glob("*.png"))) == 12


def test_presets_two_windows_and_the_exporters_dialog(blender: list[str], extension: Path, data: Path) -> None:
    out = Path("build/gui-session")
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(data / "blend" / "tea_set", out / "tea_set")
    run(blender, "--command", "extension", "install-file", "-r", "user_default", "-e", str(extension))
    scene = next((out / "tea_set").rglob("*.blend"))
    log = run(blender, "--python", "tests/gui/session.py", "--", str(out), str(scene), "256")
    result = out / "result.txt"
    said = result.read_text("utf-8") if result.exists() else log
    assert said.rstrip().endswith("passed"), said
    assert len(list(out.glob("*.png"))) == 10


def test_a_farm_starts_from_factory_settings(blender: list[str], extension: Path, data: Path) -> None:
    """The command of docs/install.md, which reads no preferences."""
    run(blender, "--command", "extension", "install-file", "-r", "user_default", "-e", str(extension))
    source = next((data / "blend").rglob("rosewood*.blend"))
    folder = Path("build/farm")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source.parent, folder)
    enabled = ["-b", "--factory-startup", "--addons", "bl_ext.user_default.imagegs_blender"]
    options = [
        "--preset",
        "fast",
        "--num-gaussians",
        "300",
        "--even-if-not-smaller",
        "--upgrade",
        "--report",
        str(folder / "report.json"),
    ]
    output = folder / "small.blend"
    run(blender, *enabled, "--command", "imagegs", str(folder / source.name), "--output", str(output), *options)
    (file,) = json.loads((folder / "report.json").read_text("utf-8"))["files"]
    assert file["materials"] and not file["failed"] and output.is_file()


def run(blender: list[str], *arguments: str) -> str:
    done = subprocess.run(
        [*blender, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=MINUTES * 60
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
