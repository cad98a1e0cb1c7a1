"""encode(): nothing is done twice, and the stream in hand is the stream in the file."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from imagegs_blender.core.decoding import decode
from imagegs_blender.core.encoding import encode, rate, search
from imagegs_blender.core.encoding.packing import Packed
from imagegs_blender.core.encoding.search import Attempt
from imagegs_blender.core.gaussians import Gaussians
from imagegs_blender.core.igs import maps, stream
from imagegs_blender.core.quality import metrics
from imagegs_blender.core.settings import FitSettings, QuantizeBits
from imagegs_blender.core.textures import image_files, texture_stack
from imagegs_blender.core.textures.texture_stack import ColorSpace, Depth, Role, SourceMap, TextureStack


def shades(side: int = 32) -> np.ndarray:
    """(side, side, 3) uint8, smooth."""
    y, x = np.mgrid[0:side, 0:side] / side
    return (np.stack([x, 0.5 + 0.5 * np.sin(3 * x + 4 * y), 1 - y], 2) * 255).astype(np.uint8)


def small_stack() -> TextureStack:
    color = SourceMap("color", Role.COLOR, ColorSpace.SRGB, Depth.U8, "RGB", shades())
    height = SourceMap("height", Role.DATA, ColorSpace.RAW, Depth.F32, "L", shades()[..., :1].astype(np.float32) / 20)
    return texture_stack.build([color, height])


@pytest.mark.parametrize(
    "options",
    [{}, {"gamma": 2.2}, {"bits": QuantizeBits(32, 20, 17, 32), "gamma": 2.2}],
    ids=["coded", "gamma", "plain"],
)
def test_the_stream_in_hand_is_the_one_in_the_file(options: dict) -> None:
    encoded = encode.encode(small_stack(), FitSettings.preset("fast", num_gaussians=40, max_steps=10, **options))
    read = stream.read(encoded.data)
    assert_equal(encoded.stream, read)
    assert read.to_bytes() == encoded.data
    for name, pixels in decode.images(read).items():
        np.testing.assert_array_equal(encoded.decoded.images[name], pixels)


def assert_equal(a: object, b: object) -> None:
    """Dataclasses are equal field by field: type, dtype and value."""
    assert type(a) is type(b)
    if dataclasses.is_dataclass(a):
        for field in dataclasses.fields(a):
            assert_equal(getattr(a, field.name), getattr(b, field.name))
    elif isinstance(a, np.ndarray):
        np.testing.assert_array_equal(a, b, strict=True)
    else:
        assert a == b


def test_a_fit_parses_nothing_decodes_once_and_measures_once(
    tmp_path: Path, imagegs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the file that it has just made; the SSIM of each channel is computed once."""
    calls = {"read": 0, "planes": 0, "ssim": 0}

    def counted(module: object, name: str) -> None:
        original = getattr(module, name)

        def call(*arguments: object, **options: object) -> object:
            calls[name] += 1
            return original(*arguments, **options)

        monkeypatch.setattr(module, name, call)

    counted(stream, "read")
    counted(decode, "planes")
    counted(metrics, "ssim")
    image_files.write(tmp_path / "shades.png", shades(), Depth.U8, "RGB")
    options = ["--preset", "fast", "--num-gaussians", 40, "--max-steps", 10, "--feat-bits", 8, "--quiet"]
    done = imagegs("fit", tmp_path / "shades.png", "-o", tmp_path / "a.igs", *options)
    assert done.code == 0, done.err
    assert calls == {"read": 0, "planes": 1, "ssim": 3}
    calls.update(read=0, planes=0, ssim=0)
    kept = ["--log-root", tmp_path, "--exp-name", "run", "--eval-steps", 0]
    done = imagegs("fit", tmp_path / "shades.png", *kept, *options)
    assert done.code == 0, done.err
    assert calls == {"read": 0, "planes": 1, "ssim": 3}


def test_the_plan_of_bytes_is_near_the_real_head() -> None:
    """Rate plans with an estimate of the bytes beside the Gaussians; HEAD and the sections are known to the byte."""
    stack = small_stack()
    head = encode.encode(stack, FitSettings.preset("fast", num_gaussians=20, max_steps=3)).stream.head
    signature_and_sections = 12 + 3 * 12
    exact = signature_and_sections + len(head.write()) + len(maps.write(stack.maps))
    models = rate._MODEL * (len(stack.planes) + rate._GEOMETRY_COLUMNS)
    estimate = rate.fixed_bytes({m.name: len(m.sources) for m in stack.maps}, len(stack.planes))
    assert estimate - models == pytest.approx(exact, abs=24)


def test_a_search_ends_with_the_smallest_file_that_reaches_the_target() -> None:
    """On a picture that gains 3 dB with each doubling: near the target, or the best when something ends the search."""

    def attempt(count: int) -> Attempt:
        tried.append(count)
        return Attempt(count, 20 + 3 * math.log2(count / 100), Packed(None, bytes(count)))

    tried: list[int] = []
    found = search.smallest(30.0, 100, attempt, lambda count: count, lambda attempts: True)
    assert 30 <= found.psnr <= 30.8 and len(tried) <= 4
    tried.clear()
    found = search.smallest(30.0, 100, attempt, lambda count: min(count, 400), lambda attempts: True)
    assert tried == [100, 400] and found.count == 400
    tried.clear()
    assert search.smallest(30.0, 100, attempt, lambda count: count, lambda attempts: False).count == 100
    tried.clear()
    found = search.smallest(20.0, 1600, attempt, lambda count: count, lambda attempts: True)
    assert 20 <= found.psnr <= 20.8 and found.count < 1600


def test_all_snaps_of_a_fit_share_a_grid_of_scales() -> None:
    rng = np.random.default_rng(0)
    arrays = rng.random((40, 2)), rng.uniform(1, 9, (40, 2)), rng.random(40), rng.random((40, 4)), np.zeros(40)
    gaussians = Gaussians(*(a.astype(np.float32) for a in arrays), width=32, height=32, wrap=False, topk=4)
    packer = rate.Rate(small_stack(), FitSettings.preset("fast", num_gaussians=9)).packer()
    snapped = packer.snap(gaussians)
    some = snapped.take(np.arange(20))
    np.testing.assert_array_equal(packer.snap(some).scale, some.scale)
    assert not np.array_equal(packer.round(some).scale, some.scale)
    packed = packer.pack(snapped, 0.01).stream.gaussians
    np.testing.assert_array_equal(np.sort(packed.scale, None), np.sort(snapped.scale, None))
