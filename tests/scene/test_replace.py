"""Decoders in the place of image nodes: every link keeps its meaning, and restore leaves no trace."""

from __future__ import annotations

from pathlib import Path

import bpy
import pytest

from imagegs_blender.blend.decoder import Decoder, decoders, is_decoder
from imagegs_blender.blend.record import Record
from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.scene import material_stack, replace

from . import trees


def decoder(stack: material_stack.StackPlan) -> Decoder:
    """A node group with the sockets and the stream property of a decoder; its texels do not matter here."""
    outputs = {m.name: "Color" for m in stack.maps} | {f"{m.name} Alpha": "Float" for m in stack.maps}
    group = trees.group(f"Image-GS {stack.name}", {"Vector": "Vector", "LOD": "Float"}, outputs)
    made = Decoder(group)
    made.store(b"stream", Record())
    return made


def replace_all(materials: list[bpy.types.Material]) -> None:
    for stack in material_stack.plan(materials).stacks:
        replace.replace(stack, dict.fromkeys(stack.samplings, decoder(stack)))


@pytest.fixture
def scene(tmp_path: Path) -> list[bpy.types.Material]:
    """Packed channels, alpha, a Mapping, a muted link, frames, an image twice, a distortion, a group, two materials."""
    inner = trees.group("inner", {"UV": "Vector"}, {"Color": "Color"})
    grain = trees.texture(inner, trees.image("grain", tmp_path))
    inner.links.new(inner.nodes["Group Input"].outputs[0], grain.inputs["Vector"])
    inner.links.new(grain.outputs[0], inner.nodes["Group Output"].inputs[0])

    first, tree = trees.material("first")
    principled = tree.nodes["Principled BSDF"]
    leaf = trees.texture(tree, trees.image("leaf", tmp_path, "RGBA"), ("Alpha", "Principled BSDF", "Alpha"))
    mapping = trees.add(tree, "ShaderNodeMapping", trees.add(tree, "ShaderNodeTexCoord").outputs["UV"])
    distortion = trees.texture(tree, trees.image("distortion", tmp_path, space="Non-Color"))
    tree.links.new(distortion.outputs["Color"], leaf.inputs["Vector"])
    frame = trees.add(tree, "NodeFrame")
    frame.location = (33, 44)
    leaf.parent, leaf.location = frame, (12.5, -7.25)
    leaf.select, distortion.hide = True, True
    orm = trees.texture(tree, trees.image("orm", tmp_path, space="Non-Color"))
    tree.links.new(mapping.outputs[0], orm.inputs["Vector"])
    separate = trees.add(tree, "ShaderNodeSeparateColor", orm.outputs["Color"])
    tree.links.new(separate.outputs["Green"], principled.inputs["Roughness"])
    again = trees.texture(tree, orm.image, ("Color", "Principled BSDF", "Metallic"))
    tree.links.new(mapping.outputs[0], again.inputs["Vector"])
    tree.links.new(again.outputs["Color"], principled.inputs["IOR"]).is_muted = True
    instance = tree.nodes.new("ShaderNodeGroup")
    instance.node_tree = inner
    tree.links.new(mapping.outputs[0], instance.inputs[0])
    mix = trees.add(tree, "ShaderNodeMix", leaf.outputs["Color"], 6)
    mix.data_type = "RGBA"
    tree.links.new(instance.outputs[0], mix.inputs[7])
    tree.links.new(mix.outputs[2], principled.inputs["Base Color"])

    second, tree = trees.material("second")
    trees.texture(tree, bpy.data.images["leaf"], ("Color", "Principled BSDF", "Base Color"))
    return [first, second]


def everything() -> dict[str, dict]:
    owned = {m.name: m.node_tree for m in bpy.data.materials}
    groups = {name: bpy.data.node_groups[name] for name in trees.names()["node_groups"]}
    return {name: trees.dump(tree) for name, tree in (owned | groups).items()}


def test_restore_puts_every_node_and_link_back(scene: list[bpy.types.Material]) -> None:
    before, names = everything(), trees.names()
    replace_all(scene)
    assert everything() != before
    assert replace.restore(scene) == 6
    assert everything() == before
    assert trees.names() == names


