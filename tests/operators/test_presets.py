"""Named settings: saved, chosen, removed, and those of another version or of nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import bpy
import pytest

from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.workflow import preset_file
from tests.workflow import scene

pytestmark = pytest.mark.usefixtures("addon")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A preset that the panel's button saved, in a folder of the test's own."""
    monkeypatch.setenv("BLENDER_USER_SCRIPTS", str(tmp_path))
    chosen = bpy.context.scene.imagegs
    chosen.preset, chosen.rate, chosen.target_psnr, chosen.seed = "high", "QUALITY", 38.5, 7
    monkeypatch.setattr(bpy.utils, "user_resource", lambda *_, **__: str(tmp_path / "presets"))
    (tmp_path / "presets" / "imagegs").mkdir(parents=True)
    bpy.ops.imagegs.preset_add(name="For Print")
    (path,) = tmp_path.rglob("*.py")
    return path


def test_saved_and_chosen(saved: Path) -> None:
    chosen = bpy.context.scene.imagegs
    chosen.preset, chosen.rate, chosen.seed = "fast", "SIZE", 0
    assert bpy.ops.imagegs.preset_apply(filepath=str(saved), menu_idname="IMAGEGS_MT_presets") == {"FINISHED"}
    assert (chosen.preset, chosen.rate, chosen.target_psnr, chosen.seed) == ("high", "QUALITY", 38.5, 7)
    assert bpy.types.IMAGEGS_MT_presets.bl_label == "For Print"
    assert set(preset_file.read(saved)[0]) == set(preset_file.NAMES)


def test_of_another_version(saved: Path) -> None:
    text = saved.read_text().replace("'high'", "'highest'")
    saved.write_text(f"{text}\nsettings.of_tomorrow = 3\n")
    chosen = bpy.context.scene.imagegs
    chosen.preset, chosen.seed = "fast", 0
    assert bpy.ops.imagegs.preset_apply(filepath=str(saved)) == {"FINISHED"}
    assert (chosen.preset, chosen.seed) == ("fast", 7), "what is known is taken, the rest stays"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not a preset", "is no preset"),
        ("import bpy", "holds no settings"),
        ("settings.seed = open('x')", "seed is not a plain value"),
    ],
)
def test_files_that_are_none(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(content)
    with pytest.raises(ImageGSError, match=message):
        preset_file.read(path)
    with pytest.raises(RuntimeError, match=message):
        bpy.ops.imagegs.preset_apply(filepath=str(path))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ImageGSError, match="can't be read"):
        preset_file.read(tmp_path / "gone.py")


def test_the_batch_takes_it(saved: Path, tmp_path: Path) -> None:
    """Other options come before what the preset says."""
    scene.plane("square", tmp_path)
    blend, report = tmp_path / "scene.blend", tmp_path / "report.json"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    saved.write_text(saved.read_text().replace("'high'", "'fast'") + "\nsettings.of_tomorrow = 3\n")
    command = [sys.executable, "-m", "imagegs_blender.batch", str(blend), "-o", str(tmp_path / "out.blend"), "--quiet"]
    command += ["--overwrite", "--even-if-not-smaller", "--preset-file", str(saved), "--report", str(report)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for options, wanted in (([], (38.5, None, 7)), (["--bpp", "8", "--seed", "2"], (None, 8.0, 2))):
        run = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, env=environment)
        assert run.returncode == 0, run.stderr
        assert "of_tomorrow left out" in run.stderr
        found = json.loads(report.read_text())["settings"]
        assert (found["target_psnr"], found["bpp"], found["seed"]) == wanted and found["name"] == "fast"
    run = subprocess.run([*command[:-3], str(blend)], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert run.returncode == 1 and "is no preset" in run.stderr
