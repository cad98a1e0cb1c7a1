"""What no Gaussian reaches shows what is around it, in every decoder, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from imagegs_blender.core.decoding import decode, tables
from imagegs_blender.core.devices import reference
from imagegs_blender.core.encoding import holes
from imagegs_blender.core.encoding.encode import encode
from imagegs_blender.core.gaussians import Gaussians
from imagegs_blender.core.igs import stream
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.core.textures.texture_stack import ColorSpace, Depth, Role, SourceMap, TextureStack, build
from tests.core.decoding.lookup import lookup

SIZE = 96


def bright(wrap: bool) -> TextureStack:
    """A picture without black: 0.5 to 1, smooth."""
    y, x = np.mgrid[:SIZE, :SIZE] * (2 * np.pi / SIZE)
    picture = 0.75 + 0.25 * np.stack([np.sin(x), np.cos(y), np.sin(x + y)], 2)
    pixels = np.rint(255 * picture).astype(np.uint8)
    return build([SourceMap("color", Role.COLOR, ColorSpace.SRGB, Depth.U8, "RGB", pixels)], wrap)


def sparse(textures: TextureStack) -> Gaussians:
    """Few Gaussians, none in the lower right half: there and in gaps nothing reaches."""
    rng = np.random.default_rng(3)
    mean = rng.random((400, 2))
    mean = mean[mean.sum(1) < 1]
    column, row = (mean.T * SIZE).astype(int)
    scale = np.full((len(mean), 2), 2.0)
    arrays = (mean, scale, np.zeros(len(mean)), textures.planes[:, row, column].T, np.zeros(len(mean)))
    return Gaussians(*(a.astype(np.float32) for a in arrays), SIZE, SIZE, textures.wrap, 4)


@pytest.mark.parametrize("wrap", [False, True])
def test_every_decoder_shows_what_is_around(wrap: bool) -> None:
    textures = bright(wrap)
    gaussians = sparse(textures)
    assert (reference.render(gaussians) == 0).any(), "it has holes"
    closed = holes.closed(gaussians, textures)
    assert holes.shares(closed).min() >= 0.85
    assert len(closed) < 2 * len(gaussians)
    shown = reference.render(closed)
    assert shown.min() > 0.4
    covered = holes.shares(gaussians) > 0.9999
    np.testing.assert_allclose(shown[:, covered], reference.render(gaussians)[:, covered], atol=0.02)
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE
    looked_up = np.moveaxis(lookup(tables.build(closed), x, y), 2, 0)
    np.testing.assert_allclose(looked_up, shown, atol=0.02)  # cells keep so many candidates
    np.testing.assert_allclose(decode.planes(closed), shown, atol=1e-3)
    np.testing.assert_array_equal(holes.closed(closed, textures).mean, closed.mean)


def test_a_picture_without_holes_and_a_plain_sum_stay_as_they_are() -> None:
    textures = bright(False)
    gaussians = sparse(textures)
    whole = replace(gaussians, scale=np.full_like(gaussians.scale, 30.0))
    assert holes.closed(whole, textures) is whole
    plain = replace(gaussians, topk=0)
    assert holes.closed(plain, textures) is plain


def test_parts_that_no_mesh_shows_are_left_out() -> None:
    stack = bright(False)
    gaussians = sparse(stack)
    weights = (holes.shares(gaussians) > 0.9).astype(np.float32)
    assert holes.closed(gaussians, replace(stack, weights=weights)) is gaussians


def test_a_fit_cut_short_has_no_black_texels() -> None:
    settings = FitSettings.preset("fast", num_gaussians=40, max_steps=1, init_scale=1.5, device="cpu")
    found = stream.read(encode(bright(True), settings).data).gaussians
    assert holes.shares(found).min() > 0.8
    assert decode.planes(found).min() > 0.4
