"""The fit: it resembles the picture, gives the same bytes every time, keeps its budget, and stops when told to."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from imagegs_blender.core.decoding import decode
from imagegs_blender.core.devices import points
from imagegs_blender.core.encoding import encode
from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.fitting.budget import LEAST_STEPS, rounded_up
from imagegs_blender.core.igs import stream
from imagegs_blender.core.settings import PRESETS, FitSettings
from imagegs_blender.core.textures import texture_stack
from imagegs_blender.core.textures.texture_stack import ColorSpace, Depth, Role, SourceMap, TextureStack
from tests.samples import color, picture


def textures(wrap: bool = False) -> TextureStack:
    """96 x 96 texels, of which nothing is periodic."""
    gloss = SourceMap("gloss", Role.DATA, ColorSpace.RAW, Depth.U8, "L", picture(96)[..., :1])
    return texture_stack.build([color(picture(96)), gloss], wrap)


def test_the_result_looks_like_the_picture() -> None:
    encoded = encode.encode(textures(), FitSettings.preset("fast", num_gaussians=400))
    assert encoded.report.psnr["overall"] > 30
    assert encoded.report.num_gaussians == 400
    assert encoded.report.bytes == len(encoded.data)
    decoded = decode.images(stream.read(encoded.data))
    error = np.mean((decoded["color"].astype(float) - picture(96)) ** 2)
    assert 10 * np.log10(255**2 / error) == pytest.approx(encoded.report.psnr["color"], abs=1e-6)


@pytest.mark.parametrize("preset", PRESETS)
def test_same_input_gives_the_same_bytes(preset: str) -> None:
    settings = FitSettings.preset(preset, num_gaussians=60, max_steps=40, add_steps=5)
    first = encode.encode(textures(wrap=True), settings)
    assert encode.encode(textures(wrap=True), settings).data == first.data
    assert encode.encode(textures(wrap=True), dataclasses.replace(settings, seed=1)).data != first.data


def test_random_colors_are_a_start_too() -> None:
    """Of the Gaussians that come later as well: those that are asked for, and those that are moved."""
    settings = FitSettings.preset("fast", num_gaussians=150, max_steps=150, color_init=False)
    report = encode.encode(textures(), settings).report
    assert report.num_gaussians == 150 and report.psnr["overall"] > 20


def test_paper_preset_is_the_recipe_of_image_gs() -> None:
    paper = FitSettings.preset("paper", num_gaussians=100)
    assert (paper.topk, paper.init_scale, paper.inverse_scale) == (10, 5.0, True)
    assert (paper.pos_lr, paper.scale_lr, paper.rot_lr, paper.feat_lr) == (5e-4, 2e-3, 2e-3, 5e-3)
    assert (paper.l1, paper.l2, paper.ssim) == (1.0, 0.0, 0.1)
    assert (paper.initial_ratio, paper.add_times, paper.add_steps, paper.max_steps) == (0.5, 4, 500, 10_000)
    assert dataclasses.astuple(paper.bits) == (16, 12, 10, 12)


def test_wrapped_textures_are_fitted_without_a_seam() -> None:
    """A picture whose left and right edge differ: fitted on the torus, the seam is inside the picture like any edge."""
    settings = FitSettings.preset("fast", num_gaussians=300)
    gaussians = stream.read(encode.encode(textures(wrap=True), settings).data).gaussians
    rolled = dataclasses.replace(gaussians, mean=((gaussians.mean + np.array([0.5, 0.25])) % 1).astype(np.float32))
    expected = np.roll(decode.planes(gaussians), (24, 48), (1, 2))
    assert (np.abs(decode.planes(rolled) - expected).max(0) > 1e-3).mean() < 1e-3


@pytest.mark.parametrize("bpp", [0.6, 2.0])
def test_the_file_fits_the_requested_bits(bpp: float) -> None:
    encoded = encode.encode(textures(), FitSettings.preset("fast", bpp=bpp))
    assert 0.85 * bpp < encoded.report.bpp <= bpp
    assert encoded.report.bpp == 8 * len(encoded.data) / 96**2


def test_bytes_are_never_exceeded_and_used() -> None:
    report = encode.encode(textures(), FitSettings.preset("fast", max_bytes=1500)).report
    assert 0.98 * 1500 <= report.bytes <= 1500


def test_the_requested_psnr_is_reached_with_few_bytes() -> None:
    reached = encode.encode(textures(), FitSettings.preset("fast", target_psnr=32, max_bytes=9000)).report
    assert 32 <= reached.psnr["overall"] <= 32.2
    assert reached.warning is None
    limited = encode.encode(textures(), FitSettings.preset("fast", target_psnr=45, max_bytes=900)).report
    assert limited.bytes <= 900
    assert "target-psnr 45 dB was not reached" in limited.warning


def test_a_time_budget_ends_the_fit_with_a_valid_result() -> None:
    encode.encode(textures(), FitSettings.preset("high", num_gaussians=100, max_steps=20))  # kernels are compiled
    encoded = encode.encode(textures(), FitSettings.preset("high", num_gaussians=100, time_budget=20, max_steps=10**6))
    assert LEAST_STEPS <= encoded.report.steps < 10**6
    assert stream.read(encoded.data).gaussians.planes == 3
    assert 100 <= encoded.report.num_gaussians <= 110  # a fit cut short covers holes with a few wide ones


@pytest.mark.parametrize("amount", [{"bpp": 4.0}, {"target_psnr": 30.0}])
def test_a_time_budget_too_short_for_a_picture_names_one_that_works(amount: dict[str, float]) -> None:
    """Nothing is written then; eight times what is named leaves room for a busy machine."""
    large = texture_stack.build([SourceMap("color", Role.COLOR, ColorSpace.SRGB, Depth.U8, "RGB", picture(1024))])
    with pytest.raises(ImageGSError) as error:
        encode.encode(large, FitSettings.preset("balanced", time_budget=0.01, **amount))
    found = re.fullmatch(r"time-budget 0.01 is too short for a picture: at least ([\d.]+) s here", str(error.value))
    assert found and float(found[1]) > 0.3
    report = encode.encode(large, FitSettings.preset("balanced", time_budget=8 * float(found[1]), **amount)).report
    assert report.steps >= LEAST_STEPS and report.psnr["overall"] > 20


def test_seconds_are_rounded_up_to_two_digits() -> None:
    seconds = (0.0312, 0.31, 2.21, 9.99, 12.1, 123.4)
    assert [rounded_up(value) for value in seconds] == ["0.032", "0.31", "2.3", "10", "13", "124"]


def test_requests_that_cannot_be_met_are_one_clear_error() -> None:
    with pytest.raises(ImageGSError, match="too small for one Gaussian"):
        encode.encode(textures(), FitSettings.preset("fast", bpp=0.01))
    for options, message in (
        ({"num_gaussians": 0}, "at least one Gaussian"),
        ({"topk": 17}, "1 to 16"),
        ({"num_gaussians": 5, "bpp": 1.0}, "choose one"),
        ({"bpp": -1.0}, "above 0"),
    ):
        with pytest.raises(ImageGSError, match=message):
            FitSettings.preset("fast", **options)
    with pytest.raises(ImageGSError, match="preset 'best' is unknown"):
        FitSettings.preset("best")


def test_unweighted_texels_do_not_count() -> None:
    """With weight only on the left half, the fit there is better than with the same Gaussians for the whole."""
    whole = textures()
    half = np.zeros(whole.planes.shape[1:], np.float32)
    half[:, :48] = 1
    settings = FitSettings.preset("fast", num_gaussians=120)
    error = {}
    for name, weights in (("whole", None), ("half", half)):
        encoded = encode.encode(dataclasses.replace(whole, weights=weights), settings)
        assert encoded.report.unused == (0.0 if weights is None else 0.5)
        planes = decode.planes(stream.read(encoded.data).gaussians)
        error[name] = np.mean((planes - whole.planes)[:, :, :48] ** 2)
    assert error["half"] < 0.8 * error["whole"]


def test_points_are_drawn_where_the_density_is() -> None:
    density = np.zeros((40, 60))
    density[10:20, 30:50] = 1
    drawn = points.draw(density, 500, np.random.default_rng(0)) * [60, 40]
    assert drawn[:, 0].min() >= 30 and drawn[:, 0].max() <= 50
    assert drawn[:, 1].min() >= 10 and drawn[:, 1].max() <= 20
    corners, _, _ = np.histogram2d(*drawn.T, bins=(2, 2), range=((30, 50), (10, 20)))
    assert corners.min() > 110  # equal shares of the density, not merely independent draws
