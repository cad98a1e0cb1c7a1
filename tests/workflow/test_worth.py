"""Only what is worth it: stacks that would not get smaller stay as they are, and no file becomes larger."""

from __future__ import annotations

import json
from pathlib import Path

import bpy
import numpy as np
import pytest
from PIL import Image

from imagegs_blender.blend.decoder import decoders
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.scene import material_stack
from imagegs_blender.workflow import worth
from imagegs_blender.workflow.compress import planned
from imagegs_blender.workflow.run import compress
from tests.scene import trees
from tests.test_batch import batch, errors

pytestmark = pytest.mark.usefixtures("addon")
RATE = ("--preset", "fast", "--bpp", "4")


def rough(name: str, folder: Path, size: int = 128) -> bpy.types.Image:
    """A picture of grain, which PNG can't make small: 3 bytes a texel."""
    path = folder / f"{name}.png"
    Image.fromarray(np.random.default_rng(5).integers(0, 256, (size, size, 3), np.uint8)).save(path)
    return bpy.data.images.load(str(path))


def textured(name: str, image: bpy.types.Image) -> bpy.types.Material:
    material, tree = trees.material(name)
    trees.texture(tree, image, ("Color", "Principled BSDF", "Base Color"))
    return material


@pytest.fixture
def both(tmp_path: Path) -> list[bpy.types.Material]:
    """A material whose texture takes 49 KB, and one whose texture takes 2 KB."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    return [textured("large", rough("large", tmp_path)), textured("small", trees.image("small", tmp_path))]


def saved(path: Path) -> Path:
    bpy.ops.file.pack_all()
    bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=True)
    return path


def test_before_the_fit(both: list[bpy.types.Material]) -> None:
    settings = FitSettings.preset("fast", bpp=4.0)
    outcome = compress(planned(both), settings, only_smaller=True)
    assert [done.stack.name for done in outcome.done] == ["large"]
    (left,) = outcome.plan.skipped
    assert str(left) == "small, small: would not get smaller: 2 KB as it is"
    assert str(left.reason) in [notice.text for notice in outcome.notices]
    assert len(compress(planned(both), settings).done) == 1, "large is compressed, small is on demand"


def test_after_the_fit(both: list[bpy.types.Material]) -> None:
    """Where quality decides, nobody knows the size before."""
    settings = FitSettings.preset("fast", target_psnr=45.0, max_bytes=None)
    plan = planned(both[1:])
    assert worth.stream_bytes(plan.stacks[0], settings) is None and worth.sifted(plan, settings) == plan
    outcome = compress(plan, settings, only_smaller=True)
    assert not outcome.done and not decoders()
    assert [left.reason for left in outcome.plan.skipped] == ["would not get smaller: 2 KB as it is"]


def test_several_decoders_cost_more(tmp_path: Path) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    material = textured("m", rough("picture", tmp_path, 64))
    settings = FitSettings.preset("fast", max_bytes=8000)
    assert worth.sifted(material_stack.plan([material]), settings).stacks
    for extension in ("EXTEND", "MIRROR"):
        node = trees.texture(
            material.node_tree, bpy.data.images["picture.png"], ("Color", "Principled BSDF", "Emission Color")
        )
        node.extension = extension
        trees.add(material.node_tree, "ShaderNodeMix")
    other, tree = trees.material("other")
    trees.texture(tree, bpy.data.images["picture.png"], ("Color", "Principled BSDF", "Base Color")).extension = "CLIP"
    assert not worth.sifted(material_stack.plan([material, other]), settings).stacks


def test_a_batch_says_what_it_left(both: list[bpy.types.Material], tmp_path: Path) -> None:
    source, out, report = saved(tmp_path / "in.blend"), tmp_path / "out.blend", tmp_path / "report.json"
    run = batch(source, *RATE, "--drop-originals", "--output", out, "--report", report)
    assert (run.returncode, errors(run)) == (0, [])
    assert "left as it is: small, small" in run.stdout and "would not get smaller: 2 KB as it is" in run.stdout
    (result,) = json.loads(report.read_text())["files"]
    assert [row["material"] for row in result["materials"]] == ["large"]
    assert result["bytes_after"] == out.stat().st_size < source.stat().st_size
    assert result["bytes_after"] < result["bytes_before"]
    dry = batch(source, *RATE, "--dry-run")
    assert "left as it is: small, small" in dry.stdout
    run = batch(source, *RATE, "--drop-originals", "--output", out, "--overwrite", "--even-if-not-smaller")
    assert run.returncode == 0 and "would not get smaller" not in run.stdout
    bpy.ops.wm.open_mainfile(filepath=str(out))
    assert len(decoders()) == 2


def test_a_file_that_would_grow_stays_as_it_was(both: list[bpy.types.Material], tmp_path: Path) -> None:
    """The picture can't go: a world shows it, too."""
    world = bpy.data.worlds.new("world")
    if world.node_tree is None:
        world.use_nodes = True
    world.use_fake_user = True
    world.node_tree.nodes.new("ShaderNodeTexEnvironment").image = bpy.data.images["large.png"]
    source, out, report = saved(tmp_path / "in.blend"), tmp_path / "out.blend", tmp_path / "report.json"
    run = batch(source, *RATE, "--drop-originals", "--output", out, "--report", report)
    assert (run.returncode, errors(run)) == (0, [])
    (result,) = json.loads(report.read_text())["files"]
    assert result["materials"] == [] and "left as it is: the file: would not get smaller: " in run.stdout
    assert out.stat().st_size <= source.stat().st_size
    bpy.ops.wm.open_mainfile(filepath=str(out))
    assert not decoders() and bpy.data.images["large.png"].packed_file


def test_bytes_before_are_of_what_was_compressed(both: list[bpy.types.Material], tmp_path: Path) -> None:
    """A picture that can't be read as it claims is planned, and left; it was never part of the file."""
    path = tmp_path / "in.blend"
    broken = tmp_path / "broken.png"
    Image.fromarray(np.random.default_rng(6).integers(0, 256, (256, 256, 3), np.uint8)).save(broken)
    textured("broken", bpy.data.images.load(str(broken)))
    bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=True)
    whole = broken.read_bytes()
    sizes = {}
    for name, data in (("whole", whole), ("cut", whole[: len(whole) // 2])):
        broken.write_bytes(data)
        report = tmp_path / "report.json"
        batch(path, *RATE, "--drop-originals", "--overwrite", "--output", tmp_path / "out.blend", "--report", report)
        (result,) = json.loads(report.read_text())["files"]
        sizes[name] = result["bytes_before"], len(result["materials"])
    assert sizes["whole"][1] == 2 and sizes["cut"][1] == 1
    assert sizes["whole"][0] - sizes["cut"][0] == pytest.approx(len(whole), rel=0.05)


def test_a_texture_too_small_for_its_rate_stays(tmp_path: Path) -> None:
    """32 x 32 texels of noise take 3.1 KB, more than a decoder, but one bit a texel holds no picture of them."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    plan = planned([textured("tiny", rough("tiny", tmp_path, 34))])
    assert worth.now(plan.stacks[0]).disk > worth.DECODER_BYTES + 200
    sifted = worth.sifted(plan, FitSettings.preset("fast", bpp=1.0))
    assert [left.reason for left in sifted.skipped] == ["too small for this rate: 34 x 34 would get 144 bytes"]
    assert worth.sifted(plan, FitSettings.preset("fast", target_psnr=30.0, max_bytes=None)) == plan
