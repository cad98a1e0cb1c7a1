"""Measures that model the eye."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.quality import lpips
from imagegs_blender.core.textures import image_files
from imagegs_blender.core.textures.texture_stack import Depth
from tests.samples import picture


def test_ms_ssim_and_flip_come_with_the_report(tmp_path: Path, imagegs) -> None:
    pytest.importorskip("flip_evaluator", reason="flip-evaluator is not installed")
    pytest.importorskip("torchmetrics", reason="torchmetrics is not installed")
    clean = picture(192)
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 20, clean.shape), 0, 255).astype(np.uint8)
    for name, pixels in (("a", clean), ("b", noisy)):
        image_files.write(tmp_path / f"{name}.png", pixels, Depth.U8, "RGB")
    same = imagegs("compare", tmp_path / "a.png", tmp_path / "a.png", "--metrics", "ms-ssim", "flip", "--json").json
    worse = imagegs("compare", tmp_path / "a.png", tmp_path / "b.png", "--metrics", "ms-ssim", "flip", "--json").json
    assert same["ms-ssim"]["a"] == pytest.approx(1, abs=1e-5) and same["flip"]["a"] == pytest.approx(0, abs=1e-6)
    assert 0.5 < worse["ms-ssim"]["a"] < 0.99 and 0.02 < worse["flip"]["a"] < 0.5


def test_lpips_with_weights_of_the_right_shapes(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    generator = torch.Generator().manual_seed(0)
    shapes = [(0, 64, 3, 11), (3, 192, 64, 5), (6, 384, 192, 3), (8, 256, 384, 3), (10, 256, 256, 3)]
    network = {f"features.{n}.weight": torch.randn(o, i, s, s, generator=generator) * 0.05 for n, o, i, s in shapes}
    network |= {f"features.{n}.bias": torch.zeros(o) for n, o, _, _ in shapes}
    heads = {
        f"lin{k}.model.1.weight": torch.rand(1, o, 1, 1, generator=generator) for k, (_, o, _, _) in enumerate(shapes)
    }
    torch.save(network, tmp_path / lpips.FILES[0])
    torch.save(heads, tmp_path / lpips.FILES[1])
    measure, clean = lpips.Lpips(tmp_path), picture(64).astype(np.float32) / 255
    rng = np.random.default_rng(0)
    noisy = [np.clip(clean + s * rng.normal(0, 1, clean.shape), 0, 1).astype(np.float32) for s in (0, 0.05, 0.2)]
    distances = [measure(clean, other) for other in noisy]
    assert distances[0] == 0 and 0 < distances[1] < distances[2]
    torch.save(network, tmp_path / lpips.FILES[1])
    with pytest.raises(ImageGSError, match=r"lin0\.model\.1\.weight is missing"):
        lpips.Lpips(tmp_path)


def test_a_measure_whose_package_is_missing_is_one_clear_line(source: Path, imagegs, monkeypatch) -> None:
    monkeypatch.setattr("imagegs_blender.core.quality.perceptual.find_spec", lambda name: None)
    done = imagegs("compare", source, source, "--metrics", "flip")
    assert done.code == 1 and done.err.splitlines() == [
        "error: flip: needs the package flip-evaluator; pip install imagegs-blender[extras]"
    ]
