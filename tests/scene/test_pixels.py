"""Texels of Blender images: the original's own, and what render engines show of them."""

from __future__ import annotations

import struct
import sys
import tempfile
from pathlib import Path

import bpy
import numpy as np
import pytest
from PIL import Image

from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.textures import image_files
from imagegs_blender.core.textures.texture_stack import ColorSpace, Depth, SourceMap
from imagegs_blender.scene import material_stack, pixels

from . import trees

LEAF = np.random.default_rng(7).integers(0, 256, (20, 24, 4), np.uint8)
EVERYTHING = (("Color", "Principled BSDF", "Base Color"), ("Alpha", "Principled BSDF", "Alpha"))


def read(image: bpy.types.Image, *links: tuple[str, str, str]) -> SourceMap:
    """The only map of a material in which an image texture has these links."""
    material, tree = trees.material("m")
    trees.texture(tree, image, *links)
    (stack,) = material_stack.plan([material]).stacks
    return pixels.read_map(*stack.maps)


def saved(array: np.ndarray, path: Path, space: str = "sRGB") -> bpy.types.Image:
    Image.fromarray(array).save(path)
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = space
    return image


def test_bytes_of_a_file_packed_or_not_come_through_untouched(tmp_path: Path) -> None:
    image = saved(LEAF, tmp_path / "leaf.png")
    source = read(image, *EVERYTHING)
    assert (source.name, source.channels) == ("leaf", "RGBA")
    assert (source.depth, source.color_space) == (Depth.U8, ColorSpace.SRGB)
    np.testing.assert_array_equal(source.pixels, LEAF)
    image.pack()
    (tmp_path / "leaf.png").unlink()
    np.testing.assert_array_equal(read(image, *EVERYTHING).pixels, LEAF)


def test_16_bits_stay_16_bits(tmp_path: Path) -> None:
    height = np.arange(20 * 24, dtype=np.uint16).reshape(20, 24) * 100
    source = read(saved(height, tmp_path / "h.png", "Non-Color"), ("Color", "Principled BSDF", "Roughness"))
    assert (source.channels, source.depth, source.color_space) == ("L", Depth.U16, ColorSpace.RAW)
    np.testing.assert_array_equal(source.pixels[..., 0], height)


@pytest.mark.parametrize("is_float", [False, True])
def test_painted_images_come_from_blenders_buffer_top_row_first(is_float: bool) -> None:
    image = bpy.data.images.new("painted", 24, 20, alpha=False, float_buffer=is_float, is_data=is_float)
    values = (LEAF[::-1].astype(np.float32) / 255).copy()
    values[..., 3] = 1
    image.pixels.foreach_set(values.ravel())
    source = read(image, ("Color", "Principled BSDF", "Base Color"))
    assert source.depth is (Depth.F32 if is_float else Depth.U8)
    assert source.color_space is (ColorSpace.RAW if is_float else ColorSpace.SRGB)
    expected = LEAF[..., :3] / np.float32(255) if is_float else LEAF[..., :3]
    np.testing.assert_allclose(source.pixels, expected, atol=1e-6)


def test_only_channels_in_use_and_alpha_that_the_file_lacks(tmp_path: Path) -> None:
    image = saved(LEAF[..., :3].copy(), tmp_path / "orm.png")
    material, tree = trees.material("m")
    node = trees.texture(tree, image, ("Alpha", "Principled BSDF", "Alpha"))
    separate = trees.add(tree, "ShaderNodeSeparateColor", node.outputs["Color"])
    tree.links.new(separate.outputs["Blue"], tree.nodes["Principled BSDF"].inputs["Metallic"])
    source = pixels.read_map(*material_stack.plan([material]).stacks[0].maps)
    assert source.channels == "BA"
    np.testing.assert_array_equal(source.pixels[..., 0], LEAF[..., 2])
    assert (source.pixels[..., 1] == 255).all()


def test_windows_separators_and_relative_paths(tmp_path: Path) -> None:
    (tmp_path / "textures").mkdir()
    image = saved(LEAF, tmp_path / "textures" / "leaf.png")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    image.filepath = "//textures\\leaf.png"
    np.testing.assert_array_equal(read(image, *EVERYTHING).pixels, LEAF)


