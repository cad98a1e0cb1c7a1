"""Image files: what is read is what is in them, what is written comes back, what is broken is named."""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.textures import image_files, roles
from imagegs_blender.core.textures.texture_stack import ColorSpace, Depth, Role

SHAPE = (21, 34)


def random_pixels(depth: Depth, channels: str, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = (*SHAPE, len(channels))
    if depth in (Depth.U8, Depth.U16):
        return rng.integers(0, 256 if depth is Depth.U8 else 65536, shape).astype(
            np.uint8 if depth is Depth.U8 else np.uint16
        )
    values = rng.normal(0, 3, shape).astype(np.float32)
    return values.astype(np.float16).astype(np.float32) if depth is Depth.F16 else values


@pytest.mark.parametrize(
    ("suffix", "depth", "channels"),
    [
        *((s, Depth.U8, c) for s in (".png", ".tga", ".tif") for c in ("L", "LA", "RGB", "RGBA")),
        *((".webp", Depth.U8, c) for c in ("RGB", "RGBA")),
        (".bmp", Depth.U8, "RGB"),
        *((s, Depth.U16, c) for s in (".png", ".tif") for c in ("L", "LA", "RGB", "RGBA")),
        *((".tif", Depth.F32, c) for c in ("L", "RGB", "RGBA")),
        *((".exr", d, c) for d in (Depth.F16, Depth.F32) for c in ("L", "LA", "RG", "RGB", "RGBA")),
    ],
)
def test_lossless_formats_give_back_every_bit(tmp_path: Path, suffix: str, depth: Depth, channels: str) -> None:
    pixels = random_pixels(depth, channels)
    path = tmp_path / f"picture{suffix}"
    image_files.write(path, pixels, depth, channels)
    found = image_files.read_map(path)
    assert (found.name, found.depth, found.channels) == ("picture", depth, channels)
    np.testing.assert_array_equal(found.pixels, pixels)
    assert found.pixels.dtype == pixels.dtype
    assert list(tmp_path.iterdir()) == [path]


def test_lossy_formats_come_close(tmp_path: Path) -> None:
    y, x = np.mgrid[0:64, 0:64]
    smooth = np.stack([x * 4, y * 4, 255 - x * 2], axis=2).astype(np.uint8)
    image_files.write(tmp_path / "a.jpg", smooth, Depth.U8, "RGB")
    assert np.abs(image_files.read_map(tmp_path / "a.jpg").pixels - smooth.astype(int)).mean() < 2
    radiance = (smooth / 16.0).astype(np.float32)
    image_files.write(tmp_path / "b.hdr", radiance, Depth.F32, "RGB")
    found = image_files.read_map(tmp_path / "b.hdr")
    assert (found.depth, found.color_space) == (Depth.F32, ColorSpace.LINEAR)
    np.testing.assert_allclose(found.pixels, radiance, atol=radiance.max() / 128)


def test_alpha_of_16_bit_png_is_straight(tmp_path: Path) -> None:
    """A file made by hand, so that reader and writer can't be wrong together: color under zero alpha is kept."""
    pixels = random_pixels(Depth.U16, "RGBA")
    pixels[::2, :, 3] = 0
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", SHAPE[1], SHAPE[0], 16, 6, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    (tmp_path / "hand.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    found = image_files.read_map(tmp_path / "hand.png")
    assert (found.depth, found.channels) == (Depth.U16, "RGBA")
    np.testing.assert_array_equal(found.pixels, pixels)


def test_every_8_bit_kind_of_file_becomes_plain_channels(tmp_path: Path) -> None:
    rgb = Image.fromarray(random_pixels(Depth.U8, "RGB"))
    palette = rgb.quantize(16)
    palette.save(tmp_path / "palette.png")
    palette.save(tmp_path / "keyed.png", transparency=3)
    rgb.convert("1").save(tmp_path / "bilevel.png")
    rgb.convert("L").save(tmp_path / "grey_keyed.png", transparency=7)
    found = {m.name: m for m in image_files.read_maps(tmp_path)}
    assert {n: m.channels for n, m in found.items()} == {
        "palette": "RGB", "keyed": "RGBA", "bilevel": "L", "grey_keyed": "LA",
    }  # fmt: skip
    np.testing.assert_array_equal(found["palette"].pixels, np.asarray(palette.convert("RGB")))
    np.testing.assert_array_equal(found["keyed"].pixels[..., 3] == 0, np.asarray(palette) == 3)
    assert set(np.unique(found["bilevel"].pixels)) == {0, 255}
    np.testing.assert_array_equal(found["grey_keyed"].pixels[..., 1] == 0, np.asarray(rgb.convert("L")) == 7)


def test_folder_is_read_in_order_and_other_files_are_ignored(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "C.TGA"):
        image_files.write(tmp_path / name, random_pixels(Depth.U8, "RGB"), Depth.U8, "RGB")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "._a.png").write_bytes(b"")
    (tmp_path / "inner.png").mkdir()
    assert [m.name for m in image_files.read_maps(tmp_path)] == ["a", "b", "C"]


def damaged(path: Path) -> Path:
    """A picture cut off in the middle."""
    depth, channels = (Depth.F32, "RGB") if path.suffix in (".exr", ".hdr") else (Depth.U8, "RGB")
    if path.stem == "deep":
        depth, channels = Depth.U16, "RGB"
    image_files.write(path, np.abs(random_pixels(depth, channels)), depth, channels)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


