"""Compress, restore and drop as a person does them, and what happens when a compressed file is opened."""

from __future__ import annotations

import sys
from pathlib import Path

import bpy
import numpy as np
import pytest

from imagegs_blender.blend.decoder import Decoder, decoders, find
from imagegs_blender.core.errors import Cancelled
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.scene import replace
from imagegs_blender.scene.material_stack import Sampling
from imagegs_blender.workflow import bake
from imagegs_blender.workflow.compress import Outcome, Update, planned, steps
from imagegs_blender.workflow.run import compress
from tests.scene import trees
from tests.workflow import scene
from tests.workflow.scene import state

pytestmark = pytest.mark.usefixtures("addon")
SETTINGS = FitSettings.preset("fast", num_gaussians=40)


@pytest.fixture
def materials(tmp_path: Path) -> list[bpy.types.Material]:
    """Two materials that share a color image, on two objects, the first of which is selected."""
    made = []
    for name in ("near", "far"):
        material, tree = trees.material(name)
        shared = bpy.data.images.get("shared") or trees.image("shared", tmp_path)
        trees.texture(tree, shared, ("Color", "Principled BSDF", "Base Color"))
        trees.texture(tree, trees.image(f"{name} rough", tmp_path, "L"), ("Color", "Principled BSDF", "Roughness"))
        mesh = bpy.data.meshes.new(name)
        mesh.materials.append(material)
        item = bpy.data.objects.new(name, mesh)
        bpy.context.scene.collection.objects.link(item)
        item.select_set(name == "near")
        made.append(material)
    return made


def texels(decoder: Decoder) -> dict[str, np.ndarray]:
    found = {}
    for table, image in decoder.table_images().items():
        found[table] = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(found[table])
    return found


def compressed(materials: list[bpy.types.Material]) -> Outcome:
    return compress(planned(materials), SETTINGS)


def test_buttons_compress_restore_and_drop_the_selected(
    materials: list[bpy.types.Material], capfd: pytest.CaptureFixture[str]
) -> None:
    before = state()
    assert bpy.ops.imagegs.compress(preset="fast", bpp=4.0) == {"FINISHED"}
    (decoder,) = decoders()
    assert decoder.tree.users == 1 and state()["far"] == before["far"]
    assert decoder.record.report.bytes == len(decoder.data) <= 4.0 * 32 * 32 / 8
    assert bpy.ops.imagegs.restore() == {"FINISHED"}
    assert state() == before
    assert not bpy.ops.imagegs.restore.poll(), "nothing left to restore"

    bpy.ops.imagegs.compress(preset="fast", bpp=4.0)
    assert bpy.ops.imagegs.drop_originals() == {"FINISHED"}
    assert "near rough" not in bpy.data.images and "shared" in bpy.data.images
    assert 'Info: kept: shared, which the material "far" uses' in capfd.readouterr().out


def test_a_globe_keeps_its_projection(materials: list[bpy.types.Material], tmp_path: Path) -> None:
    """In its decoder, however that is built; in the image that it is baked to; and where it is put back."""
    before = state()
    for material in materials:
        for node in material.node_tree.nodes:
            if node.bl_idname == "ShaderNodeTexImage":
                node.projection = "SPHERE"
                node.extension = "EXTEND"
    globe = state()
    assert globe != before
    (done,) = compressed(materials).done
    (decoder,) = decoders()
    assert done.stack.samplings == (Sampling("EXTEND", "SPHERE"),)
    assert decoder.projection == decoder.record.projection == "SPHERE"
    replace.restore(materials)
    assert state() == globe
    compressed(materials)
    (decoder,) = decoders()
    bake.use(decoder, bake.bake(decoder, tmp_path))
    shown = [
        node
        for node in materials[0].node_tree.nodes
        if node.bl_idname == "ShaderNodeTexImage" and node.outputs[0].links
    ]
    assert shown and {(node.projection, node.extension) for node in shown} == {("SPHERE", "EXTEND")}


def test_a_shared_image_is_compressed_once(materials: list[bpy.types.Material]) -> None:
    outcome = compressed(materials)
    (done,) = outcome.done
    assert done.stack.materials == ("far", "near") and [m.name for m in done.stack.maps] == [
        "far rough", "near rough", "shared"
    ]  # fmt: skip
    assert bpy.data.node_groups[done.decoders[0]].users == 2
    again = compressed(materials)
    assert not again.done and [s.reason for s in again.plan.skipped] == [f"already compressed: {done.decoders[0]}"] * 2


@pytest.mark.parametrize("when", ["first report", "closed"])
def test_stopping_leaves_no_trace(materials: list[bpy.types.Material], when: str) -> None:
    before = state()
    if when == "closed":
        running = steps(planned(materials), SETTINGS)
        next(running)
        running.close()
    else:

        def stop(update: Update) -> None:
            raise Cancelled

        with pytest.raises(Cancelled):
            compress(planned(materials), SETTINGS, stop)
    assert state() == before


def test_tables_are_rebuilt_when_a_file_is_opened(materials: list[bpy.types.Material], tmp_path: Path) -> None:
    compressed(materials)
    (decoder,) = decoders()
    built = texels(decoder)
    path = tmp_path / "saved.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=True)
    size = sum(array.nbytes for array in built.values())
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(path))
    (decoder,) = decoders()
    rebuilt = texels(decoder)
    assert size > 1000 and built.keys() == rebuilt.keys()
    for table, array in built.items():
        np.testing.assert_array_equal(rebuilt[table], array, err_msg=table)
    assert any(array.any() for array in built.values())


def test_a_damaged_stream_is_named_and_kept_and_does_not_stop_the_others(
    materials: list[bpy.types.Material], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for material in materials:
        compressed([material])
    damaged, whole = decoders()
    data = bytearray(damaged.data)
    data[len(data) // 2] ^= 1
    damaged.store(bytes(data), damaged.record)
    names = damaged.name, whole.name
    built = texels(whole)
    path = tmp_path / "saved.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    capfd.readouterr()
    bpy.ops.wm.open_mainfile(filepath=str(path))
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "Image-GS" in line]
    assert line.startswith(f"Image-GS: {names[0]}: ")
    assert find(names[0]).data == bytes(data)
    for table, array in texels(find(names[1])).items():
        np.testing.assert_array_equal(array, built[table], err_msg=table)


def test_small_stacks_are_fitted_two_at_a_time_to_the_same_bytes(tmp_path: Path) -> None:
    """Another Python, which is there for a GPU, does one after the other."""
    materials = [scene.plane(name, tmp_path).active_material for name in ("one", "two", "three")]
    streams = []
    for options in ({}, {"python": sys.executable}):
        outcome = compress(planned(materials), SETTINGS, worker_options=options)
        assert [done.stack.name for done in outcome.done] == [f"{name} material" for name in ("one", "three", "two")]
        streams.append({decoder.short_name: decoder.data for decoder in decoders()})
        replace.restore(materials)
    assert streams[0] == streams[1]
