"""A size or quality of its own for a material, and one click from a low quality to a good one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest

from imagegs_blender.blend.decoder import decoders
from imagegs_blender.workflow import forecast, reach, selection, summary
from imagegs_blender.workflow.compress import planned
from tests.scene import trees
from tests.ui.layout import drawn
from tests.workflow import scene

pytestmark = pytest.mark.usefixtures("addon")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def squares(tmp_path: Path) -> tuple[bpy.types.Material, bpy.types.Material]:
    """Two selected squares; the material of the first has a size of its own."""
    own, common = (scene.plane(name, tmp_path).active_material for name in ("own", "common"))
    own.imagegs.has_own, own.imagegs.max_kilobytes = True, 2.0
    chosen = bpy.context.scene.imagegs
    chosen.preset, chosen.max_kilobytes, chosen.even_if_not_smaller = "fast", 1.0, True
    return own, common


def sizes() -> dict[str, int]:
    return {decoder.short_name: decoder.record.settings["max_bytes"] for decoder in decoders()}


def test_a_material_has_a_size_of_its_own(squares: tuple[bpy.types.Material, bpy.types.Material]) -> None:
    plan = forecast.plan(list(squares))
    assert forecast.estimate(plan, bpy.context.scene.imagegs.fit_settings()).bytes == 3000
    assert "A size or quality of its own: 1 material" in drawn(bpy.types.IMAGEGS_PT_compress_view3d).text
    assert bpy.ops.imagegs.compress() == {"FINISHED"}
    assert sizes() == {"own material": 2000, "common material": 1000}


def test_a_rate_that_a_script_passes_is_for_all(squares: tuple[bpy.types.Material, bpy.types.Material]) -> None:
    bpy.ops.imagegs.compress(preset="fast", bpp=8.0)
    assert {decoder.record.settings["bpp"] for decoder in decoders()} == {8.0}


def test_the_active_material_shows_its_own(squares: tuple[bpy.types.Material, bpy.types.Material]) -> None:
    bpy.context.scene.imagegs_scope = selection.ACTIVE
    panel = bpy.types.IMAGEGS_PT_compress_material
    assert "has_own" in drawn(panel).properties
    common = squares[1]
    common.imagegs.has_own, common.imagegs.rate = True, "QUALITY"
    assert "target_psnr" in drawn(panel).properties and "max_kilobytes" not in drawn(panel).properties
    assert dict(planned([common]).stacks[0].amount) == {"target_psnr": 35.0}


def test_it_is_remembered_and_the_batch_keeps_to_it(
    squares: tuple[bpy.types.Material, bpy.types.Material], tmp_path: Path
) -> None:
    path = tmp_path / "scene.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    command = [sys.executable, "-m", "imagegs_blender.batch", path, "--preset", "fast", "--max-bytes", "1500"]
    for option, most in (("--quiet", 2000), ("--same-rate", 1500)):
        report = tmp_path / "report.json"
        options = ["--overwrite", "-o", tmp_path / "out.blend", "--even-if-not-smaller", "--report", report, option]
        subprocess.run(
            [*map(str, [*command, *options])], check=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
        (file,) = json.loads(report.read_text())["files"]
        streams = {row["material"]: row["bytes"] for row in file["materials"]}
        assert streams["common material"] <= 1500 and most - 300 < streams["own material"] <= most


def grain() -> None:
    """Pictures so large, and so grainy, that a good quality takes less than they do."""
    for image in bpy.data.images:
        texels = np.random.default_rng(1).random(4 * 64 * 64, np.float32)
        image.scale(64, 64)
        image.pixels.foreach_set(0.5 + 0.1 * texels)
        image.pack()


def test_one_click_reaches_a_good_quality(squares: tuple[bpy.types.Material, bpy.types.Material]) -> None:
    own, common = squares
    own.imagegs.has_own = False
    grain()
    bpy.ops.imagegs.compress(preset="fast", bpp=1.6)
    low = {decoder.short_name: summary.of(decoder) for decoder in decoders()}["common material"]
    assert low.psnr < reach.LOW, "the test needs a low quality"
    wanted = reach.size(low)
    assert "visible up close" in drawn(bpy.types.IMAGEGS_PT_compress_view3d).text
    assert bpy.ops.imagegs.reach_quality(decoder="Image-GS common material") == {"FINISHED"}
    done = {decoder.short_name: summary.of(decoder) for decoder in decoders()}
    assert done["common material"].psnr > low.psnr + 1 and done["common material"].after.disk <= wanted
    assert done["own material"].after.disk <= 1024, "the other is as it was"
    assert common.imagegs.has_own and round(common.imagegs.max_kilobytes * 1000) == wanted and not own.imagegs.has_own


def test_there_is_no_click_where_the_originals_take_less(
    squares: tuple[bpy.types.Material, bpy.types.Material],
) -> None:
    bpy.ops.imagegs.compress(preset="fast", bpp=4.0)
    for decoder in decoders():
        s = summary.of(decoder)
        assert reach.size(summary.Summary(**{**vars(s), "before": summary.Cost(10, 10)})) is None
        assert reach.size(summary.Summary(**{**vars(s), "psnr": None})) is None


def test_one_click_leaves_other_stacks_of_the_material_as_large_as_they_are(tmp_path: Path) -> None:
    """Two images with coordinates of their own are two stacks."""
    item = scene.plane("both", tmp_path)
    tree = item.active_material.node_tree
    rough = tree.nodes["Principled BSDF"].inputs["Roughness"].links[0].from_node
    mapping = trees.add(tree, "ShaderNodeMapping", trees.add(tree, "ShaderNodeTexCoord").outputs["UV"])
    mapping.inputs["Scale"].default_value = (2, 2, 1)
    tree.links.new(mapping.outputs[0], rough.inputs["Vector"])
    grain()
    bpy.ops.imagegs.compress(preset="fast", bpp=2.0)
    before = {next(iter(d.record.originals)): (d.name, summary.of(d)) for d in decoders()}
    name, low = before["both color"]
    assert bpy.ops.imagegs.reach_quality(decoder=name) == {"FINISHED"}
    after = {next(iter(d.record.originals)): d for d in decoders()}
    assert after["both color"].record.settings["max_bytes"] == reach.size(low)
    assert after["both rough"].record.settings["max_bytes"] == before["both rough"][1].after.disk
    assert item.active_material.imagegs.max_kilobytes == pytest.approx(reach.size(low) / 1000)
