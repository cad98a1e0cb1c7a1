"""What else Blender offers to do with a compressed file: nothing of it breaks a decoder, and Restore brings all back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from imagegs_blender.blend.decoder import Decoder, decoder_nodes, decoders, is_decoder_node
from imagegs_blender.blend.properties import STREAM
from imagegs_blender.scene import replace
from tests.scene import trees
from tests.workflow import scene

pytestmark = pytest.mark.usefixtures("addon")


@pytest.fixture
def square(tmp_path: Path) -> bpy.types.Object:
    item = scene.plane("square", tmp_path)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.imagegs.compress(preset="fast", bpp=16.0)
    return item


@pytest.fixture
def editor(square: bpy.types.Object) -> Iterator[bpy.types.NodeTree]:
    """The material in a Shader Editor, where operators of nodes can be called; its decoder is selected."""
    tree = square.active_material.node_tree
    (window,) = bpy.context.window_manager.windows
    area = window.screen.areas[0]
    area.type, area.ui_type = "NODE_EDITOR", "ShaderNodeTree"
    space = area.spaces.active
    space.pin, space.node_tree = True, tree
    region = next(region for region in area.regions if region.type == "WINDOW")
    (instance,) = decoder_nodes(tree)
    select(tree, instance)
    with bpy.context.temp_override(window=window, area=area, region=region, space_data=space, object=square):
        yield tree


def select(tree: bpy.types.NodeTree, active: bpy.types.Node) -> None:
    for node in tree.nodes:
        node.select = node == active
    tree.nodes.active = active


def check_whole() -> None:
    found = decoders()
    assert found and all(decoder.is_whole() and not decoder.problems for decoder in found)


def sources(tree: bpy.types.NodeTree) -> dict[str, bpy.types.Node]:
    """The node that gives each linked input of the shader, by the input's name."""
    shader = tree.nodes["Principled BSDF"]
    return {socket.name: socket.links[0].from_node for socket in shader.inputs if socket.is_linked}


def texels(decoder: Decoder) -> dict[str, np.ndarray]:
    found = {}
    for name, image in decoder.table_images().items():
        found[name] = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(found[name])
    return found


@pytest.mark.parametrize("method", ["USE_LOCAL", "WRITE_LOCAL", "USE_ORIGINAL", "WRITE_ORIGINAL"])
def test_pack_and_unpack(square: bpy.types.Object, tmp_path: Path, method: str) -> None:
    """Unpack writes files of the tables, too. They may be deleted: the next render or save does without them."""
    (decoder,) = decoders()
    before = texels(decoder)
    assert bpy.ops.file.pack_all() == {"FINISHED"}
    check_whole()
    assert bpy.ops.file.unpack_all(method=method) == {"FINISHED"}
    for name, values in texels(decoder).items():
        np.testing.assert_array_equal(values, before[name])
    for file in (tmp_path / "textures").glob("Image-GS*"):
        file.unlink()
    for handler in bpy.app.handlers.render_init:
        handler(bpy.context.scene)
    check_whole()
    for name, values in texels(decoder).items():
        np.testing.assert_array_equal(values, before[name])
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    check_whole()


def test_make_single_user_and_local(square: bpy.types.Object) -> None:
    """Materials become two, the decoder stays one; a copy of its group is one more, with all it needs."""
    before = scene.state()["square material"]
    other = square.copy()
    bpy.context.scene.collection.objects.link(other)
    other.select_set(True)
    bpy.ops.object.make_single_user(object=True, obdata=True, material=True, animation=True)
    assert square.active_material != other.active_material and len(decoders()) == 1
    assert trees.dump(square.active_material.node_tree) == before == trees.dump(other.active_material.node_tree)
    (node,) = decoder_nodes(other.active_material.node_tree)
    node.node_tree = node.node_tree.copy()
    bpy.ops.object.make_local(type="ALL")
    assert len(decoders()) == 2
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    check_whole()
    assert len(decoders()) == 2 and all(decoder.stream for decoder in decoders())


