"""Materials in asset libraries: what marks them stays, and a self-contained one renders where the add-on is not installed."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest

import imagegs_blender
from imagegs_blender.blend.decoder import decoders
from tests.scene import trees
from tests.shaders import plane
from tests.workflow import scene

pytestmark = pytest.mark.usefixtures("addon")
CATALOG = "7bd4a1f0-5c5e-4c9c-9a3f-2f6c2f4f1c11"
PIXELS = 64


def look(folder: Path) -> np.ndarray:
    """A Cycles render of a square with the material."""
    (material,) = [m for m in bpy.data.materials if m.name == "square material"]
    plane.enable_cycles()
    shown = bpy.context.scene
    for item in list(bpy.data.objects):
        bpy.data.objects.remove(item)
    bpy.ops.mesh.primitive_plane_add(size=1, location=(0.5, 0.5, 0))
    bpy.context.object.data.materials.append(material)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    shown.collection.objects.link(camera)
    shown.camera, camera.location = camera, (0.5, 0.5, 10)
    camera.data.type, camera.data.ortho_scale = "ORTHO", 1
    shown.render.resolution_x = shown.render.resolution_y = PIXELS
    shown.render.resolution_percentage = 100
    return plane.render("CYCLES", folder, ["all"])["all"]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A file with a compressed, self-contained material that is marked as an asset."""
    item = scene.plane("square", tmp_path)
    material = item.active_material
    tree = material.node_tree
    emission = trees.add(tree, "ShaderNodeEmission")
    picture = tree.nodes["Principled BSDF"].inputs["Base Color"].links[0].from_socket
    tree.links.new(picture, emission.inputs["Color"])
    tree.links.new(emission.outputs[0], tree.nodes["Material Output"].inputs["Surface"])
    material.asset_mark()
    material.asset_data.catalog_id, material.asset_data.author = CATALOG, "a person"
    material.asset_data.tags.new("tiles")
    material.preview_ensure()
    material.preview.image_size = (8, 8)
    material.preview.image_pixels_float.foreach_set(np.linspace(0, 1, 256, dtype=np.float32))
    assert bpy.ops.imagegs.compress(preset="fast", bpp=16.0, even_if_not_smaller=True) == {"FINISHED"}
    assert bpy.ops.imagegs.self_contained(keep=True) == {"FINISHED"}
    path = tmp_path / "library.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    return path


def appended(path: Path, link: bool = False) -> bpy.types.Material:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(path), link=link, assets_only=True) as (there, here):
        assert there.materials == ["square material"]
        here.materials = there.materials
    return here.materials[0]


def test_what_marks_an_asset_stays(library: Path) -> None:
    bpy.ops.wm.open_mainfile(filepath=str(library))
    material = bpy.data.materials["square material"]
    data = material.asset_data
    assert (data.catalog_id, data.author, [tag.name for tag in data.tags]) == (CATALOG, "a person", ["tiles"])
    assert tuple(material.preview.image_size) == (8, 8)
    assert len(decoders()) == 1


@pytest.mark.parametrize("link", [False, True])
def test_it_renders_without_the_addon(library: Path, tmp_path: Path, link: bool) -> None:
    appended(library, link)
    truth = look(tmp_path)
    assert truth.std() > 0.03, "a picture is seen"
    imagegs_blender.unregister()
    try:
        appended(library, link)
        found = look(tmp_path)
    finally:
        imagegs_blender.register()
    np.testing.assert_allclose(found, truth, atol=2 / 255)
