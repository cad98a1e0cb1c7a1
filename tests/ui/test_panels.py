"""What the panels say and offer in every state of a file."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import bpy
import pytest

from imagegs_blender.blend import properties
from imagegs_blender.blend.decoder import Decoder
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.operators.devices import DevicePreferences
from imagegs_blender.operators.external_python import ExternalPython
from imagegs_blender.operators.preferences import IMAGEGS_AP_preferences
from imagegs_blender.scene import material_stack, replace
from imagegs_blender.workflow import comparison, rebuild, run
from imagegs_blender.workflow.compress import Phase, planned
from tests.blend import samples
from tests.workflow import scene

from .layout import Layout, drawn

pytestmark = pytest.mark.usefixtures("addon")
PLACES = ("view3d", "node", "material")
AFTERWARDS = {"compare", "recompress", "restore", "drop_originals", "bake", "set_decoder", "self_contained"}


def panel(place: str = "view3d") -> Layout:
    return drawn(getattr(bpy.types, f"IMAGEGS_PT_compress_{place}"))


def file_panel() -> Layout:
    return drawn(bpy.types.IMAGEGS_PT_file_view3d)


@pytest.fixture
def square(tmp_path: Path) -> bpy.types.Object:
    return scene.plane("square", tmp_path)


@pytest.fixture
def decoder(square: bpy.types.Object) -> Decoder:
    """A decoder in the place of the square's textures."""
    (plan,) = material_stack.plan([square.active_material]).stacks
    made = samples.made()
    tree = square.active_material.node_tree
    node = tree.nodes.new("ShaderNodeGroup")
    node.node_tree = made.tree
    tree.links.new(node.outputs["color"], tree.nodes["Principled BSDF"].inputs["Base Color"])
    tree.links.new(node.outputs["height"], tree.nodes["Principled BSDF"].inputs["Roughness"])
    assert {m.name for m in plan.maps} == {"square color", "square rough"}
    return made


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_selected(place: str) -> None:
    layout = panel(place)
    assert "Select objects that have materials" in layout.text
    assert set(layout.buttons) == {"compress", "preset_add"} and "Compress Selected Materials" in layout.text
    assert "Nothing is compressed yet" in file_panel().text


@pytest.mark.parametrize("rate", ["SIZE", "BPP", "QUALITY"])
@pytest.mark.parametrize("importance", ["NONE", "IMAGE", "ATTRIBUTE"])
def test_uncompressed(square: bpy.types.Object, rate: str, importance: str) -> None:
    settings = bpy.context.scene.imagegs
    settings.rate, settings.importance = rate, importance
    layout = panel()
    assert "Found: 1 texture stack" in layout.text and "square color" in layout.text and "basecolor" in layout.text
    assert ("File: " in layout.text and "up to" in layout.text) or rate == "QUALITY"
    assert "Takes about " in layout.text and not AFTERWARDS & set(layout.buttons)
    assert {"SIZE": "max_kilobytes", "BPP": "bpp", "QUALITY": "target_psnr"}[rate] in layout.properties


def test_what_is_left_as_it_is(square: bpy.types.Object) -> None:
    node = next(n for n in square.active_material.node_tree.nodes if n.bl_idname == "ShaderNodeTexImage")
    node.projection = "BOX"
    layout = panel()
    assert "Left as they are: 1" in layout.text and "box projection" in layout.text


def test_running(square: bpy.types.Object, tmp_path: Path) -> None:
    other = scene.plane("other", tmp_path)
    materials = [square.active_material, other.active_material]
    work = run.start(planned(materials), FitSettings.preset("fast", num_gaussians=40))
    seen = {}
    while work.advance() is None:
        update = work.update
        if update.phase not in seen and update.phase is not Phase.PREPARING:  # on a computer's first fit
            seen[update.phase] = panel()
    run.end()
    assert list(seen) == [Phase.READING, Phase.FITTING, Phase.BUILDING]
    for layout in seen.values():
        assert "square material" in layout.text and "Nothing changes before it is finished" in layout.text
        assert layout.buttons == ["cancel"]
    assert "reading textures" in seen[Phase.READING].text
    assert "building decoders" in seen[Phase.BUILDING].text and seen[Phase.BUILDING].icons.count("CHECKMARK") == 2


