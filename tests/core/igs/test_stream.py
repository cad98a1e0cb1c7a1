"""The .igs file: what goes in comes out bit for bit, and nothing malformed comes in."""

from __future__ import annotations

import dataclasses
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from imagegs_blender.core import morton
from imagegs_blender.core.decoding import decode
from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.igs import codes as quantize
from imagegs_blender.core.igs import plain, stream
from imagegs_blender.core.settings import QuantizeBits
from imagegs_blender.core.textures.texture_stack import Channel, ColorSpace, Depth, MapInfo, Role
from tests.samples import uneven

MAPS = (
    MapInfo("Farbe é", Role.COLOR, ColorSpace.SRGB, Depth.U8, "RGBA", 640, 480,
            (Channel("plane", 0), Channel("plane", 1), Channel("plane", 2), Channel("constant", low=0.25))),
    MapInfo("normal", Role.NORMAL, ColorSpace.RAW, Depth.U16, "RGB", 320, 240,
            (Channel("plane", 3), Channel("plane", 4), Channel("normal_z", 3, 4))),
    MapInfo("height", Role.DATA, ColorSpace.LINEAR, Depth.F32, "L", 640, 480, (Channel("plane", 5, low=-2.5, high=7.0),)),
)  # fmt: skip


@pytest.mark.parametrize("bits", [QuantizeBits(), QuantizeBits(4, 4, 4, 4), QuantizeBits(16, 16, 16, 16)])
@pytest.mark.parametrize(("count", "planes"), [(1, 1), (2, 6), (700, 6), (3000, 32)])
def test_round_trip_bit_for_bit(count: int, planes: int, bits: QuantizeBits) -> None:
    codes = quantize.quantize(uneven(count, planes), bits)
    maps = MAPS if planes >= 6 else ()
    data = stream.Stream.of(codes, maps).to_bytes()
    read = stream.read(data)
    order = np.argsort(morton.code(*codes.mean.T), kind="stable")
    for name in ("mean", "root", "rotation", "bias", "feature"):
        np.testing.assert_array_equal(getattr(read.codes, name), getattr(codes, name)[order], err_msg=name)
    assert read.maps == maps
    assert read.to_bytes() == data


def test_codes_are_near_the_gaussians() -> None:
    """Quantized at 16/12/10/12 bits, every Gaussian keeps its shape: compared as covariance, which has no symmetric twins."""
    g = uneven(2000, 6)
    codes = quantize.quantize(g, QuantizeBits())
    restored = codes.dequantized()
    assert np.abs(restored.mean - g.mean).max() <= 0.5 / 2**16 + 1e-7
    assert (np.abs(restored.feature - g.feature).max(1) < 2 * codes.feature_steps).all()
    assert np.median(codes.feature_steps) < 1.5 / 2**12
    relative = np.abs(restored.conic() - g.conic()).max(1) / np.abs(g.conic()).max(1)
    assert relative.max() < 0.03


def test_snapped_gaussians_keep_their_codes() -> None:
    g = uneven(500, 6)
    bits = QuantizeBits(12, 6, 5, 6)
    grid = quantize.ScaleGrid.of(g, bits)
    codes = quantize.quantize(g, bits, grid)
    again = quantize.quantize(codes.dequantized(), bits, grid)
    for name in ("mean", "root", "rotation", "bias"):
        np.testing.assert_array_equal(getattr(again, name), getattr(codes, name), err_msg=name)


def test_every_flipped_bit_and_every_cut_is_one_clear_error() -> None:
    data = stream.write(uneven(60, 6), MAPS, QuantizeBits(8, 5, 4, 5))
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(ImageGSError, match=r"\.igs stream"):
            stream.read(bytes(damaged))
        with pytest.raises(ImageGSError, match=r"\.igs stream"):
            stream.read(data[:position])
    with pytest.raises(ImageGSError, match="left over"):
        stream.read(data + b"\0")


def test_what_other_programs_make_of_a_payload_is_one_clear_error() -> None:
    """Checksums are right, but the numbers were not coded with these models: refused in one line, or read as numbers."""
    data = stream.write(uneven(300, 6), MAPS)
    start = data.index(b"CODE") + 12
    rng = np.random.default_rng(0)
    said = []
    for _ in range(40):
        payload = rng.bytes(len(data) - start)
        checksum = struct.pack("<I", zlib.crc32(payload, zlib.crc32(b"CODE")))
        said.append(refusal(data[: start - 4] + checksum + payload))
    assert any(said) and all("not a valid .igs stream" in text for text in said if text)


