"""Compress, restore and drop as a person does them, and what happens when a compressed file is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

import imagegs_blender
from imagegs_blender.blend import storage
from imagegs_blender.core.errors import Cancelled
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.scene import replace
from imagegs_blender.shaders import table_images
from imagegs_blender.shaders.nodes import projection
from imagegs_blender.workflow import bake, compress
from tests.scene import trees

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


def state() -> dict[str, Any]:
    """All that compressing could have changed."""
    kept = {collection: sorted(getattr(bpy.data, collection).keys()) for collection in ("images", "node_groups")}
    return kept | {material.name: trees.dump(material.node_tree) for material in bpy.data.materials}


def texels(group: bpy.types.ShaderNodeTree) -> dict[str, np.ndarray]:
    found = {}
    for table, image in table_images.images_of(group).items():
        found[table] = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(found[table])
    return found


def test_buttons_compress_restore_and_drop_the_selected(materials: list[bpy.types.Material]) -> None:
    before = state()
    assert bpy.ops.imagegs.compress(preset="fast", bpp=4.0) == {"FINISHED"}
    (group,) = storage.decoders()
    assert group.users == 1 and state()["far"] == before["far"]
    assert storage.record(group)["report"]["bytes"] == len(storage.stream(group)) <= 4.0 * 32 * 32 / 8
    assert bpy.ops.imagegs.restore() == {"FINISHED"}
    assert state() == before
    assert not bpy.ops.imagegs.restore.poll(), "nothing left to restore"

    bpy.ops.imagegs.compress(preset="fast", bpp=4.0)
    assert bpy.ops.imagegs.drop_originals() == {"FINISHED"}
    assert "near rough" not in bpy.data.images and "shared" in bpy.data.images


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
    (done,) = compress.compress(materials, SETTINGS).done
    group = bpy.data.node_groups[done.group]
    assert (done.stack.projection, projection.projection_of(group)) == ("SPHERE", "SPHERE")
    replace.restore(materials)
    assert state() == globe
    (done,) = compress.compress(materials, SETTINGS).done
    group = bpy.data.node_groups[done.group]
    bake.use(group, bake.bake(group, tmp_path))
    shown = [
        node
        for node in materials[0].node_tree.nodes
        if node.bl_idname == "ShaderNodeTexImage" and node.outputs[0].links
    ]
    assert shown and {(node.projection, node.extension) for node in shown} == {("SPHERE", "EXTEND")}


def test_a_shared_image_is_compressed_once(materials: list[bpy.types.Material]) -> None:
    outcome = compress.compress(materials, SETTINGS)
    (done,) = outcome.done
    assert done.stack.materials == ("far", "near") and [m.name for m in done.stack.maps] == [
        "far rough", "near rough", "shared"
    ]  # fmt: skip
    assert bpy.data.node_groups[done.group].users == 2
    again = compress.compress(materials, SETTINGS)
    assert not again.done and [s.reason for s in again.plan.skipped] == [f"already compressed: {done.group}"] * 2


@pytest.mark.parametrize("when", ["first report", "closed"])
def test_stopping_leaves_no_trace(materials: list[bpy.types.Material], when: str) -> None:
    before = state()
    if when == "closed":
        running = compress.steps(materials, SETTINGS)
        next(running)
        running.close()
    else:

        def stop(update: compress.Update) -> None:
            raise Cancelled

        with pytest.raises(Cancelled):
            compress.compress(materials, SETTINGS, stop)
    assert state() == before


def test_tables_are_rebuilt_when_a_file_is_opened(materials: list[bpy.types.Material], tmp_path: Path) -> None:
    compress.compress(materials, SETTINGS)
    (group,) = storage.decoders()
    built = texels(group)
    path = tmp_path / "saved.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=True)
    size = sum(array.nbytes for array in built.values())
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(path))
    (group,) = storage.decoders()
    rebuilt = texels(group)
    assert size > 1000 and built.keys() == rebuilt.keys()
    for table, array in built.items():
        np.testing.assert_array_equal(rebuilt[table], array, err_msg=table)
    assert any(array.any() for array in built.values())


def test_a_damaged_stream_is_named_and_kept_and_does_not_stop_the_others(
    materials: list[bpy.types.Material], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for material in materials:
        compress.compress([material], SETTINGS)
    damaged, whole = storage.decoders()
    data = bytearray(storage.stream(damaged))
    data[len(data) // 2] ^= 1
    storage.store(damaged, bytes(data), storage.record(damaged))
    names = damaged.name, whole.name
    built = texels(whole)
    path = tmp_path / "saved.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    capfd.readouterr()
    bpy.ops.wm.open_mainfile(filepath=str(path))
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "Image-GS" in line]
    assert line.startswith(f"Image-GS: {names[0]}: ")
    assert storage.stream(bpy.data.node_groups[names[0]]) == bytes(data)
    for table, array in texels(bpy.data.node_groups[names[1]]).items():
        np.testing.assert_array_equal(array, built[table], err_msg=table)


def test_registering_twice_over_leaves_nothing_behind() -> None:
    def present() -> tuple[set[str], dict[str, int]]:
        lists = {name: getattr(bpy.app.handlers, name) for name in dir(bpy.app.handlers) if not name.startswith("_")}
        handlers = {name: len(value) for name, value in lists.items() if isinstance(value, list)}
        return {name for name in dir(bpy.types) if name.upper().startswith("IMAGEGS")}, handlers

    enabled = present()
    imagegs_blender.unregister()
    classes, handlers = disabled = present()
    assert not classes and enabled[0] and handlers["load_post"] < enabled[1]["load_post"]
    imagegs_blender.register()
    assert present() == enabled
    imagegs_blender.unregister()
    assert present() == disabled
    imagegs_blender.register()
