"""Real .blend files: compressed headless, opened in a new process, rendered; against renders of their textures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "tea_set": "blend/tea_set/blender/tea_set_01_1k_posed.blend",
    "rosewood": "blend/rosewood_veneer1_1k/rosewood_veneer1_1k.blend",
}


def python(*arguments: Any) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, *map(str, arguments)]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]


def render(blend: Path, engine: str, folder: Path, *options: str) -> np.ndarray:
    """(height, width, 4): display values 0..255, and how much of a pixel shows an object, 0..1."""
    out = folder / "render.npy"
    python(Path(__file__).with_name("render.py"), blend, out, engine, *options)
    texels = np.load(out)
    return np.concatenate([np.clip(texels[..., :3], 0, 1) ** (1 / 2.2) * 255, texels[..., 3:]], axis=2)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Of the pixels that show an object in both pictures, which are all but a few at its outline."""
    shown = np.minimum(a[..., 3], b[..., 3]) > 0.99
    assert shown.sum() > max(1000, 0.99 * (a[..., 3] > 0.99).sum())
    return float(10 * np.log10(255**2 / np.mean((a - b)[shown, :3] ** 2)))


@pytest.fixture(scope="module", params=FILES)
def converted(request: pytest.FixtureRequest, data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The original, two compressed copies (one of them self-contained) and the report."""
    source, folder = data / FILES[request.param], tmp_path_factory.mktemp(request.param)
    result = {"name": request.param, "source": source}
    result |= {"plain": folder / "plain.blend", "packed": folder / "packed.blend"}
    options = ["--decoder", "nodes", "--upgrade", "--preset", "fast", "--num-gaussians", "3000", "--drop-originals"]
    report = folder / "report.json"
    python("-m", "imagegs_blender.batch", source, "-o", result["plain"], "--report", report, *options)
    (result["report"],) = json.loads(report.read_text())["files"]
    python(Path(__file__).with_name("repack.py"), result["plain"], result["packed"])
    return result


def test_every_material_is_compressed(converted: dict[str, Any]) -> None:
    report = converted["report"]
    assert report["failed"] == [] and report["error"] is None
    (row,) = report["materials"]
    assert row["num_gaussians"] == 3000 and row["psnr"]["overall"] > 30
    if converted["name"] == "rosewood":
        assert report["bytes_before"] > 8 * report["bytes_after"]
    else:  # 1.2 of its 2.5 MB are meshes
        assert report["bytes_before"] > 1.8 * report["bytes_after"]


@pytest.mark.parametrize("engine", ["cycles", "eevee"])
def test_it_looks_like_the_original(converted: dict[str, Any], engine: str, tmp_path: Path) -> None:
    original = render(converted["source"], engine, tmp_path)
    rebuilt = render(converted["plain"], engine, tmp_path)
    assert psnr(original, rebuilt) > 32
    if engine == "cycles":
        packed = render(converted["packed"], engine, tmp_path, "--without-addon")
        np.testing.assert_allclose(packed, rebuilt, atol=1e-3, err_msg="self-contained, without the add-on")