def refusal(data: bytes) -> str:
    """What a reader says against a file; nothing where it reads it."""
    try:
        stream.read(data)
    except ImageGSError as error:
        return str(error)
    return ""


def test_a_newer_version_says_so() -> None:
    data = bytearray(stream.write(uneven(5, 6), MAPS))
    struct.pack_into("<H", data, 8, stream.VERSION + 1)
    with pytest.raises(ImageGSError, match=r"version .* update imagegs_blender"):
        stream.read(bytes(data))


def test_streams_of_earlier_versions_open() -> None:
    """The folder streams holds one file of every version ever released, and its picture at 16 x 12 texels. Never replace one."""
    folder = Path(__file__).parent / "streams"
    for path in sorted(folder.glob("version-*.igs")):
        kept = stream.read(path.read_bytes())
        assert kept.maps == MAPS
        picture = np.load(path.with_suffix(".npy")).astype(np.float32)
        np.testing.assert_allclose(decode.planes(kept.gaussians, 16, 12), picture, atol=2e-3)
    assert (folder / f"version-{stream.VERSION}.igs").exists()


@pytest.mark.parametrize(
    "bits", [QuantizeBits(32, 32, 32, 32), QuantizeBits(20, 17, 5, 31), QuantizeBits(4, 32, 16, 24)]
)
def test_plain_numbers_come_back_bit_for_bit(bits: QuantizeBits) -> None:
    """More than 16 bits: each number is within half a step of what was given, float32 exact, and stays as it is."""
    g = dataclasses.replace(uneven(500, 6), gamma=2.0)
    data = stream.write(g, MAPS, bits)
    read = stream.read(data)
    assert read.maps == MAPS and read.gaussians.gamma == 2.0
    assert read.to_bytes() == data
    assert stream.write(read.gaussians, MAPS, bits) == data
    counted = 500 * (2 * bits.pos + 3 * bits.scale + bits.rot + 6 * bits.feat) / 8  # Image-GS's count, and the bias
    assert counted <= len(data) <= counted + 400
    for name, b in (("mean", bits.pos), ("scale", bits.scale), ("bias", bits.scale), ("feature", bits.feat)):
        given, got = getattr(g, name), getattr(read.gaussians, name)
        if b == 32:
            np.testing.assert_array_equal(got, given)
        else:
            np.testing.assert_allclose(got, given, atol=0.51 * np.ptp(given) / (2**b - 1) + 1e-6)


def test_malformed_plain_numbers_are_refused() -> None:
    data = stream.write(uneven(20, 6), MAPS, QuantizeBits(20, 32, 10, 12))
    assert data[8:12] == bytes([2, 0, 1, 0])
    payload = 20 * (2 * 20) // 8 + 8
    bad = bytearray(data)
    start = len(data) - len(data[data.index(b"CODE") + 12 :])
    bad[start + payload : start + payload + 4] = struct.pack("<f", float("nan"))
    body = bytes(bad[start:])
    bad[start - 4 : start] = struct.pack("<I", zlib.crc32(body, zlib.crc32(b"CODE")))
    with pytest.raises(ImageGSError, match="not finite"):
        stream.read(bytes(bad))
    for flags in (0, 2, 4):
        changed = data[:10] + struct.pack("<H", flags) + data[12:]
        with pytest.raises(ImageGSError, match=r"not a valid \.igs stream"):
            stream.read(changed)


def test_limits_are_checked_when_writing() -> None:
    g = uneven(3, 6)
    with pytest.raises(ImageGSError, match="0 Gaussians"):
        stream.write(g.take(np.arange(0)), MAPS)
    with pytest.raises(ImageGSError, match="1 to 255 bytes"):
        stream.write(g, [dataclasses.replace(MAPS[0], name="x" * 300)])
    with pytest.raises(ImageGSError, match="pos-bits 33"):
        QuantizeBits(pos=33)


IMPOSSIBLE = {
    "a bias is out of range": {"bias": np.full(50, 1e5)},
    "a mean is out of range": {"mean": np.full((50, 2), 2.0)},
    "a scale is out of range": {"scale": np.full((50, 2), 1e-12)},
    "a feature is out of range": {"feature": np.full((50, 6), -1e9)},
    "a bias is not finite": {"bias": np.full(50, np.nan)},
    "a feature is not finite": {"feature": np.full((50, 6), np.inf)},
}