def test_restore_after_save_and_load(scene: list[bpy.types.Material], tmp_path: Path) -> None:
    before = everything()
    replace_all(scene)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "compressed.blend"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "compressed.blend"))
    replace.restore(bpy.data.materials)
    assert everything() == before


def test_every_link_keeps_its_meaning(scene: list[bpy.types.Material]) -> None:
    replace_all(scene)
    first, second = (trees.dump(m.node_tree)["links"] for m in scene)
    nodes = scene[0].node_tree.nodes

    def sources(links: list[tuple], node: str, socket: str) -> list[str]:
        (link,) = [entry for entry in links if entry[2:4] == (node, socket)]
        origin = nodes[link[0]]
        return [getattr(origin, "node_tree", None) and next(s.name for s in origin.outputs if s.identifier == link[1])]

    assert sources(first, "Principled BSDF", "Alpha") == ["leaf Alpha"]
    assert sources(first, "Mix", "A_Color") == ["leaf"]
    assert sources(first, "Separate Color", "Color") == ["orm"]
    assert sources(first, "Principled BSDF", "Metallic") == ["orm"]
    assert [entry[4] for entry in first if entry[2:4] == ("Principled BSDF", "IOR")] == [True], "muted as it was"
    instances = [n for n in nodes if getattr(n, "node_tree", None) and is_decoder(n.node_tree)]
    assert sorted(n.inputs["Vector"].links[0].from_node.bl_idname for n in instances) == [
        "ShaderNodeGroup", "ShaderNodeMapping", "ShaderNodeTexCoord"
    ], "leaf is distorted by a decoder, orm twice shares one, distortion had the default coordinates"  # fmt: skip
    frame = next(n for n in nodes if n.label == replace.FRAME)
    kept = [n for n in nodes if n.parent == frame]
    assert {n.image.name for n in kept} == {"leaf", "orm", "distortion"} and len(kept) == 4
    assert not any(s.is_linked for n in kept for s in (*n.inputs, *n.outputs)) and all(n.hide for n in kept)
    (grain,) = bpy.data.node_groups["inner"].nodes["Group Output"].inputs[0].links
    assert grain.from_node.inputs["Vector"].links[0].from_node.name == "Group Input"
    assert ("Principled BSDF", "Base Color") in {entry[2:4] for entry in second}


def test_restore_respects_what_was_changed_since(scene: list[bpy.types.Material]) -> None:
    replace_all(scene)
    tree = scene[0].node_tree
    decoder_node = tree.nodes["Separate Color"].inputs[0].links[0].from_node
    tree.links.new(decoder_node.outputs["orm"], tree.nodes["Principled BSDF"].inputs["Coat Weight"])
    value = trees.add(tree, "ShaderNodeValue")
    tree.links.new(value.outputs[0], tree.nodes["Principled BSDF"].inputs["Metallic"])
    replace.restore(scene)
    inputs = tree.nodes["Principled BSDF"].inputs
    assert inputs["Metallic"].links[0].from_node == value
    assert inputs["Coat Weight"].links[0].from_node.image.name == "orm"
    assert not decoders()


def test_restoring_one_material_leaves_the_others_compressed(scene: list[bpy.types.Material]) -> None:
    before = everything()
    replace_all(scene)
    compressed = everything()
    replace.restore(scene[:1])
    after = everything()
    assert after["first"] == before["first"] and after["inner"] == before["inner"]
    assert after["second"] == compressed["second"] != before["second"]


def test_a_node_that_vanished_meanwhile_is_an_error_and_changes_nothing(scene: list[bpy.types.Material]) -> None:
    (stack,) = [s for s in material_stack.plan(scene).stacks if "orm" in {m.name for m in s.maps}]
    tree = scene[0].node_tree
    tree.nodes.remove(tree.nodes[stack.maps[-1].nodes[-1].node])
    before = trees.dump(tree)
    with pytest.raises(ImageGSError, match=r"first: node 'Image Texture.*' was removed or renamed"):
        replace.replace(stack, dict.fromkeys(stack.samplings, decoder(stack)))
    assert trees.dump(tree) == before