TOOLS: dict[str, Callable[[Any], Any]] = {
    "duplicate": lambda ops: ops.duplicate(),
    "copy and paste": lambda ops: (ops.clipboard_copy(), ops.clipboard_paste()),
    "mute": lambda ops: ops.mute_toggle(),
    "hide sockets": lambda ops: ops.hide_socket_toggle(),
    "look inside": lambda ops: (ops.group_edit(), ops.group_edit(exit=True)),
    "Node Wrangler: texture setup": lambda ops: ops.nw_add_texture(),
    "Node Wrangler: reload images": lambda ops: ops.nw_reload_images(),
    "Node Wrangler: detach outputs": lambda ops: ops.nw_detach_outputs(),
    "Node Wrangler: delete unused": lambda ops: ops.nw_del_unused(),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_node_tools(editor: bpy.types.NodeTree, tool: str) -> None:
    import addon_utils

    addon_utils.enable("node_wrangler")
    TOOLS[tool](bpy.ops.node)
    check_whole()
    assert len(decoders()) == 1
    if tool == "Node Wrangler: delete unused":  # it takes the originals for unused
        assert not replace.originals(editor) and not bpy.ops.imagegs.restore.poll()
    else:
        bpy.ops.imagegs.restore()
        assert {node.bl_idname for node in sources(editor).values()} <= {"ShaderNodeTexImage"}


def test_node_wrangler_adds_images_beside_a_decoder(editor: bpy.types.NodeTree, tmp_path: Path) -> None:
    """Principled Texture Setup: what it adds stays, also when the originals are restored."""
    import addon_utils

    addon_utils.enable("node_wrangler", default_set=True)
    shutil.copy(tmp_path / "square color.png", tmp_path / "wall_metallic.png")
    select(editor, editor.nodes["Principled BSDF"])
    files = [{"name": "wall_metallic.png"}]
    operator = bpy.ops.node.nw_add_textures_for_principled
    assert operator(filepath=str(tmp_path / "x"), directory=f"{tmp_path}/", files=files) == {"FINISHED"}
    addon_utils.disable("node_wrangler", default_set=True)
    check_whole()
    found = sources(editor)
    assert found["Metallic"].image.name == "wall_metallic.png" and is_decoder_node(found["Roughness"])
    assert bpy.ops.imagegs.restore() == {"FINISHED"}
    images = {name: node.image.name for name, node in sources(editor).items()}
    assert images == {"Base Color": "square color", "Roughness": "square rough", "Metallic": "wall_metallic.png"}


@pytest.mark.parametrize("ungrouped", [False, True])
def test_a_decoder_in_a_group_of_its_own_is_restored(editor: bpy.types.NodeTree, ungrouped: bool) -> None:
    assert bpy.ops.node.group_make() == {"FINISHED"}
    bpy.ops.node.group_edit(exit=True)
    check_whole()
    if ungrouped:
        select(editor, next(node for node in editor.nodes if node.bl_idname == "ShaderNodeGroup"))
        assert bpy.ops.node.group_ungroup() == {"FINISHED"}
        assert [node.name for node in decoder_nodes(editor)] != ["Group"], "it has another name now"
    assert bpy.ops.imagegs.restore() == {"FINISHED"}
    found = {name: node.image.name for name, node in sources(editor).items()}
    assert found == {"Base Color": "square color", "Roughness": "square rough"}
    assert not list(decoder_nodes(editor))


def test_an_ungrouped_decoder_is_one_again_in_the_saved_file(editor: bpy.types.NodeTree) -> None:
    """Its nodes are derived, and no file holds them: without this the textures were lost."""
    (decoder,) = decoders()
    data = decoder.data
    assert bpy.ops.node.group_ungroup() == {"FINISHED"}
    assert not list(decoder_nodes(editor))
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    check_whole()
    (decoder,) = decoders()
    tree = bpy.data.materials["square material"].node_tree
    (node,) = decoder_nodes(tree)
    assert decoder.data == data and sources(tree) == {"Base Color": node, "Roughness": node}
    assert node.inputs["Vector"].is_linked
    bpy.context.view_layer.objects.active.select_set(True)
    assert bpy.ops.imagegs.restore() == {"FINISHED"}
    assert {node.image.name for node in sources(tree).values()} == {"square color", "square rough"}


@pytest.fixture
def unwritable(tmp_path: Path) -> Path:
    """A folder in which nobody may write; root may in every one but those that the kernel makes."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        folder = Path("/sys/kernel")
        if not folder.is_dir():
            pytest.skip("root may write to every folder here")
        return folder
    folder = tmp_path / "unwritable"
    folder.mkdir(0o500)
    return folder


def test_exports_into_a_folder_that_cannot_be_written(square: bpy.types.Object, unwritable: Path) -> None:
    before = scene.state()
    for operator, options in (
        (bpy.ops.imagegs.bake, {"directory": str(unwritable), "use_in_materials": True}),
        (bpy.ops.imagegs.export_stream, {"filepath": str(unwritable / "a.igs")}),
    ):
        with pytest.raises(RuntimeError, match="can't be written"):
            operator(**options)
    bpy.ops.imagegs.show_as_images()
    with pytest.raises(RuntimeError):
        bpy.ops.wm.obj_export(filepath=str(unwritable / "a.obj"), path_mode="COPY")
    assert bpy.ops.imagegs.show_as_gaussians() == {"FINISHED"}
    assert scene.state() == before


def test_exports_of_a_lost_stream_say_so(square: bpy.types.Object, tmp_path: Path) -> None:
    (decoder,) = decoders()
    STREAM.remove(decoder.tree)
    before = scene.state()
    for operator, options in (
        (bpy.ops.imagegs.bake, {"directory": str(tmp_path)}),
        (bpy.ops.imagegs.export_stream, {"filepath": str(tmp_path / "a.igs")}),
        (bpy.ops.imagegs.show_as_images, {}),
    ):
        with pytest.raises(RuntimeError, match="its stream was deleted"):
            operator(**options)
    assert scene.state() == before and not list(tmp_path.glob("*.igs"))
