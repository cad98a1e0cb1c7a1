"""The run folder: a killed fit goes on from it, and it holds what was asked for."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from imagegs_blender.core.cli import run_folder
from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.igs import stream
from imagegs_blender.core.quality import metrics
from imagegs_blender.core.settings import PRESETS
from imagegs_blender.core.textures import image_files
from imagegs_blender.core.textures.texture_stack import Depth
from tests.samples import QUICK, picture, shown

ROOT = Path(__file__).resolve().parents[3]


def run_fit(source: Path, root: Path, name: str, *more: object) -> list[str]:
    command = [
        sys.executable,
        "-m",
        "imagegs_blender.core",
        "fit",
        source,
        "--log-root",
        root,
        "--exp-name",
        name,
        "--quiet",
    ]
    options = ["--preset", "paper", "--num-gaussians", "150", "--max-steps", "400", "--add-steps", "40"]
    return [str(part) for part in [*command, *options, "--save-ckpt-steps", "50", *more]]


def test_a_killed_fit_resumes_to_the_same_bytes(source: Path, tmp_path: Path) -> None:
    subprocess.run(run_fit(source, tmp_path, "whole"), cwd=ROOT, check=True, capture_output=True)
    checkpoints = tmp_path / "cut/checkpoints"
    with subprocess.Popen(run_fit(source, tmp_path, "cut"), cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not (checkpoints / "ckpt_step-100.npz").exists():
            time.sleep(0.002)
        process.kill()
    assert not (tmp_path / "cut/result.igs").exists(), "the fit ended before it could be killed"
    subprocess.run(run_fit(source, tmp_path, "cut", "--resume"), cwd=ROOT, check=True, capture_output=True)
    assert (tmp_path / "cut/result.igs").read_bytes() == (tmp_path / "whole/result.igs").read_bytes()
    log = (tmp_path / "cut/log.txt").read_text()
    assert re.search(r"resumed at step (100|150|200|250|300|350)\n", log)
    for path in checkpoints.iterdir():  # safe to load: arrays only
        with np.load(path, allow_pickle=False) as archive:
            assert all(archive[key].dtype != object for key in archive.files)


def test_run_folder_holds_what_was_asked_for(source: Path, tmp_path: Path, imagegs) -> None:
    more = ["--vis-gaussians", "--save-image-steps", 10, "--eval-steps", 10, "--save-levels", 3, "--log-level", "DEBUG"]
    done = imagegs("fit", source, "--log-root", tmp_path, "--exp-name", "a/b", *QUICK, *more)
    assert done.code == 0, done.err
    found = {str(p.relative_to(tmp_path / "a/b")) for p in (tmp_path / "a/b").rglob("*.*")}
    assert found >= {
        "log.txt", "settings.json", "report.json", "result.igs", "target_source.png", "gradient.png", "render_source.png",
        "train/render_step-10_source.png", "train/gaussian_step-10_source.png", "train/gaussian-id_step-10.png",
        "train/error_step-10.png", "levels/level-0.igs", "levels/level-2_source.png",
    }  # fmt: skip
    assert any(name.startswith("train/add-gaussian_step-") for name in found)
    log = (tmp_path / "a/b/log.txt").read_text()
    assert "SSIM" in log and "DEBUG" in log and "Gaussians 0 ->" in log
    levels = [stream.read((tmp_path / f"a/b/levels/level-{k}.igs").read_bytes()).gaussians for k in range(3)]
    assert len(levels[0]) < len(levels[1]) < len(levels[2])
    quality = [metrics.psnr(picture(64), shown(level)) for level in levels]
    assert quality[0] < quality[2] and quality[0] > 12
    assert (tmp_path / "a/b/levels/level-2.igs").read_bytes() == (tmp_path / "a/b/result.igs").read_bytes()
    again = imagegs("fit", source, "--log-root", tmp_path, "--exp-name", "a/b", *QUICK)
    assert again.code == 1 and "holds a run already" in again.err


def test_eval_steps_0_never_measures(source: Path, tmp_path: Path, imagegs) -> None:
    for name, steps in (("never", ["--eval-steps", 0]), ("default", [])):
        run = [
            "--log-root",
            tmp_path,
            "--exp-name",
            name,
            "--preset",
            "fast",
            "--num-gaussians",
            20,
            "--max-steps",
            160,
        ]
        assert imagegs("fit", source, *run, *steps, "--quiet").code == 0
    assert "SSIM" not in (tmp_path / "never/log.txt").read_text()
    assert (tmp_path / "default/log.txt").read_text().count("SSIM") == 1


def test_a_checkpoint_of_another_picture_is_refused(source: Path, tmp_path: Path, imagegs) -> None:
    run = ["--log-root", tmp_path, "--exp-name", "run", "--save-ckpt-steps", 10, *QUICK]
    assert imagegs("fit", source, *run).code == 0
    image_files.write(source, 255 - picture(64), Depth.U8, "RGB")
    done = imagegs("fit", source, *run, "--resume")
    assert done.code == 1 and "another picture or other settings" in done.err


def test_only_a_checkpoint_of_this_fit_is_gone_on_from(source: Path, tmp_path: Path, imagegs) -> None:
    run = ["--log-root", tmp_path, "--exp-name", "run", "--save-ckpt-steps", 10, *QUICK]
    assert imagegs("fit", source, *run).code == 0
    folder = tmp_path / "run/checkpoints"
    for stray in ("ckpt_step-old.npz", "notes.txt", "ckpt_step-99.npz.part"):
        (folder / stray).write_text("stray")
    assert imagegs("fit", source, *run, "--resume").code == 0
    with np.load(folder / "ckpt_step-10.npz") as archive:
        state = dict(archive)
    numbers = json.loads(str(state["numbers"]))
    changes: list[dict] = [
        {"mean": None},
        {"more": np.zeros(3)},
        {"mean": state["mean"][:3]},
        {"feature": state["feature"][:, :1]},
        {"mean": state["mean"].astype(np.float64)},
        {"scale": state["scale"] * np.nan},
        {name: array[:0] for name, array in state.items() if array.ndim},
        *({"numbers": np.array(json.dumps(other))} for other in (
            [], {}, numbers | {"step": "a"}, numbers | {"stage": -1}, numbers | {"rng": {}}, numbers | {"plateau": [1]},
        )),
        {"numbers": np.array("[" * 5000)},
        {"identity": None},
        {"identity": np.array("another")},
    ]  # fmt: skip
    path = tmp_path / "changed.npz"
    before = sorted(tmp_path.rglob("*"))
    for change in changes:
        np.savez(path, **{name: array for name, array in {**state, **change}.items() if array is not None})
        new = ["--log-root", tmp_path, "--exp-name", "new", "--resume", "--ckpt-file", path, *QUICK]
        done = imagegs("fit", source, *new)
        assert (done.code, done.err.count("\n")) == (1, 1) and "changed.npz: " in done.err, (change.keys(), done)
    np.save(tmp_path / "changed.npy", np.zeros(3))
    (tmp_path / "changed.npy").replace(path)
    assert "changed.npz: not a checkpoint of a fit" in imagegs("fit", source, *new).err
    path.unlink()
    assert sorted(tmp_path.rglob("*")) == before


def test_staged_settings() -> None:
    assert run_folder.staged(PRESETS["fast"], 3).add_times == 2
    with pytest.raises(ImageGSError, match="disable-prog-optim"):
        run_folder.staged(dataclasses.replace(PRESETS["fast"], initial_ratio=1.0), 3)