def test_a_truncated_file_is_one_error_that_names_the_image(tmp_path: Path) -> None:
    image = saved(LEAF, tmp_path / "leaf.png")
    assert image.size[0] == 24
    path = tmp_path / "leaf.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ImageGSError, match=r"^leaf.png: .*leaf.png"):
        read(image, *EVERYTHING)


def test_a_packed_file_that_is_damaged_is_named_as_packed_data(tmp_path: Path) -> None:
    image = saved(LEAF[..., :3].copy(), tmp_path / "leaf.jpg")
    path = tmp_path / "leaf.jpg"
    path.write_bytes(path.read_bytes()[:-200])  # Blender shows what there is
    image.reload()
    image.pack()
    with pytest.raises(ImageGSError) as error:
        read(image, *EVERYTHING)
    assert str(error.value).startswith("leaf.jpg: packed data: ")
    assert tempfile.gettempdir() not in str(error.value)


@pytest.mark.parametrize("packed", [False, True])
def test_a_photoshop_file_is_read_by_blender(packed: bool, tmp_path: Path) -> None:
    """Pillow and OpenImageIO are not asked: one refuses it, the other would find other channels than Blender does."""
    path = tmp_path / "layers.psd"
    path.write_bytes(photoshop(LEAF[..., :3]))
    image = bpy.data.images.load(str(path))
    if packed:
        image.pack()
    source = read(image, *EVERYTHING)
    assert (source.channels, source.depth, source.color_space) == ("RGBA", Depth.U8, ColorSpace.SRGB)
    np.testing.assert_array_equal(source.pixels[..., :3], LEAF[..., :3])
    assert (source.pixels[..., 3] == 255).all()


def photoshop(pixels: np.ndarray) -> bytes:
    """A .psd of one picture, uint8 (height, width, 3), without layers, uncompressed."""
    height, width, _ = pixels.shape
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, height, width, 8, 3)
    no_palette_resources_layers = bytes(12)
    return head + no_palette_resources_layers + struct.pack(">H", 0) + np.moveaxis(pixels, 2, 0).tobytes()


