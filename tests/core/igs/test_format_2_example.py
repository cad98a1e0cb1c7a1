"""The example in docs/format-2.md is a file, and every byte, symbol, Gaussian and texel that the page gives of it is right."""

from __future__ import annotations

import re
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import constriction
import numpy as np
import pytest

from imagegs_blender.core.decoding import decode
from imagegs_blender.core.igs import stream

PAGE = Path(__file__).resolve().parents[3] / "docs" / "format-2.md"
LINE = re.compile(r"^ *(\d+)  ((?:[0-9A-F]{2} ?)+)(?:  .*)?$")


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text("utf-8").partition("\n## Example")[2]


@pytest.fixture(scope="module")
def data(page: str) -> bytes:
    """The bytes of the example, from its lines "offset  bytes  meaning"."""
    return b"".join(part for _, part in lines(page))


def lines(page: str) -> list[tuple[int, bytes]]:
    matches = [LINE.match(line) for line in block(page, "igs").splitlines() if line]
    assert all(matches)
    return [(int(match[1]), bytes.fromhex(match[2])) for match in matches if match]


def block(page: str, name: str) -> str:
    """The content of the fenced block with this name."""
    return page.partition(f"```{name}\n")[2].partition("```")[0]


def row(page: str, name: str) -> list[str]:
    """The cells of the row of a table that begins with this cell."""
    (line,) = (line for line in page.splitlines() if line.startswith(f"| {name}"))
    return [cell.strip() for cell in line.strip("| ").split("|")][1:]


def test_every_offset_is_that_of_its_bytes(page: str) -> None:
    at = 0
    for offset, part in lines(page):
        assert offset == at
        at += len(part)
    assert f"All {at} bytes" in page


def test_the_sections_have_their_size_and_check(data: bytes) -> None:
    at = 12
    for name in (b"HEAD", b"MODL", b"CODE"):
        size, check = struct.unpack_from("<II", data, at + 4)
        assert data[at : at + 4] == name
        assert zlib.crc32(name + data[at + 12 : at + 12 + size]) == check
        at += 12 + size
    assert at == len(data)


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
    shown = [[int(value) for value in line.split()] for line in block(page, "texels").splitlines()]
    assert decode.images(stream.read(data))["h"][..., 0].tolist() == shown
