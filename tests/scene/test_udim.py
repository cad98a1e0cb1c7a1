"""UDIM images: planned, read side by side, and compressed as one stack."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest
from PIL import Image

from imagegs_blender.core.textures.udim import Tiles
from imagegs_blender.scene import cost, material_stack, pixels
from imagegs_blender.scene.material_stack import Sampling

from . import trees


def test_real_file(data: Path) -> None:
    """Tiles of several sizes and depths; each is found again in its picture."""
    folder = data / "udim" / "gltf_blender_io_33_udim"
    bpy.ops.wm.open_mainfile(filepath=str(folder / "33_udim.blend"))
    material = bpy.data.materials["Material"]
    plan = material_stack.plan([material])
    assert all(stack.samplings == (Sampling("UDIM"),) and not stack.wrap for stack in plan.stacks)
    maps = {m.image.name: m for stack in plan.stacks for m in stack.maps}
    assert len(maps) == 4 and all(m.tiles.numbers == (1001, 1002, 1011, 1012) for m in maps.values())
    plan_of_16_bits = maps["Untitled.001"]
    read = pixels.read_map(plan_of_16_bits)
    assert read.pixels.dtype == np.uint16 and read.pixels.shape[1::-1] == plan_of_16_bits.tiles.size
    assert cost.image(plan_of_16_bits.image.find()).disk == sum(
        (folder / f"test2.{number}.png").stat().st_size for number in (1001, 1002, 1011, 1012)
    )
    largest = maps["Untitled"]  # its tile 1001 has the size of all in the picture: it is not resized
    whole = largest.tiles.split(pixels.read_map(largest).pixels)[1001]
    assert np.array_equal(whole, np.asarray(Image.open(folder / "test.1001.png")))


def test_missing_and_unequal_tiles(tmp_path: Path) -> None:
    """A tile without a file is left out and named; an image of other tiles is a stack of its own."""
    material, tree = trees.material("m")
    first = tiled("color", tmp_path, {1001: 32, 1002: 16, 1013: 32}, missing=1002)
    second = tiled("rough", tmp_path, {1001: 32})
    trees.texture(tree, first, ("Color", "Principled BSDF", "Base Color"))
    trees.texture(tree, second, ("Color", "Principled BSDF", "Roughness"))
    plan = material_stack.plan([material])
    assert {m.image.name: m.tiles for stack in plan.stacks for m in stack.maps} == {
        "color": Tiles((1001, 1013), 32, 32), "rough": Tiles((1001,), 32, 32)
    }  # fmt: skip
    assert len(plan.stacks) == 2
    assert [str(s) for s in plan.skipped] == [
        "m, color: UDIM tile 1002: no readable file; the average color will be in its place"
    ]


def test_packed_tiles(tmp_path: Path) -> None:
    """Tiles in the .blend are read and counted like those in files."""
    material, tree = trees.material("m")
    image = tiled("color", tmp_path, {1001: 32, 1002: 32})
    trees.texture(tree, image, ("Color", "Principled BSDF", "Base Color"))
    ((plan,),) = (stack.maps for stack in material_stack.plan([material]).stacks)
    paths = [tmp_path / f"color.{number}.png" for number in (1001, 1002)]
    in_files, size = pixels.read_map(plan).pixels, sum(path.stat().st_size for path in paths)
    image.pack()
    for path in paths:
        path.unlink()
    assert np.array_equal(pixels.read_map(plan).pixels, in_files)
    assert cost.image(image).disk == size


@pytest.mark.parametrize("packed", [False, True])
def test_a_tile_that_only_blender_can_read(packed: bool, tmp_path: Path) -> None:
    material, tree = trees.material("m")
    image = tiled("color", tmp_path, {1001: 32, 1002: 32})
    second = tmp_path / "color.1002.png"
    picture = Image.open(second)
    picture.convert("CMYK").save(second, "JPEG", quality=98)
    image.reload()
    if packed:
        image.pack()
    trees.texture(tree, image, ("Color", "Principled BSDF", "Base Color"))
    ((plan,),) = [stack.maps for stack in material_stack.plan([material]).stacks]
    files = [tmp_path / f"color.{number}.png" for number in plan.tiles.numbers]
    assert cost.image(image).disk == sum(file.stat().st_size for file in files)
    images = set(bpy.data.images)
    whole = plan.tiles.split(pixels.read_map(plan).pixels)
    assert set(bpy.data.images) == images
    np.testing.assert_array_equal(whole[1001], np.asarray(Image.open(tmp_path / "color.1001.png")))
    assert np.abs(whole[1002].astype(int) - np.asarray(picture)).mean() < 8


def tiled(name: str, folder: Path, sizes: dict[int, int], missing: int = 0) -> bpy.types.Image:
    """A tiled image of random tiles."""
    for number, size in sizes.items():
        noise = np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC).save(folder / f"{name}.{number}.png")
    image = bpy.data.images.load(str(folder / f"{name}.1001.png"))
    image.source = "TILED"
    image.filepath = str(folder / f"{name}.<UDIM>.png")
    image.name = name
    for number in [n for n in sizes if n != 1001]:
        image.tiles.new(number)
    if missing:
        (folder / f"{name}.{missing}.png").unlink()
    return image
