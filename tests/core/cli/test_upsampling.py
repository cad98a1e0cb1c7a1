"""Fitting a small picture to have a large one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imagegs_blender.core.igs import stream
from imagegs_blender.core.quality import metrics
from imagegs_blender.core.textures import image_files
from tests.samples import picture


def test_fitting_a_small_picture_reports_the_large_one(source: Path, tmp_path: Path, imagegs) -> None:
    options = ["--preset", "fast", "--num-gaussians", 200, "--max-steps", 60, "--json", "--quiet"]
    done = imagegs("fit", source, "-o", tmp_path / "s.igs", "--downsample", "--downsample-ratio", 2, *options)
    assert done.code == 0, done.err
    assert stream.info((tmp_path / "s.igs").read_bytes())["width"] == 32
    upsampled = done.json["upsampled"]
    rendered = image_of_file(tmp_path, imagegs, "--render-height", 64)
    assert upsampled["gaussians"]["psnr"]["overall"] == pytest.approx(metrics.psnr(picture(64), rendered), abs=1e-6)
    assert 15 < upsampled["bicubic"]["psnr"]["overall"] < 40 and 0 < upsampled["bicubic"]["ssim"]["overall"] < 1


def image_of_file(folder: Path, imagegs, *options: object) -> np.ndarray:
    assert imagegs("render", folder / "s.igs", "-o", folder / "rendered.png", *options).code == 0
    return image_files.read_map(folder / "rendered.png").pixels
