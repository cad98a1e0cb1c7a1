"""Streams are what docs/format.md says: a reader written from that page alone, without anything of ours, finds the same codes.

The page's example is a file, and every byte, number, Gaussian and texel that it gives of it is right.
"""

from __future__ import annotations

import numpy as np
import pytest

from imagegs_blender.core.decoding import decode
from imagegs_blender.core.igs import stream
from imagegs_blender.core.settings import QuantizeBits
from tests.core.igs import stranger
from tests.core.igs.page import bytes_of, check_sections, example, row, texels
from tests.samples import uneven


@pytest.mark.parametrize("bits", [QuantizeBits(), QuantizeBits(9, 6, 6, 6), QuantizeBits(16, 4, 9, 4)])
@pytest.mark.parametrize(("count", "planes"), [(1, 1), (2, 3), (150, 6)])
def test_a_stranger_reads_the_same(count: int, planes: int, bits: QuantizeBits) -> None:
    data = stream.write(uneven(count, planes), (), bits)
    code = data[data.index(b"CODE") + 12 :]
    codes = stream.read(data).codes
    numbers = {"pos": bits.pos, "scale": bits.scale, "rot": bits.rot}
    for name, found in stranger.columns(code, count, planes, numbers).items():
        np.testing.assert_array_equal(found, getattr(codes, name), err_msg=name)


BITS = {"pos": 4, "scale": 4, "rot": 4}


@pytest.fixture(scope="module")
def page() -> str:
    return example("format.md")


@pytest.fixture(scope="module")
def data(page: str) -> bytes:
    return bytes_of(page)


def test_the_sections_have_their_size_and_check(data: bytes) -> None:
    check_sections(data)


def test_the_message_holds_the_numbers(page: str, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    coded: list[int] = []
    number = stranger.Column.number

    def recorded(column: stranger.Column, *contexts: int) -> int:
        coded.append(number(column, *contexts))
        return coded[-1]

    monkeypatch.setattr(stranger.Column, "number", recorded)
    stranger.columns(data[96:], 2, 1, BITS)
    names = ("means", "first roots", "second roots", "rotations", "biases", "component 0")
    assert [int(text) for name in names for text in row(page, name)[0].split()] == coded


def test_the_codes_are_those_of_the_page(page: str, data: bytes) -> None:
    found = stranger.columns(data[96:], 2, 1, BITS)
    for i, name in enumerate(("codes of the first", "codes of the second")):
        mean, root, rotation, bias, feature = row(page, name)
        assert list(found["mean"][i]) == [int(code) for code in mean.split()]
        assert list(found["root"][i]) == [int(code) for code in root.split()]
        assert found["rotation"][i] == int(rotation.split()[0])
        assert (found["bias"][i], found["feature"][i]) == (int(bias), [int(feature)])
    (info,) = stream.read(data).maps
    assert (info.name, info.channels, info.width, info.height) == ("h", "L", 8, 4)


def test_the_codes_stand_for_the_gaussians(page: str) -> None:
    """By the formulas of the page, with the numbers of the example's HEAD."""
    for which in ("first", "second"):
        mean, root, rotation, bias, feature = row(page, f"codes of the {which}")
        code, levels = (int(number) for number in rotation.split(" of "))
        first, second = (int(text) for text in root.split())
        area = max(first * second, 16 // 8, 1)
        aspect = first**2 / second**2
        assert levels == 1 + np.floor((aspect - 1 / aspect) / 4 * (2**4 * area / 16))
        expected = [
            *(np.array(mean.split(), float) + 0.5) / 2**4,
            0.25 * first**2,
            0.25 * second**2,
            np.pi * (code + 0.5) / levels,
            0.25 * float(bias),
            0.5 + float(feature) * 0.0625 * 16 / area,
        ]
        shown = [float(number) for cell in row(page, f"the {which} Gaussian") for number in cell.split()]
        np.testing.assert_allclose(shown, expected, atol=6e-6)


def test_our_decoder_gives_the_texels(page: str, data: bytes) -> None:
    assert decode.images(stream.read(data))["h"][..., 0].tolist() == texels(page)
