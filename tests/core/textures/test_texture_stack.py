"""Maps to planes and back: only resampling loses anything, and nothing is stored twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.textures import image_files, texture_stack
from imagegs_blender.core.textures.texture_stack import ColorSpace, Depth, Role, SourceMap

H, W = 40, 56


def make(name: str, role: Role, depth: Depth, channels: str, pixels: np.ndarray) -> SourceMap:
    space = ColorSpace.SRGB if role is Role.COLOR else ColorSpace.RAW
    return SourceMap(name, role, space, depth, channels, pixels)


def noise(channels: int, dtype: type, seed: int = 0, size: tuple[int, int] = (H, W)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (*size, channels), dtype, endpoint=True)


def unit_normals(length: float = 1.0) -> np.ndarray:
    """A bumpy normal map; vectors of the given length."""
    y, x = np.mgrid[0:H, 0:W] / 9.0
    n = np.stack([np.sin(x), np.cos(y), np.full_like(x, 2.0)], axis=2)
    n *= length / np.linalg.norm(n, axis=2, keepdims=True)
    return np.rint((n + 1) * 127.5).astype(np.uint8)


def test_every_depth_comes_back_bit_for_bit() -> None:
    rng = np.random.default_rng(3)
    half = rng.normal(5, 20, (H, W, 3)).astype(np.float16).astype(np.float32)
    maps = [
        make("color", Role.COLOR, Depth.U8, "RGB", noise(3, np.uint8)),
        make("height", Role.DATA, Depth.U16, "L", noise(1, np.uint16)),
        make("packed", Role.DATA, Depth.U16, "RGBA", noise(4, np.uint16, 1)),
        make("half", Role.DATA, Depth.F16, "RGB", half),
        make("mask", Role.ALPHA, Depth.U8, "LA", noise(2, np.uint8, 2)),
    ]
    textures = texture_stack.build(maps)
    assert textures.planes.dtype == np.float32
    assert textures.planes.min() >= 0 and textures.planes.max() <= 1
    assert textures.channel_count == len(textures.planes) == 13
    found = texture_stack.images(textures.planes, textures.maps)
    for m in maps:
        np.testing.assert_allclose(found[m.name], m.pixels, rtol=0, atol=1e-5 if m.name == "half" else 0)
        assert found[m.name].dtype == m.pixels.dtype


def test_float_maps_keep_float32_accuracy_over_their_range() -> None:
    pixels = np.random.default_rng(4).uniform(-3, 900, (H, W, 2)).astype(np.float32)
    textures = texture_stack.build([make("f", Role.DATA, Depth.F32, "RG", pixels)])
    assert textures.maps[0].sources[0].low == pixels.min()
    np.testing.assert_allclose(texture_stack.images(textures.planes, textures.maps)["f"], pixels, atol=2e-4)


def test_equal_and_constant_channels_are_not_stored_again() -> None:
    gray = noise(1, np.uint8)
    maps = [
        make("ao", Role.DATA, Depth.U8, "RGB", np.repeat(gray, 3, axis=2)),
        make("rough", Role.DATA, Depth.U8, "L", gray.copy()),
        make("orm", Role.DATA, Depth.U8, "RGB", np.dstack([gray * 0 + 255, noise(1, np.uint8, 1), gray * 0])),
        make("level", Role.DATA, Depth.F32, "L", np.full((H, W, 1), 0.1, np.float32)),
    ]
    textures = texture_stack.build(maps)
    assert len(textures.planes) == 2
    assert [s.kind for s in textures.maps[2].sources] == ["constant", "plane", "constant"]
    found = texture_stack.images(np.random.default_rng(0).random(textures.planes.shape, np.float32), textures.maps)
    assert (found["orm"][..., 0] == 255).all() and (found["orm"][..., 2] == 0).all()
    assert (found["level"] == np.float32(0.1)).all()
    found = texture_stack.images(textures.planes, textures.maps)
    for m in maps:
        np.testing.assert_array_equal(found[m.name], m.pixels)


def test_a_stack_of_constants_has_a_plane_and_comes_back_exactly() -> None:
    maps = [
        make("a", Role.COLOR, Depth.U8, "RGBA", np.full((H, W, 4), (3, 90, 250, 255), np.uint8)),
        make("b", Role.DATA, Depth.U16, "L", np.full((1, 1, 1), 12345, np.uint16)),
    ]
    textures = texture_stack.build(maps)
    assert textures.planes.shape == (1, H, W)
    found = texture_stack.images(textures.planes, textures.maps)
    for m in maps:
        np.testing.assert_array_equal(found[m.name], m.pixels)


def test_z_of_a_normal_map_is_rebuilt_only_where_x_and_y_determine_it() -> None:
    unit = make("unit", Role.NORMAL, Depth.U8, "RGB", unit_normals())
    short = make("short", Role.NORMAL, Depth.U8, "RGB", unit_normals(0.9))
    data = make("data", Role.DATA, Depth.U8, "RGB", unit_normals())
    half = make("half", Role.NORMAL, Depth.F16, "RGB", (unit_normals() / 255).astype(np.float16).astype(np.float32))
    kinds = {m.name: texture_stack.build([m]).maps[0].sources[2].kind for m in (unit, short, data, half)}
    assert kinds == {"unit": "normal_z", "short": "plane", "data": "plane", "half": "normal_z"}
    for m in (unit, half):
        textures = texture_stack.build([m])
        found = texture_stack.images(textures.planes, textures.maps)[m.name]
        np.testing.assert_array_equal(found[..., :2], m.pixels[..., :2])
        top = 255 if m.depth is Depth.U8 else 1
        assert np.abs(found[..., 2] - m.pixels[..., 2].astype(float)).max() / top < 2.5 / 255


def test_smaller_maps_join_at_the_largest_size_and_come_back_at_their_own() -> None:
    y, x = np.mgrid[0:16, 0:16] / 16 * 2 * np.pi
    smooth = np.rint(127.5 + 120 * np.sin(x) * np.cos(y)).astype(np.uint8)[..., None]
    maps = [
        make("large", Role.COLOR, Depth.U8, "RGB", noise(3, np.uint8, size=(64, 64))),
        make("small", Role.DATA, Depth.U8, "L", smooth),
        make("noisy", Role.DATA, Depth.U8, "L", noise(1, np.uint8, 5, (32, 16))),
    ]
    textures = texture_stack.build(maps)
    assert (textures.width, textures.height) == (64, 64)
    found = texture_stack.images(textures.planes, textures.maps)
    assert np.abs(found["small"].astype(int) - smooth).max() <= 1
    assert np.sqrt(np.mean((found["noisy"].astype(float) - maps[2].pixels) ** 2)) < 14


@pytest.mark.parametrize("small", [(16, 16), (48, 32)])
def test_a_repeating_stack_has_no_preferred_origin(small: tuple[int, int]) -> None:
    """Rolling the maps by 5/16 of their size rolls the planes: resampling sees across the edges."""

    def rolled(pixels: np.ndarray, sixteenths: int) -> np.ndarray:
        return np.roll(pixels, (sixteenths * pixels.shape[0] // 16, sixteenths * pixels.shape[1] // 16), (0, 1))

    def at(sixteenths: int) -> texture_stack.TextureStack:
        large, little = noise(1, np.uint8, 6, (96, 96)), noise(1, np.uint8, 7, small)
        maps = [("large", large), ("small", little)]
        return texture_stack.build(
            [make(n, Role.DATA, Depth.U8, "L", rolled(p, sixteenths)) for n, p in maps], wrap=True
        )

    still, moved = at(0), at(5)
    np.testing.assert_allclose(moved.planes[1], rolled(still.planes[1], 5), atol=1e-5)
    back = [texture_stack.images(t.planes, t.maps, wrap=True)["small"].astype(int) for t in (still, moved)]
    np.testing.assert_allclose(back[1], rolled(back[0], 5), atol=1)


def test_hidden_color_continues_the_visible_color_and_alpha_stays_straight() -> None:
    y, x = np.mgrid[0:H, 0:W]
    disc = (x - W / 2) ** 2 + (y - H / 2) ** 2 < 150
    pixels = noise(4, np.uint8)
    pixels[disc, :3] = 100 + (x + y)[disc, None] // 2
    pixels[..., 3] = np.where(disc, 200, 0)
    textures = texture_stack.build([make("leaf", Role.COLOR, Depth.U8, "RGBA", pixels)])
    found = texture_stack.images(textures.planes, textures.maps)["leaf"]
    np.testing.assert_array_equal(found[disc], pixels[disc])
    np.testing.assert_array_equal(found[..., 3], pixels[..., 3])
    color = found[..., :3].astype(int)
    visible = color[disc]
    assert color.min() >= visible.min() - 1 and color.max() <= visible.max() + 1
    assert max(np.abs(np.diff(color, axis=a)).max() for a in (0, 1)) <= 12
    data = texture_stack.build([make("packed", Role.DATA, Depth.U8, "RGBA", pixels)])
    np.testing.assert_array_equal(texture_stack.images(data.planes, data.maps)["packed"], pixels)


def test_decoded_values_outside_the_range_are_clipped() -> None:
    textures = texture_stack.build([make("a", Role.DATA, Depth.U8, "RG", noise(2, np.uint8))])
    planes = np.stack([np.full((H, W), -0.4, np.float32), np.full((H, W), 7.0, np.float32)])
    found = texture_stack.images(planes, textures.maps)["a"]
    assert (found[..., 0] == 0).all() and (found[..., 1] == 255).all()


def test_what_can_not_become_a_stack_is_named() -> None:
    good = make("good", Role.DATA, Depth.U8, "L", noise(1, np.uint8))
    infinite = np.ones((H, W, 1), np.float32)
    infinite[3, 4] = np.inf
    many = [make(f"m{i}", Role.DATA, Depth.U8, "RGB", noise(3, np.uint8, i)) for i in range(11)]
    bad: list[tuple[list[SourceMap], str]] = [
        ([], "no maps"),
        ([good, good], "good: two maps"),
        ([make("overall", Role.DATA, Depth.U8, "L", noise(1, np.uint8))], "overall: a map can't"),
        ([make("inf", Role.DATA, Depth.F32, "L", infinite)], "inf: holds NaN, infinite"),
        ([make("nan", Role.DATA, Depth.F32, "L", infinite * np.nan)], "nan: holds NaN"),
        ([make("odd", Role.DATA, Depth.U8, "RGB", noise(2, np.uint8))], "odd: uint8"),
        ([make("wide", Role.DATA, Depth.U8, "L", np.zeros((1, 16385, 1), np.uint8))], "wide: 16385 x 1"),
        ([make("void", Role.DATA, Depth.U8, "L", np.zeros((0, 5, 1), np.uint8))], "void: 5 x 0"),
        (many, "33 planes"),
    ]
    for maps, message in bad:
        with pytest.raises(ImageGSError, match=message):
            texture_stack.build(maps)
    for weights in (np.ones((H, W + 1)), np.full((H, W), -1.0), np.full((H, W), np.nan)):
        with pytest.raises(ImageGSError, match="weights"):
            texture_stack.build([good], weights=weights)


@pytest.mark.parametrize(
    "folder",
    ["stacks/wood_table_worn", "stacks/foliage_sorrel", "stacks/rusty_metal", "blend/rosewood_veneer1_1k/textures"],
)
def test_real_stacks_come_back(data: Path, folder: str) -> None:
    maps = image_files.read_maps(data / folder)
    textures = texture_stack.build(maps)
    found = texture_stack.images(textures.planes, textures.maps)
    for m, info in zip(maps, textures.maps, strict=True):
        seen = m.pixels[..., 3] > 0 if m.channels == "RGBA" else np.ones(m.pixels.shape[:2], bool)
        top = 1 if m.pixels.dtype == np.float32 else np.iinfo(m.pixels.dtype).max
        for letter, source in enumerate(info.sources):
            error = (found[m.name][..., letter].astype(float) - m.pixels[..., letter])[seen] / top
            limit = 2.6 / 255 if source.kind == "normal_z" else 1e-7
            assert np.sqrt((error**2).mean()) <= limit, (m.name, letter)