@pytest.mark.parametrize("fault", IMPOSSIBLE)
def test_what_could_not_be_read_is_not_written(fault: str) -> None:
    """A fit does not read its file back, so writing must refuse the numbers that reading refuses."""
    arrays = {name: array.astype(np.float32) for name, array in IMPOSSIBLE[fault].items()}
    plain_numbers = plain.Plain(dataclasses.replace(uneven(50, 6), **arrays), QuantizeBits(32, 32, 32, 32))
    with pytest.raises(ImageGSError, match=fault):
        stream.Stream.of(plain_numbers, ()).to_bytes()


def changed(data: bytes, part: bytes, at: int, new: bytes) -> bytes:
    """A stream with other bytes at a place of a section, and the checksum that belongs to them."""
    start = data.index(part) + 12
    size = struct.unpack_from("<I", data, start - 8)[0]
    section = bytearray(data[start : start + size])
    section[at : at + len(new)] = new
    check = zlib.crc32(section, zlib.crc32(part))
    return data[: start - 8] + struct.pack("<II", len(section), check) + bytes(section) + data[start + size :]


def test_few_bytes_ask_for_little() -> None:
    """What is refused before anything is made of it: bombs of a hundred bytes, and a scale that no kernel could walk."""
    data = stream.write(uneven(3, 1), ())
    bombs = {
        "more Gaussians than its texels": changed(data, b"HEAD", 6, struct.pack("<I", 4_000_000)),
        "planes hold more texels": changed(
            stream.write(uneven(3, 32), ()), b"HEAD", 0, struct.pack("<HH", 16384, 16384)
        ),
    }
    wide = [dataclasses.replace(MAPS[0], name=f"m{k}", width=16384, height=16384) for k in range(2)]
    with pytest.raises(ImageGSError, match="maps hold more texels"):
        stream.write(uneven(3, 6), wide)
    for fault, bomb in bombs.items():
        with pytest.raises(ImageGSError, match=fault):
            stream.read(bomb)
    many = changed(changed(data, b"HEAD", 0, struct.pack("<HH", 8192, 8192)), b"HEAD", 6, struct.pack("<I", 4_000_000))
    with pytest.raises(ImageGSError, match="bytes are too few for its Gaussians"):
        stream.read(many)
    wide_open = changed(stream.write(uneven(3, 1), ()), b"HEAD", 0, struct.pack("<HH", 16384, 8192))
    with pytest.raises(ImageGSError, match="bytes are too few for its texels"):
        stream.read(wide_open)
    tiny = changed(data, b"HEAD", 14, struct.pack("<f", 1e-12))
    with pytest.raises(ImageGSError, match="a scale is out of range"):
        stream.read(tiny)
    start = data.index(b"CODE")
    code = data[start + 12 :] + bytes(400)
    longer = data[:start] + b"CODE" + struct.pack("<II", len(code), zlib.crc32(code, zlib.crc32(b"CODE"))) + code
    with pytest.raises(ImageGSError, match="bytes of its payload are left over"):
        stream.read(longer)


def test_gaussians_that_overlap_without_end_are_refused() -> None:
    g = uneven(6000, 1)
    large = dataclasses.replace(g, scale=np.full((6000, 2), 4e5, np.float32), width=4096, height=4096)
    with pytest.raises(ImageGSError, match="its Gaussians overlap too much"):
        stream.Stream.of(plain.Plain(large, QuantizeBits(32, 32, 32, 32)), ()).to_bytes()


def test_means_out_of_order_are_refused() -> None:
    """Writing and reading are one walk: so this is refused in both."""
    codes = stream.quantized(uneven(40, 1), ()).codes
    assert isinstance(codes, quantize.Codes)
    with pytest.raises(ImageGSError, match="its means are out of order"):
        stream.Stream(codes.take(np.array([0, 7, 5, 39])), ()).to_bytes()


def test_a_place_on_the_morton_curve_is_a_cell() -> None:
    x, y = np.random.default_rng(0).integers(0, 1 << 16, (2, 1000))
    code = morton.code(x, y)
    assert morton.code(np.array([1, 0, 3]), np.array([0, 1, 3])).tolist() == [1, 2, 15]
    np.testing.assert_array_equal(np.stack(morton.cell(code)), [x, y])


def test_maps_are_read_without_the_gaussians() -> None:
    data = stream.write(uneven(60, 6), MAPS)
    assert stream.read_maps(data) == stream.read(data).maps
    with pytest.raises(ImageGSError):
        stream.read_maps(data[:40])
