"""Metrics against their definitions."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.quality import metrics
from imagegs_blender.core.textures import image_files
from imagegs_blender.core.textures.texture_stack import Role


def pair(shape: tuple[int, ...], seed: int = 0, amount: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 256, shape, np.uint8)
    return a, np.clip(a + rng.integers(-amount, amount + 1, shape), 0, 255).astype(np.uint8)


def plain_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """The formula of Wang et al. 2004 as it is printed, one window at a time, zeros outside."""
    g = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(g, g) / g.sum() ** 2
    x, y = (np.pad(v / 255.0, 5) for v in (a, b))
    total = 0.0
    for i, j in np.ndindex(a.shape):
        p, q = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
        mp, mq = (window * p).sum(), (window * q).sum()
        vp, vq = (window * (p * p)).sum() - mp**2, (window * (q * q)).sum() - mq**2
        cov = (window * (p * q)).sum() - mp * mq
        total += (2 * mp * mq + 1e-4) * (2 * cov + 9e-4) / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4))
    return total / a.size


@pytest.mark.parametrize("shape", [(33, 47), (7, 40), (1, 1)])
def test_ssim_is_the_formula(shape: tuple[int, int]) -> None:
    a, b = pair(shape)
    assert metrics.ssim(a, b) == pytest.approx(plain_ssim(a, b), abs=1e-5)
    assert metrics.ssim(a, a) == pytest.approx(1, abs=1e-6)


def test_psnr_pools_all_samples_of_all_maps() -> None:
    a, b = pair((64, 48, 3)), pair((16, 16, 1), 1, amount=90)
    found = metrics.compare({"color": a[0], "mask": b[0]}, {"mask": b[1], "color": a[1]})["psnr"]
    errors = [(x.astype(float) - y) ** 2 for x, y in (a, b)]
    pooled = np.concatenate([e.ravel() for e in errors])
    mse = {"color": errors[0].mean(), "mask": errors[1].mean(), "overall": pooled.mean()}
    assert list(found) == ["overall", "color", "mask"]
    assert found == pytest.approx({k: 10 * math.log10(255**2 / v) for k, v in mse.items()}, abs=1e-9)


def test_identical_maps() -> None:
    a, _ = pair((20, 20, 3))
    found = metrics.compare({"a": a}, {"a": a})
    assert found["psnr"] == {"overall": math.inf, "a": math.inf}
    assert found["ssim"] == pytest.approx({"overall": 1, "a": 1}, abs=1e-6)


def test_depths_are_compared_as_8_bit_values() -> None:
    a, b = pair((30, 30, 3))
    expected = metrics.psnr(a, b)
    assert metrics.psnr(a.astype(np.uint16) * 257, b.astype(np.uint16) * 257) == expected
    a.flat[:2] = b.flat[:2] = 0, 255
    low_high = [x.astype(np.float32) / 255 * 7 - 3 for x in (a, b)]
    assert metrics.psnr(*low_high) == pytest.approx(metrics.psnr(a, b), abs=1e-9)


def test_color_that_nobody_sees_is_not_compared_where_the_role_is_known() -> None:
    a, b = pair((32, 32, 4))
    a[:16, :, 3] = b[:16, :, 3] = 0
    a[16:, :, 3] = b[16:, :, 3] = 255
    b[16:, :, :3] = a[16:, :, :3]
    assert metrics.compare({"leaf": a}, {"leaf": b})["psnr"]["leaf"] < 40
    assert metrics.compare({"leaf": a}, {"leaf": b}, {"leaf": Role.DATA})["psnr"]["leaf"] < 40
    assert metrics.compare({"leaf": a}, {"leaf": b}, {"leaf": Role.COLOR})["psnr"]["leaf"] == math.inf
    b[20, 20, 0] ^= 16
    found = metrics.compare({"leaf": a}, {"leaf": b}, {"leaf": Role.COLOR})["psnr"]["leaf"]
    assert found == pytest.approx(10 * math.log10(255**2 / (256 / (16 * 32 * 4 + 16 * 32))))


def test_angle_between_normals() -> None:
    angle = np.radians(np.linspace(0, 60, 50))
    tilted = np.stack([np.sin(angle), np.zeros(50), np.cos(angle)], axis=-1)[None] * 0.5 + 0.5
    upright = np.broadcast_to([0.5, 0.5, 1.0], tilted.shape)
    u16 = [np.rint(n * 65535).astype(np.uint16) for n in (upright, tilted)]
    assert metrics.normal_angle(*u16) == pytest.approx(30, abs=0.01)
    assert metrics.normal_angle(upright.astype(np.float32), tilted.astype(np.float32)) == pytest.approx(30, abs=0.001)
    found = metrics.compare({"n": u16[0]}, {"n": u16[1]}, {"n": Role.NORMAL})
    assert found["normal_angle"] == pytest.approx({"n": 30}, abs=0.01)


def test_sets_that_do_not_match_are_named() -> None:
    a, b = pair((8, 8, 3))
    for left, right, message in [
        ({"a": a}, {"a": a, "extra": b}, "extra: only one side"),
        ({"a": a}, {"a": a[:4]}, "a: 8 x 8 with 3 channels against 8 x 4"),
        ({"a": a}, {"a": a[..., :1]}, "with 1 channel"),
        ({"overall": a}, {"overall": a}, "overall: a map can't have this name"),
    ]:
        with pytest.raises(ImageGSError, match=message):
            metrics.compare(left, right)


def test_agrees_with_the_usual_ssim_on_a_photograph(data: Path) -> None:
    """torch's convolution as an independent filter on real texels (the plain loop is slow on these)."""
    torch = pytest.importorskip("torch")
    a = image_files.read_map(data / "images/kodak/kodim23.png").pixels[..., 1]
    b = (a // 24 * 24).astype(np.uint8)
    g = torch.exp(-0.5 * (torch.arange(-5.0, 6.0, dtype=torch.float64) / 1.5) ** 2)
    window = torch.outer(g, g)[None, None] / g.sum() ** 2
    x, y = (torch.tensor(v / 255.0)[None, None] for v in (a, b))
    mx, my, xx, yy, xy = (torch.conv2d(v, window, padding=5) for v in (x, y, x * x, y * y, x * y))
    top = (2 * mx * my + 1e-4) * (2 * (xy - mx * my) + 9e-4)
    bottom = (mx**2 + my**2 + 1e-4) * (xx - mx**2 + yy - my**2 + 9e-4)
    assert metrics.ssim(a, b) == pytest.approx(float((top / bottom).mean()), abs=1e-5)


def test_unused_texels_do_not_count() -> None:
    rng = np.random.default_rng(3)
    original = rng.integers(0, 256, (16, 24, 3), np.uint8)
    decoded = np.clip(original.astype(int) + rng.integers(-9, 10, original.shape), 0, 255).astype(np.uint8)
    unused = np.zeros((16, 24), bool)
    unused[:, 10:] = True
    spoiled = decoded.copy()
    spoiled[unused] = 255 - original[unused]
    found = metrics.compare({"m": original}, {"m": spoiled}, {"m": Role.NORMAL}, unused={"m": unused})
    kept = metrics.compare({"m": original[:, :10]}, {"m": decoded[:, :10]}, {"m": Role.NORMAL})
    assert found["psnr"] == pytest.approx(kept["psnr"]) and found["normal_angle"] == pytest.approx(kept["normal_angle"])
    assert found["psnr"]["overall"] > metrics.compare({"m": original}, {"m": spoiled})["psnr"]["overall"] + 10
