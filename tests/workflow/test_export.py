"""Other programs' files: exporters meet ordinary images, and everything is as it was afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from PIL import Image

import imagegs_blender
from imagegs_blender.blend.decoder import Decoder, decoder_nodes, decoders
from imagegs_blender.blend.properties import STREAM
from imagegs_blender.core.decoding import decode
from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.core.textures import image_files
from imagegs_blender.ui import gltf_dialog
from imagegs_blender.workflow import as_images, run
from imagegs_blender.workflow.compress import Phase, planned
from tests.scene import trees
from tests.ui.layout import Layout
from tests.workflow import scene

pytestmark = pytest.mark.usefixtures("addon")


@pytest.fixture
def square(tmp_path: Path) -> bpy.types.Object:
    item = scene.plane("square", tmp_path)
    bpy.ops.imagegs.compress(preset="fast", bpp=16.0)
    return item


@pytest.fixture
def exporter() -> Iterator[None]:
    """The glTF exporter asks the add-ons that are enabled in the preferences."""
    import addon_utils

    addon_utils.enable("io_scene_gltf2")
    entry = bpy.context.preferences.addons.new()
    entry.module = imagegs_blender.__name__
    yield
    bpy.context.preferences.addons.remove(entry)


def the_decoder() -> Decoder:
    (decoder,) = decoders()
    return decoder


def paths(tree: bpy.types.NodeTree) -> int:
    """The number of ways from a material's output backwards to the last node, as the glTF exporter goes them."""
    (end,) = [node for node in tree.nodes if node.bl_idname == "ShaderNodeOutputMaterial"]
    known: dict[tuple[Any, ...], int] = {}

    def to_node(socket: bpy.types.NodeSocket, path: tuple[bpy.types.Node, ...]) -> int:
        return sum(from_output(link.from_socket, path) for link in socket.links)

    def from_output(socket: bpy.types.NodeSocket, path: tuple[bpy.types.Node, ...]) -> int:
        node = socket.node
        key = (tuple(part.as_pointer() for part in path), socket.as_pointer())
        if key not in known:
            known[key] = 0
            if node.bl_idname == "ShaderNodeGroup":
                inside = next(n for n in node.node_tree.nodes if n.bl_idname == "NodeGroupOutput")  # as it does
                entered = inside.inputs[list(node.outputs).index(socket)]
                known[key] = max(1, to_node(entered, (*path, node)))
            elif node.bl_idname == "NodeGroupInput":
                known[key] = max(1, to_node(path[-1].inputs[list(node.outputs).index(socket)], path[:-1]))
            else:
                known[key] = max(1, sum(to_node(each, path) for each in node.inputs))
        return known[key]

    return sum(to_node(socket, ()) for socket in end.inputs)


@pytest.mark.parametrize("kind", ["NODES", "BAKED"])
def test_a_walk_through_a_material_ends(square: bpy.types.Object, tmp_path: Path, kind: str) -> None:
    """The exporter took a billion ways through a decoder's nodes, which took for ever; built, opened, linked."""
    bpy.ops.imagegs.set_decoder(kind=kind)
    assert paths(square.active_material.node_tree) < 20
    body = the_decoder().body
    assert body is not None and len(body.nodes) > 3, "the nodes are there all the same"
    path = tmp_path / "saved.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.open_mainfile(filepath=str(path))
    assert paths(bpy.data.materials["square material"].node_tree) < 20
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(path), link=True) as (source, target):
        target.materials = source.materials
    assert paths(bpy.data.materials["square material"].node_tree) < 20


def decoded() -> dict[str, np.ndarray]:
    return decode.images(the_decoder().stream)


def off_by(image: bpy.types.Image, texels: np.ndarray) -> int:
    """The largest difference between an image and decoded texels, of 255."""
    found = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(found)
    width, height = image.size
    letters = found.reshape(height, width, -1)[::-1, :, : texels.shape[2]]
    return int(np.abs(np.rint(255 * letters).astype(int) - texels).max())


