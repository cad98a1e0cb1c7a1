"""The example in docs/format-2.md is a file, and every byte, symbol, Gaussian and texel that the page gives of it is right."""

from __future__ import annotations

import re
from fractions import Fraction

import constriction
import numpy as np
import pytest

from imagegs_blender.core.decoding import decode
from imagegs_blender.core.igs import stream
from tests.core.igs.page import bytes_of, check_sections, example, row, texels


@pytest.fixture(scope="module")
def page() -> str:
    return example("format-2.md")


@pytest.fixture(scope="module")
def data(page: str) -> bytes:
    return bytes_of(page)


def test_the_sections_have_their_size_and_check(data: bytes) -> None:
    check_sections(data)


def test_the_word_holds_the_symbols(page: str, data: bytes) -> None:
    """Decoded by the weights that the page gives, with nothing of ours but the page."""
    coder = constriction.stream.queue.RangeDecoder(np.frombuffer(data[-4:], "<u4").astype(np.uint32))
    rows = re.findall(r"^\| .+ \| (-?\d+)\.\.(-?\d+) \| ([\d /]+) \| ([-\d ]+) \|$", page, re.MULTILINE)
    assert len(rows) == 13
    for low, high, weights, coded in rows:
        p = np.array([float(Fraction(weight)) for weight in weights.split()])
        assert len(p) == int(high) - int(low) + 1
        symbols = [int(symbol) for symbol in coded.split()]
        model = constriction.stream.model.Categorical(p, perfect=False)
        assert (coder.decode(model, len(symbols)) + int(low)).tolist() == symbols


def test_our_reader_gives_the_codes_and_the_maps(page: str, data: bytes) -> None:
    read = stream.read(data)
    for i, name in enumerate(("codes of the first", "codes of the second")):
        mean, scale, rotation, bias, feature = row(page, name)
        codes = read.codes.take(np.array([i]))
        assert codes.mean[0].tolist() == [int(code) for code in mean.split()]
        assert codes.scale[0].tolist() == [int(code) for code in scale.split()]
        assert [codes.rotation[0], codes.bias[0], codes.feature[0, 0]] == [
            int(rotation.split()[0]),
            int(bias),
            int(feature),
        ]
    (info,) = read.maps
    assert (info.name, info.channels, info.width, info.height) == ("h", "L", 8, 4)


def test_the_codes_stand_for_the_gaussians(page: str) -> None:
    """By the formulas of the page, with the numbers of the example's HEAD."""
    for which in ("first", "second"):
        mean, scale, rotation, bias, feature = row(page, f"codes of the {which}")
        code, levels = (int(number) for number in rotation.split(" of "))
        expected = [
            *(np.array(mean.split(), float) + 0.5) / 2**4,
            *np.exp(0 + 0.25 * np.array(scale.split(), float)),
            np.pi * (code + 0.5) / levels,
            0.25 * float(bias),
            0.5 + 0.0625 * float(feature),
        ]
        aspect = np.exp(0.25 * -np.diff(np.array(scale.split(), float))[0])
        assert levels == 1 + np.floor((aspect - 1 / aspect) / 4 * 2**4)
        shown = [float(number) for cell in row(page, f"the {which} Gaussian") for number in cell.split()]
        np.testing.assert_allclose(shown, expected, atol=6e-6)


def test_our_decoder_gives_the_texels(page: str, data: bytes) -> None:
    assert decode.images(stream.read(data))["h"][..., 0].tolist() == texels(page)