def test_compressed(decoder: Decoder) -> None:
    layout = panel()
    assert "Compressed: 1" in layout.text
    assert AFTERWARDS <= set(layout.buttons) and "not compared" in layout.text
    assert {"lod", "imagegs_max_detail", "imagegs_lod_by_distance"} <= set(layout.properties)
    bpy.context.scene.imagegs_lod_by_distance = True
    assert "imagegs_lod_bias" in panel().properties
    layout = file_panel()
    assert "Stack" in layout.words and "Saved on disk: " in layout.text and "copy_report" in layout.buttons


def test_compressed_by_the_button(square: bpy.types.Object) -> None:
    bpy.ops.imagegs.compress(preset="fast", bpp=16.0, even_if_not_smaller=True)
    layout = panel()
    assert "times smaller" in layout.text and " dB" in layout.text and "restore" in layout.buttons
    assert replace.originals(square.active_material.node_tree)


def test_long_names_are_whole_in_their_tooltips(square: bpy.types.Object) -> None:
    """Which a label has not; a name that fits is a label."""
    name = "a brick wall with moss, weathered, second version"
    bpy.data.images["square color"].name = name
    layout = panel()
    assert layout.buttons.count("whole_name") == 1
    assert name not in layout.text and any(word.startswith("a b") and "..." in word for word in layout.words)
    described = bpy.types.IMAGEGS_OT_whole_name.description(bpy.context, SimpleNamespace(name=name))
    assert described.startswith(name)
    assert bpy.ops.imagegs.whole_name(name=name) == {"FINISHED"}


def test_a_problem(decoder: Decoder) -> None:
    properties.STREAM.remove(decoder.tree)
    assert rebuild.rebuild_tables()
    layout = panel()
    assert layout.text.startswith("Stack: its stream was deleted; restore the originals, or append the material again")
    assert layout.icons[0] == "ERROR" and "compress" in layout.buttons


@pytest.mark.parametrize("key", ["imagegs_record", "imagegs_decoder", "imagegs_detail", "imagegs_self_contained"])
def test_damaged_properties_break_no_panel(decoder: Decoder, key: str, tmp_path: Path) -> None:
    """Nor any handler: the file is changed, rendered, saved and opened as always."""
    decoder.tree[key] = [9, 9]
    for layout in (panel(), file_panel()):
        assert "ERROR" in layout.icons
    assert f"its custom property {key} is" in panel().text
    assert bpy.ops.imagegs.copy_report() == {"FINISHED"}
    bpy.context.view_layer.update()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "damaged.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "damaged.blend"))
    bpy.data.objects["square"].select_set(True)
    mended = key == "imagegs_detail"  # opening a file sets it
    assert (f"its custom property {key} is" in panel().text) != mended


def test_linked(decoder: Decoder, square: bpy.types.Object, tmp_path: Path) -> None:
    """A material, and a decoder in a material of this file."""
    square.use_fake_user = True
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (_, wanted):
        wanted.objects = ["square"]
    bpy.context.scene.collection.objects.link(wanted.objects[0])
    wanted.objects[0].select_set(True)
    layout = panel()
    assert "linked from" in layout.text and "make_local" in layout.buttons
    own = bpy.data.materials["square material"].copy()
    wanted.objects[0].select_set(False)
    bpy.ops.mesh.primitive_plane_add()
    bpy.context.object.data.materials.append(own)
    assert own.library is None and "Linked from another file" in panel().text


def test_comparison(square: bpy.types.Object) -> None:
    def compare() -> Layout:
        return drawn(bpy.types.IMAGEGS_PT_compare)

    assert compare().buttons == ["compare"]
    bpy.ops.imagegs.compress(preset="fast", bpp=16.0, even_if_not_smaller=True)
    bpy.ops.imagegs.compare()
    settings = bpy.context.scene.imagegs_compare
    layout = compare()
    assert "PSNR " in layout.text and "divider" in layout.properties and "Gaussians" in layout.text
    settings.view = "DIFFERENCE"
    assert "gain" in compare().properties
    bpy.ops.imagegs.drop_originals()
    comparison.load(comparison.current.decoder, comparison.current.map)
    settings.view = "SPLIT"
    assert "the original was dropped; look at Decoded or Gaussians" in compare().text
    settings.view = "DECODED"
    assert "The original was dropped" in compare().text


def test_preferences() -> None:
    layout = Layout()
    values = {"layout": layout, "bl_rna": IMAGEGS_AP_preferences.bl_rna, "device": "auto"}
    IMAGEGS_AP_preferences.draw(type("Preferences", (ExternalPython, DevicePreferences), values)(), bpy.context)
    assert layout.properties == ["default_preset", "threads", "device", "adapter", "python", "cache_folder"]
    assert layout.buttons == ["detect_devices"]