@pytest.mark.usefixtures("exporter")
@pytest.mark.parametrize("kind", ["NODES", "BAKED"])
@pytest.mark.parametrize("options", [
    {"export_format": "GLTF_SEPARATE"}, {"export_format": "GLB"},
    {"export_format": "GLB", "export_image_format": "JPEG", "export_jpeg_quality": 100},
    {"export_format": "GLTF_SEPARATE", "export_image_format": "WEBP", "export_image_quality": 100},
], ids=["separate", "embedded", "JPEG", "WebP"])  # fmt: skip
def test_gltf(square: bpy.types.Object, tmp_path: Path, kind: str, options: dict[str, Any]) -> None:
    bpy.ops.imagegs.set_decoder(kind=kind)
    before, maps = scene.state(), decoded()
    path = tmp_path / "out" / ("a.glb" if options["export_format"] == "GLB" else "a.gltf")
    assert bpy.ops.export_scene.gltf(filepath=str(path), **options) == {"FINISHED"}
    assert scene.state() == before
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.import_scene.gltf(filepath=str(path))
    (material,) = bpy.data.materials
    shader = material.node_tree.nodes["Principled BSDF"]
    color = shader.inputs["Base Color"].links[0].from_node.image
    lossy = options.get("export_image_format") in ("JPEG", "WEBP")
    assert color.name.startswith("square color")
    assert off_by(color, maps["square color"]) <= (60 if lossy else 1)
    assert shader.inputs["Roughness"].is_linked


SCRIPT_EXPORT = """
import os, sys
from pathlib import Path
import bpy
version = f"python{sys.version_info.major}.{sys.version_info.minor}"
sys.path.insert(0, str(Path(bpy.utils.resource_path("LOCAL"), "python", "lib", version, "site-packages")))
import addon_utils
addon_utils.enable("io_scene_gltf2")
addon_utils.enable("cycles")
import imagegs_blender
imagegs_blender.register()
bpy.context.preferences.addons.new().module = "imagegs_blender"
bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
bpy.context.scene.render.engine, bpy.context.scene.cycles.device = "CYCLES", "GPU"
assert bpy.ops.imagegs.set_decoder(kind="OSL") == {"FINISHED"}
assert bpy.ops.export_scene.gltf(filepath=sys.argv[2]) == {"FINISHED"}
sys.stdout.flush()
os._exit(0)
"""


