"""Requests for a fit that can not be met: each is one clear line, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imagegs_blender.core.textures import image_files
from imagegs_blender.core.textures.texture_stack import Depth


def test_bad_requests_are_one_clear_line(source: Path, tmp_path: Path, imagegs) -> None:
    image_files.write(tmp_path / "small.png", np.full((8, 8, 1), 255, np.uint8), Depth.U8, "L")
    image_files.write(tmp_path / "black.png", np.zeros((64, 64, 1), np.uint8), Depth.U8, "L")
    (tmp_path / "unknown.yaml").write_text("num_gausians: 5\n")
    (tmp_path / "value.yaml").write_text("pos_lr: fast\n")
    (tmp_path / "list.yaml").write_text("- a\n")
    (tmp_path / "broken.yaml").write_text("a: [")
    (tmp_path / "eval.yaml").write_text("eval: true\n")
    (tmp_path / "file").write_text("x")
    (tmp_path / "run/checkpoints").mkdir(parents=True)
    (tmp_path / "run/checkpoints/ckpt_step-5.npz").write_bytes(b"no zip")
    before = sorted(p for p in tmp_path.rglob("*"))
    out = tmp_path / "out.igs"
    run = ["--log-root", tmp_path, "--exp-name"]
    for more, named in [
        (["--mask", tmp_path / "small.png"], "the mask is 8 x 8, the picture 64 x 64"),
        (["--mask", tmp_path / "black.png"], "black all over"),
        (["--init-mode", "mask"], "--mask FILE"),
        (["--config", tmp_path / "unknown.yaml"], "num_gausians: unknown key"),
        (["--config", tmp_path / "value.yaml"], "pos_lr"),
        (["--config", tmp_path / "list.yaml"], "list.yaml"),
        (["--config", tmp_path / "broken.yaml"], "not a YAML file"),
        (["--config", tmp_path / "eval.yaml"], "imagegs render"),
        (["--config", tmp_path / "none.yaml"], "none.yaml: can't be read"),
        (["--mask", tmp_path / f"{'a' * 252}.png"], "can't be read"),
        ([*run, "file"], "file: is a file; choose another --exp-name"),
        ([*run, "file", "--resume"], "file: is a file; choose another --exp-name"),
        (["--topk", 17], "topk 17: choose 1 to 16"),
        (["--feat-bits", 33], "feat-bits 33"),
        (["--gamma", 0], "gamma 0"),
        (["--init-random-ratio", 1.5], "init-random-ratio 1.5: choose 0 to 1"),
        (["--l2-loss-ratio", 0, "--preset", "fast"], "one must be above"),
        (["--downsample", "--downsample-ratio", 0.5], "downsample-ratio 0.5"),
        (["--downsample", "--downsample-ratio", 0], "downsample-ratio 0: choose 1 or more"),
        ([*run, "new", "--eval-steps", -1], "eval-steps -1"),
        (["--resume"], "--exp-name"),
        (["--save-levels", 4], "--exp-name"),
        ([*run, "new", "--resume"], "no checkpoint to resume"),
        ([*run, "new", "--bpp", 0.001], "too small for one Gaussian"),
        ([*run, "run", "--resume"], "not a checkpoint"),
        ([*run, "new", "--save-ckpt-steps", 5, "--target-psnr", 30], "target-psnr takes several fits"),
    ]:
        done = imagegs("fit", source, "-o", out, *more)
        lines = done.err.splitlines()
        assert (done.code, done.out, len(lines)) == (1, "", 1), (more, done)
        assert lines[0].startswith("error: ") and named in lines[0], (more, lines)
    assert sorted(p for p in tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("seed: [1, 2]", "seed: a list of values: not what the option takes"),
        ("mask: [a]", "mask: a list of values: not what the option takes"),
        ("exp_name: [a]", "exp_name: a list of values: not what the option takes"),
        ("init_mode: [gradient]", "init_mode: a list of values"),
        ("metrics: [a]", "metrics: 'a': choose one of"),
        ("metrics: [[flip]]", "metrics: a list of values"),
        ("metrics: &a [*a]", "metrics: a list of values"),
        ("metrics: " + "[" * 400 + "]" * 400, "metrics: a list of values"),
        ("seed: " + "[" * 5000, "not a YAML file"),
        ("seed: 2020-13-45", "not a YAML file"),
        ("seed: !!bool x", "not a YAML file"),
        ("seed: 0x" + "f" * 9000, "seed: a number of too many digits"),
        ('exp_name: "a\\0b"', "exp_name: 'a\\x00b'"),
        ('mask: "a\\nb.png"', r"a\nb.png: file not found"),
        ("quiet: 3", "quiet: 3: write true or false"),
    ],
)
def test_nonsense_in_a_configuration(source: Path, tmp_path: Path, imagegs, text: str, named: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    done = imagegs("fit", source, "-o", tmp_path / "a.igs", "--config", tmp_path / "a.yaml")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1) and named in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.yaml", "source.png"]


def test_switches_of_a_configuration_count(source: Path, tmp_path: Path, imagegs) -> None:
    (tmp_path / "a.yaml").write_text(
        "preset: fast\nmax_steps: 5\nnum_gaussians: 20\nquiet: true\njson: true\nmetrics: flip\n"
    )
    done = imagegs("fit", source, "-o", tmp_path / "a.igs", "--config", tmp_path / "a.yaml")
    assert (done.code, done.err) == (0, "") and done.json["flip"]["source"] > 0