@pytest.mark.parametrize(("kind", "suffix"), [("JPEG", ".png"), ("PNG", ".exr"), ("PNG", ".psd"), ("TIFF", ".hdr")])
def test_a_wrong_extension_does_not_matter(kind: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"leaf{suffix}"
    Image.fromarray(LEAF[..., :3]).save(path, kind)
    source = read(bpy.data.images.load(str(path)), *EVERYTHING[:1])
    assert (source.channels, source.depth, source.color_space) == ("RGB", Depth.U8, ColorSpace.SRGB)
    np.testing.assert_array_equal(source.pixels, np.asarray(Image.open(path)))


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_is_what_blender_makes_of_it(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"print{suffix}"
    flat = Image.new("RGB", (24, 20), (200, 120, 40))
    flat.convert("CMYK").save(path)
    source = read(bpy.data.images.load(str(path)), *EVERYTHING[:1])
    assert (source.channels, source.depth, source.color_space) == ("RGB", Depth.U8, ColorSpace.SRGB)
    np.testing.assert_allclose(source.pixels[4, 4], (200, 120, 40), atol=3)


@pytest.mark.parametrize("mode", ["STRAIGHT", "CHANNEL_PACKED"])
@pytest.mark.parametrize("space", ["sRGB", "Non-Color"])
def test_16_bit_color_without_openimageio(
    space: str, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blender holds 16 bits as scene-linear, premultiplied floats: they become the file's numbers again."""
    wide = np.random.default_rng(8).integers(0, 65536, (20, 24, 4), np.uint16)
    wide[..., 3] |= 0x8000  # what is nearly transparent can't be divided by its alpha again
    image_files.write(tmp_path / "wide.png", wide, Depth.U16, "RGBA")
    image = bpy.data.images.load(str(tmp_path / "wide.png"))
    image.colorspace_settings.name, image.alpha_mode = space, mode
    with_it = read(image, *EVERYTHING)
    monkeypatch.setitem(sys.modules, "OpenImageIO", None)
    without = read(image, *EVERYTHING)
    assert (without.depth, without.color_space, without.channels) == (Depth.U16, with_it.color_space, "RGBA")
    np.testing.assert_array_equal(with_it.pixels, wide)
    np.testing.assert_allclose(without.pixels.astype(int), wide, atol=1)


@pytest.mark.parametrize(("space", "expected"), [("Linear Rec.709", ColorSpace.LINEAR), ("sRGB", ColorSpace.SRGB)])
def test_floats_without_openimageio(
    space: str, expected: ColorSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bright = np.random.default_rng(9).uniform(0, 4, (20, 24, 3)).astype(np.float32)
    image_files.write(tmp_path / "bright.exr", bright, Depth.F32, "RGB")
    image = bpy.data.images.load(str(tmp_path / "bright.exr"))
    image.colorspace_settings.name = space
    monkeypatch.setitem(sys.modules, "OpenImageIO", None)
    source = read(image, *EVERYTHING[:1])
    assert (source.depth, source.color_space, source.channels) == (Depth.F32, expected, "RGB")
    np.testing.assert_allclose(source.pixels, bright, rtol=1e-4, atol=1e-4)


def test_what_nobody_can_read_is_left_with_the_images_name(tmp_path: Path) -> None:
    path = tmp_path / "noise.png"
    path.write_bytes(LEAF.tobytes())
    material, tree = trees.material("m")
    trees.texture(tree, bpy.data.images.load(str(path)), EVERYTHING[0])
    plan = material_stack.plan([material])
    assert plan.stacks == ()
    (skipped,) = plan.skipped
    assert skipped.image == "noise.png" and "not a readable image" in skipped.reason


@pytest.mark.parametrize("space", ["sRGB", "Non-Color"])
@pytest.mark.parametrize("alpha_linked", [False, True])
@pytest.mark.parametrize("mode", ["STRAIGHT", "PREMUL", "CHANNEL_PACKED", "NONE"])
def test_alpha_modes(tmp_path: Path, mode: str, alpha_linked: bool, space: str) -> None:
    """What EEVEE 4.5 was seen to show: premultiplied (linear) without, straight with a link to the Alpha output."""
    flat = np.full((16, 16, 4), (100, 80, 60, 128), np.uint8)
    image = saved(flat, tmp_path / "flat.png", space)
    image.alpha_mode = mode
    source = read(image, *EVERYTHING[: 1 + alpha_linked])
    factor = 1.0
    if space == "sRGB" and mode == "STRAIGHT" and not alpha_linked:
        factor = 128 / 255
    if space == "sRGB" and mode == "PREMUL" and alpha_linked:
        factor = 255 / 128
    expected = to_linear(flat[0, 0, :3]) * factor
    np.testing.assert_allclose(to_linear(source.pixels[0, 0, :3]), expected, atol=0.003)
    if alpha_linked:
        assert (source.pixels[..., 3] == (255 if mode == "NONE" else 128)).all()
    assert len(source.channels) == 3 + alpha_linked


def to_linear(encoded: np.ndarray) -> np.ndarray:
    x = encoded / 255
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def test_floats_of_any_color_space_are_read_as_blender_holds_them(tmp_path: Path) -> None:
    """Scene-linear: converted when Blender read the file, whose own numbers would be others."""
    image = trees.deep("wide", tmp_path)
    image.colorspace_settings.name = "Linear Rec.2020"
    material, tree = trees.material("m")
    trees.texture(tree, image, ("Color", "Principled BSDF", "Base Color"))
    source = pixels.read_map(*material_stack.plan([material]).stacks[0].maps)
    held = np.array(image.pixels[:], np.float32).reshape(32, 32, 4)[::-1, :, :3]
    assert source.color_space is ColorSpace.LINEAR and np.array_equal(source.pixels, held)
    image.colorspace_settings.name = "Linear Rec.709"
    own = np.array(image.pixels[:], np.float32).reshape(32, 32, 4)[::-1, :, :3]
    assert np.abs(own - held).max() > 0.05, "they are not those of the file"