@pytest.mark.parametrize(
    "name", ["a.png", "a.jpg", "a.webp", "a.tga", "a.tif", "a.bmp", "deep.png", "deep.tif", "a.exr", "a.hdr"]
)
def test_truncated_files_are_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageGSError, match=name) as raised:
        image_files.read_map(damaged(tmp_path / name))
    assert "\n" not in str(raised.value)


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "text.exr").write_text("not an image")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "clip.mp4").write_bytes(b"")
    Image.new("CMYK", (4, 4)).save(tmp_path / "cmyk.jpg")
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:])
    for name in ("text.png", "text.exr", "empty.jpg", "clip.mp4", "cmyk.jpg", "moving.webp", "absent.png"):
        with pytest.raises(ImageGSError, match=name) as raised:
            image_files.read_map(tmp_path / name)
        assert "\n" not in str(raised.value)


def test_empty_folder_and_equal_stems_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ImageGSError, match="no images"):
        image_files.read_maps(tmp_path)
    for name in ("rock.png", "Rock.jpg"):
        image_files.write(tmp_path / name, random_pixels(Depth.U8, "RGB"), Depth.U8, "RGB")
    with pytest.raises(ImageGSError, match=r"Rock\.jpg and rock\.png"):
        image_files.read_maps(tmp_path)


def test_missing_openimageio_is_said_once_and_clearly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image_files.write(tmp_path / "a.exr", random_pixels(Depth.F32, "RGB"), Depth.F32, "RGB")
    monkeypatch.setitem(sys.modules, "OpenImageIO", None)
    with pytest.raises(ImageGSError, match=r"a\.exr.*pip install OpenImageIO"):
        image_files.read_map(tmp_path / "a.exr")


def test_nothing_is_left_where_writing_fails(tmp_path: Path) -> None:
    pixels = random_pixels(Depth.U16, "RGB")
    with pytest.raises(ImageGSError, match=r"absent.*folder not found"):
        image_files.write(tmp_path / "absent" / "a.png", pixels, Depth.U16, "RGB")
    (tmp_path / "a.jpg").write_bytes(b"old")
    with pytest.raises(ImageGSError, match=r"a\.jpg: \.jpg can't hold u16"):
        image_files.write(tmp_path / "a.jpg", pixels, Depth.U16, "RGB")
    (tmp_path / "b.png").mkdir()
    with pytest.raises(ImageGSError, match=r"b\.png: is a folder"):
        image_files.write(tmp_path / "b.png", pixels, Depth.U16, "RGB")
    assert {path.name for path in tmp_path.iterdir()} == {"a.jpg", "b.png"}
    assert (tmp_path / "a.jpg").read_bytes() == b"old"


FLAT = np.full((8, 8, 3), (128, 128, 255), np.uint8)
PHOTO = np.full((8, 8, 3), (90, 120, 60), np.uint8)


@pytest.mark.parametrize(
    ("name", "pixels", "role"),
    [
        ("Bricks001_1K-JPG_NormalGL", FLAT, Role.NORMAL),
        ("tea_set_01_nor_gl_1k", FLAT, Role.NORMAL),
        ("T_Rock_N", FLAT, Role.NORMAL),
        ("normal_street", PHOTO, Role.COLOR),
        ("north_wall", FLAT, Role.COLOR),
        ("nordic_tile", FLAT, Role.COLOR),
        ("metal_plate_diff_2k", PHOTO, Role.COLOR),
        ("metal_grate_01", PHOTO, Role.COLOR),
        ("mask_of_gold", PHOTO, Role.COLOR),
        ("WaterBottle_baseColor", PHOTO, Role.COLOR),
        ("WaterBottle_roughnessMetallic", PHOTO, Role.DATA),
        ("tea_set_01_arm_1k", PHOTO, Role.DATA),
        ("armchair", PHOTO, Role.COLOR),
        ("AOMap", PHOTO, Role.DATA),
        ("ambient_occlusion", PHOTO, Role.DATA),
        ("wood rough", PHOTO, Role.DATA),
        ("roughness_wood", PHOTO, Role.DATA),
        ("rock.height.1001", PHOTO, Role.DATA),
        ("leaf-opacity", PHOTO, Role.ALPHA),
        ("kodim05", PHOTO, Role.COLOR),
    ],
)
def test_roles_are_guessed_from_whole_words(name: str, pixels: np.ndarray, role: Role) -> None:
    space = ColorSpace.SRGB if role is Role.COLOR else ColorSpace.RAW
    assert roles.guess(name, "RGB", Depth.U8, pixels) == (role, space)


def test_real_stack_of_three_depths(data: Path) -> None:
    maps = image_files.read_maps(data / "stacks/wood_table_worn")
    found = {m.name: (m.role, m.color_space, m.depth, m.channels) for m in maps}
    assert found == {
        "basecolor": (Role.COLOR, ColorSpace.SRGB, Depth.U8, "RGB"),
        "height": (Role.DATA, ColorSpace.RAW, Depth.U16, "L"),
        "normal": (Role.NORMAL, ColorSpace.RAW, Depth.F16, "RGB"),
        "roughness": (Role.DATA, ColorSpace.RAW, Depth.F16, "RGB"),
    }


def test_16_bit_color_keeps_its_bits(data: Path) -> None:
    found = image_files.read_map(data / "udim/gltf_blender_io_33_udim/test2.1012.png")
    assert (found.depth, found.channels, found.pixels.shape) == (Depth.U16, "RGB", (512, 512, 3))
    assert len(np.unique(found.pixels)) > 256
