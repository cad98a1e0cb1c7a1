"""The settings of a fit, in the result: each changes what it names."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from imagegs_blender.core.decoding import decode
from imagegs_blender.core.encoding import encode
from imagegs_blender.core.fitting import restoration
from imagegs_blender.core.igs import stream
from imagegs_blender.core.quality import metrics
from imagegs_blender.core.settings import PRESETS, FitSettings
from imagegs_blender.core.textures import texture_stack
from tests.samples import color, picture, picture_stack


def test_the_largest_k_is_stored_and_decoded() -> None:
    """Other K are compared with the reference in test_devices.py; each is compiled on its own, which takes a while."""
    encoded = encode.encode(picture_stack(), FitSettings.preset("fast", num_gaussians=60, max_steps=20, topk=16))
    read = stream.read(encoded.data).gaussians
    assert read.topk == 16 and encoded.report.psnr["overall"] > 15
    other = decode.planes(dataclasses.replace(read, topk=4))
    assert np.abs(other - decode.planes(read)).max() > 1e-3


def test_switches_change_what_they_name() -> None:
    """Without tiles the result is nearly the same (the definition agrees with the kernels); without the rest it is not."""
    base = FitSettings.preset("paper", num_gaussians=60, max_steps=30, add_steps=5)
    small = texture_stack.build([color(picture(32))])
    results = {
        name: stream.read(encode.encode(small, dataclasses.replace(base, **changed)).data).gaussians
        for name, changed in {
            "base": {},
            "tiles": {"tiles": False},
            "topk": {"topk": 0},
            "inverse": {"inverse_scale": False},
            "color": {"color_init": False},
            "progressive": {"initial_ratio": 1.0},
        }.items()
    }
    difference = {name: np.abs(decode.planes(g) - decode.planes(results["base"])).mean() for name, g in results.items()}
    assert difference["tiles"] < 2e-3
    assert all(difference[name] > 4e-3 for name in ("topk", "inverse", "color", "progressive")), difference


def test_quantization_aware_fit_beats_rounding_afterwards() -> None:
    bits = dataclasses.replace(PRESETS["paper"].bits, pos=7, scale=5, rot=5, feat=5)
    reached = []
    for quantize in (True, False):
        settings = FitSettings.preset(
            "paper", num_gaussians=120, max_steps=250, quantize=quantize, bits=bits, pos_lr=1e-3
        )
        reached.append(encode.encode(picture_stack(), settings).report.psnr["overall"])
    assert reached[0] > reached[1] + 0.3, reached


def test_float32_is_exactly_what_was_fitted_and_gamma_is_undone() -> None:
    bits = dataclasses.replace(PRESETS["fast"].bits, pos=32, scale=32, rot=32, feat=32)
    encoded = encode.encode(
        picture_stack(), FitSettings.preset("fast", num_gaussians=150, max_steps=120, gamma=2.2, bits=bits)
    )
    gaussians = stream.read(encoded.data).gaussians
    assert gaussians.gamma == pytest.approx(2.2)
    assert encoded.report.psnr["overall"] > 24
    linear = decode.planes(dataclasses.replace(gaussians, gamma=1.0))
    assert np.abs(linear - picture_stack().planes ** 2.2).mean() < np.abs(linear - picture_stack().planes).mean()


def test_noise_is_estimated_and_left_out() -> None:
    """A picture with noise of standard deviation 25/255: the fit is nearer to the clean picture than what was fitted."""
    clean = picture(128)
    rng = np.random.default_rng(0)
    noisy = np.clip(np.rint(clean * 0.6 + 50 + rng.normal(0, 25, clean.shape)), 0, 255).astype(np.uint8)
    clean = np.rint(clean * 0.6 + 50).astype(np.uint8)
    damaged = texture_stack.build([color(noisy)])
    assert np.mean([restoration.noise(p) for p in damaged.planes]) * 255 == pytest.approx(25, rel=0.1)
    assert restoration.blockiness(damaged.planes[0]) * 255 < 8
    for loss in ("l2", "l1"):
        settings = FitSettings.preset("fast", num_gaussians=600, restore=loss)
        encoded = encode.encode(damaged, settings)
        restored = decode.images(stream.read(encoded.data))["color"]
        assert metrics.psnr(clean, restored) > metrics.psnr(clean, noisy) + 6
        assert encoded.report.num_gaussians < 600