def test_gltf_of_a_script(square: bpy.types.Object, tmp_path: Path) -> None:
    """In a process of its own: compiling OSL wants Blender's own OpenImageIO, not PyPI's."""
    maps, file = decoded(), tmp_path / "a.glb"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    command = [sys.executable, "-c", SCRIPT_EXPORT, str(tmp_path / "scene.blend"), str(file)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "OSL: not for Cycles on a graphics card" in done.stdout
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.import_scene.gltf(filepath=str(file))
    assert off_by(image_of(bpy.data.materials[0]), maps["square color"]) <= 1


@pytest.mark.usefixtures("exporter")
def test_maps_are_decoded_while_the_dialog_is_open(
    square: bpy.types.Object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io_scene_gltf2

    gltf_dialog.register()  # this session's exporter was enabled after the add-on
    layout, dialog = Layout(), SimpleNamespace(as_pointer=lambda: 1)
    for _ in range(2):
        io_scene_gltf2.export_panel_user_extension(
            SimpleNamespace(space_data=SimpleNamespace(active_operator=dialog)), layout
        )
    assert "Image-GS: 1 stack as images" in layout.text
    assert bpy.app.timers.is_registered(as_images._prepare_next)
    while as_images._prepare_next() is not None:
        pass
    monkeypatch.setattr(decode, "planes", lambda *_: pytest.fail("it was decoded before"))
    assert bpy.ops.export_scene.gltf(filepath=str(tmp_path / "a.glb")) == {"FINISHED"}


@pytest.mark.usefixtures("exporter")
def test_a_file_that_could_not_be_written_is_tried_again(
    square: bpy.types.Object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk of the session's folder is full, then it is not."""

    def full(*_: object) -> None:
        raise ImageGSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(image_files, "write", full)
        with pytest.raises(RuntimeError, match="no space left"):
            bpy.ops.imagegs.show_as_images()
        assert bpy.ops.export_scene.gltf(filepath=str(tmp_path / "a.glb")) == {"FINISHED"}
    assert bpy.ops.imagegs.show_as_images() == {"FINISHED"}
    assert off_by(image_of(square.active_material), decoded()["square color"]) == 0


@pytest.mark.usefixtures("exporter")
def test_gltf_while_a_compression_runs(square: bpy.types.Object, tmp_path: Path) -> None:
    """A decoder is exported as its images, and what is being compressed as it still is."""
    other = scene.plane("other", tmp_path)
    work = run.start(planned([other.active_material]), FitSettings.preset("fast", num_gaussians=40))
    while work.update is None or work.update.phase is not Phase.FITTING:
        assert work.advance() is None
    before = scene.state()
    assert bpy.ops.export_scene.gltf(filepath=str(tmp_path / "a.glb")) == {"FINISHED"}
    assert scene.state()["square material"] == before["square material"]
    while (outcome := work.advance()) is None:
        pass
    run.end()
    assert len(outcome.done) == 1 and len(decoders()) == 2
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.import_scene.gltf(filepath=str(tmp_path / "a.glb"))
    assert {material.name for material in bpy.data.materials} == {"square material", "other material"}
    assert all(image_of(material).size[0] == 32 for material in bpy.data.materials)


@pytest.mark.usefixtures("exporter")
def test_gltf_that_fails_leaves_all_as_it_was(square: bpy.types.Object, tmp_path: Path) -> None:
    before = scene.state()
    (tmp_path / "file").write_text("in the way of a folder")
    with pytest.raises(RuntimeError):
        bpy.ops.export_scene.gltf(filepath=str(tmp_path / "file" / "a.gltf"))
    square.location.x += 1  # whatever comes next
    bpy.context.view_layer.update()
    assert scene.state() == before


@pytest.mark.usefixtures("exporter")
def test_gltf_of_a_lost_stream(square: bpy.types.Object, tmp_path: Path) -> None:
    STREAM.remove(the_decoder().tree)
    before = scene.state()
    assert bpy.ops.export_scene.gltf(filepath=str(tmp_path / "a.glb")) == {"FINISHED"}
    assert scene.state() == before


def image_of(material: bpy.types.Material, socket: str = "Base Color") -> bpy.types.Image:
    return material.node_tree.nodes["Principled BSDF"].inputs[socket].links[0].from_node.image


def test_shown_as_images_and_back(square: bpy.types.Object, tmp_path: Path) -> None:
    """Links made to an image meanwhile go to the decoder; pressing twice shows once."""
    before = scene.state()
    assert bpy.ops.imagegs.show_as_images() == {"FINISHED"}
    assert bpy.ops.imagegs.show_as_images() == {"CANCELLED"}
    tree = square.active_material.node_tree
    for socket, name in (("Base Color", "square color"), ("Roughness", "square rough")):
        image = image_of(square.active_material, socket)
        assert image.name == f"{name}.png" or image.name.startswith(f"{name}.")
        assert off_by(image, decoded()[name]) == 0
    assert as_images.is_shown([square.active_material])
    shader = tree.nodes["Principled BSDF"]
    tree.links.new(shader.inputs["Base Color"].links[0].from_socket, shader.inputs["Emission Color"])
    assert bpy.ops.imagegs.show_as_gaussians() == {"FINISHED"}
    (instance,) = decoder_nodes(tree)
    (link,) = shader.inputs["Emission Color"].links
    assert link.from_node == instance
    tree.links.remove(link)
    assert scene.state() == before
    assert not bpy.ops.imagegs.show_as_gaussians.poll()


def test_nothing_else_works_on_the_images(square: bpy.types.Object) -> None:
    bpy.ops.imagegs.show_as_images()
    assert not bpy.ops.imagegs.compress.poll() and len(decoders()) == 1
    bpy.ops.imagegs.restore()
    assert image_of(square.active_material).name == "square color" and not decoders()
    assert not as_images.is_shown(bpy.data.materials)


def test_a_file_saved_meanwhile_holds_gaussians(square: bpy.types.Object, tmp_path: Path) -> None:
    before = scene.state()
    bpy.ops.imagegs.show_as_images()
    path = tmp_path / "saved.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    assert as_images.is_shown(bpy.data.materials), "the open file shows images still"
    bpy.ops.wm.open_mainfile(filepath=str(path))
    assert not as_images.is_shown(bpy.data.materials)
    assert trees.dump(bpy.data.materials["square material"].node_tree) == before["square material"]
    assert not [image.name for image in bpy.data.images if "imagegs" in image.filepath]


def test_one_undo(square: bpy.types.Object) -> None:
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.imagegs.show_as_images()
    bpy.ops.ed.undo_push(message="shown")
    bpy.ops.ed.undo()
    assert not as_images.is_shown(bpy.data.materials)
    bpy.ops.ed.redo()
    assert as_images.is_shown(bpy.data.materials)


def _fbx(path: Path) -> None:
    bpy.ops.export_scene.fbx(filepath=str(path), path_mode="COPY", embed_textures=True)


def _obj(path: Path) -> None:
    bpy.ops.wm.obj_export(filepath=str(path), path_mode="COPY")


def _usd(path: Path) -> None:
    bpy.ops.wm.usd_export(filepath=str(path), export_textures_mode="NEW")


EXPORTERS: dict[str, tuple[Callable[[Path], None], Callable[..., Any]]] = {
    "fbx": (_fbx, lambda path: bpy.ops.import_scene.fbx(filepath=str(path))),
    "obj": (_obj, lambda path: bpy.ops.wm.obj_import(filepath=str(path))),
    "usd": (_usd, lambda path: bpy.ops.wm.usd_import(filepath=str(path))),
}


@pytest.mark.parametrize("suffix", EXPORTERS)
def test_exporters_without_hook(square: bpy.types.Object, tmp_path: Path, suffix: str) -> None:
    import addon_utils

    export, load = EXPORTERS[suffix]
    if suffix == "fbx":
        addon_utils.enable("io_scene_fbx")
    if suffix == "usd" and not bpy.app.build_options.usd:
        pytest.skip("this build of Blender has no USD")
    texels = decoded()["square color"]
    bpy.ops.imagegs.show_as_images()
    export(tmp_path / f"a.{suffix}")
    bpy.ops.imagegs.show_as_gaussians()
    bpy.ops.wm.read_homefile(use_empty=True)
    load(tmp_path / f"a.{suffix}")
    (material,) = bpy.data.materials
    assert off_by(image_of(material), texels) <= 1


@pytest.mark.usefixtures("exporter")
def test_a_picture_of_the_gltf_is_a_file_of_its_own(square: bpy.types.Object, tmp_path: Path) -> None:
    bpy.ops.export_scene.gltf(filepath=str(tmp_path / "a.gltf"), export_format="GLTF_SEPARATE")
    with Image.open(tmp_path / "square color.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), decoded()["square color"])


def test_originals_are_looked_at_and_nothing_is_lost(square: bpy.types.Object, tmp_path: Path) -> None:
    before = scene.state()
    material = square.active_material
    assert bpy.ops.imagegs.show_originals() == {"FINISHED"}
    assert image_of(material).name == "square color" and as_images.shows_originals([material])
    assert bpy.ops.imagegs.show_as_images() == {"CANCELLED"}
    assert [one.image for one in planned([material]).skipped] == [None], "no image of it is unconnected"
    path = tmp_path / "saved.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True)
    assert as_images.shows_originals([material]), "they are shown after saving, too"
    assert bpy.ops.imagegs.show_originals() == {"FINISHED"}
    assert scene.state() == before
    bpy.ops.imagegs.show_as_images()
    bpy.ops.imagegs.show_originals()
    assert image_of(material).name == "square color"
    bpy.ops.imagegs.show_as_gaussians()
    assert scene.state() == before
    bpy.ops.wm.open_mainfile(filepath=str(path))
    assert not as_images.is_shown(bpy.data.materials) and len(decoders()) == 1


@pytest.mark.usefixtures("exporter")
def test_a_map_of_which_two_channels_are_used(tmp_path: Path) -> None:
    """Roughness in green and metal in blue, as glTF has them: both are in the file, and where they were."""
    item = scene.plane("square", tmp_path)
    tree = item.active_material.node_tree
    shader = tree.nodes["Principled BSDF"]
    picture = trees.image("packed", tmp_path, "RGB", space="Non-Color")
    node = trees.texture(tree, picture)
    separate = trees.add(tree, "ShaderNodeSeparateColor", node.outputs["Color"])
    tree.links.new(separate.outputs["Green"], shader.inputs["Roughness"])
    tree.links.new(separate.outputs["Blue"], shader.inputs["Metallic"])
    bpy.ops.imagegs.compress(preset="fast", bpp=16.0, even_if_not_smaller=True)
    (info,) = [m for m in the_decoder().stream.maps if m.name == "packed"]
    assert info.channels == "GB"
    texels = decoded()["packed"]
    bpy.ops.export_scene.gltf(filepath=str(tmp_path / "a.gltf"), export_format="GLTF_SEPARATE")
    with Image.open(tmp_path / "packed.png") as saved:
        np.testing.assert_array_equal(np.asarray(saved.convert("RGB"))[..., 1:], texels)
    (tmp_path / "baked").mkdir()
    assert bpy.ops.imagegs.bake(directory=str(tmp_path / "baked")) == {"FINISHED"}
    with Image.open(tmp_path / "baked" / "packed.png") as saved:
        np.testing.assert_array_equal(np.asarray(saved)[..., 1:], texels)
