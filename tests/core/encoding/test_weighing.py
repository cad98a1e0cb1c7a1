"""Maps that count more are nearer to their originals, at the same bytes; what can't be weighed is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from imagegs_blender.core.encoding.encode import encode
from imagegs_blender.core.encoding.weighing import Weighing
from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.core.textures import texture_stack
from imagegs_blender.core.textures.texture_stack import ColorSpace, Depth, Role, SourceMap, TextureStack
from tests.samples import picture

SETTINGS = replace(FitSettings.preset("fast"), bpp=None, max_bytes=1800, max_steps=150, device="cpu")


def stack() -> TextureStack:
    other = np.ascontiguousarray(picture(64)[::-1, :, 0])
    return texture_stack.build(
        [
            SourceMap("color", Role.COLOR, ColorSpace.SRGB, Depth.U8, "RGB", picture(64)),
            SourceMap("rough", Role.DATA, ColorSpace.RAW, Depth.U8, "L", other[..., None]),
        ]
    )


def test_what_counts_more_is_nearer() -> None:
    alike = encode(stack(), SETTINGS).report.psnr
    rough = encode(stack(), replace(SETTINGS, map_weights={"rough": 20.0})).report.psnr
    by_use = encode(stack(), replace(SETTINGS, weigh="use")).report.psnr
    assert rough["rough"] > alike["rough"] + 1 and rough["color"] < alike["color"]
    assert by_use["color"] > alike["color"] + 0.3 and by_use["rough"] < alike["rough"]


def test_weights_that_are_alike_change_nothing() -> None:
    same = encode(stack(), replace(SETTINGS, map_weights={"rough": 3.0, "color": 3.0}))
    assert same.data == encode(stack(), SETTINGS).data
    assert Weighing.of(stack(), SETTINGS) is None


def test_there_and_back_is_the_same() -> None:
    weighing = Weighing.of(stack(), replace(SETTINGS, map_weights={"rough": 0.25}))
    assert weighing is not None
    np.testing.assert_allclose(weighing.root, [1, 1, 1, 0.5])
    gaussians = encode(stack(), SETTINGS).stream.gaussians
    np.testing.assert_allclose(weighing.own(weighing.fitted(gaussians)).feature, gaussians.feature, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"map_weights": {"rough": 0.0}}, "map-weight rough=0: choose 0.001 to 1000"),
        ({"map_weights": {"rough": float("nan")}}, "map-weight rough=nan: choose"),
        ({"weigh": "well"}, "weigh 'well' is unknown: choose one of alike, use, render"),
        ({"weigh": "use", "gamma": 2.0}, "weights of maps and gamma are both set"),
    ],
)
def test_impossible_weights_are_one_line(changes: dict, fault: str) -> None:
    with pytest.raises(ImageGSError, match=fault):
        replace(SETTINGS, **changes)


def test_a_map_that_is_not_there_is_one_line() -> None:
    with pytest.raises(ImageGSError, match="map-weight height: no such map; the maps are color, rough"):
        encode(stack(), replace(SETTINGS, map_weights={"height": 2.0}))
