"""What becomes a stack, what is left as it is, and why."""

from __future__ import annotations

from pathlib import Path

import bpy
import pytest

from imagegs_blender.blend import properties
from imagegs_blender.core.textures.texture_stack import ColorSpace, Role
from imagegs_blender.scene import material_stack, walk
from imagegs_blender.scene.material_stack import Sampling

from . import trees


def describe(*materials: bpy.types.Material) -> dict[str, material_stack.MapPlan]:
    """The maps of the only stack of these materials, by name."""
    (stack,) = material_stack.plan(materials).stacks
    return {m.name: m for m in stack.maps}


def reasons(*materials: bpy.types.Material) -> dict[str | None, str]:
    """Why each image was skipped; nothing else may have been planned for it."""
    plan = material_stack.plan(materials)
    return {s.image: s.reason for s in plan.skipped}


def test_roles_channels_and_labels_come_from_what_an_image_feeds(tmp_path: Path) -> None:
    material, tree = trees.material("wood")
    trees.texture(
        tree, trees.image("leaf", tmp_path, "RGBA"),
        ("Color", "Principled BSDF", "Base Color"), ("Alpha", "Principled BSDF", "Alpha"),
    )  # fmt: skip
    bumpy = trees.texture(tree, trees.image("bumpy", tmp_path, space="Non-Color"))
    normal = trees.add(tree, "ShaderNodeNormalMap", bumpy.outputs["Color"], "Color")
    tree.links.new(normal.outputs[0], tree.nodes["Principled BSDF"].inputs["Normal"])
    packed = trees.texture(tree, trees.image("orm", tmp_path, space="Non-Color"))
    separate = trees.add(tree, "ShaderNodeSeparateColor", packed.outputs["Color"])
    tree.links.new(separate.outputs["Green"], tree.nodes["Principled BSDF"].inputs["Roughness"])
    tree.links.new(separate.outputs["Blue"], tree.nodes["Principled BSDF"].inputs["Metallic"])
    height = trees.texture(tree, trees.image("disp", tmp_path, "L", space="Non-Color"))
    displace = trees.add(tree, "ShaderNodeDisplacement", height.outputs["Color"], "Height")
    tree.links.new(displace.outputs[0], tree.nodes["Material Output"].inputs["Displacement"])
    unlinked = trees.texture(tree, trees.image("unused", tmp_path))

    maps = describe(material)

    facts = {name: (m.role, m.color_space, m.channels, m.labels) for name, m in maps.items()}
    assert facts == {
        "leaf": (Role.COLOR, ColorSpace.SRGB, "RGBA", ("alpha", "basecolor")),
        "bumpy": (Role.NORMAL, ColorSpace.RAW, "RGB", ("normal",)),
        "orm": (Role.DATA, ColorSpace.RAW, "GB", ("metallic", "roughness")),
        "disp": (Role.DATA, ColorSpace.RAW, "RGB", ("height",)),
    }
    assert unlinked.name not in {n.node for m in maps.values() for n in m.nodes}
    assert "leaf: alpha, basecolor; color, srgb, RGBA, 32 x 32" in str(material_stack.plan([material]))


def test_walks_through_reroutes_mix_mute_and_nested_groups_by_identifier(tmp_path: Path) -> None:
    inner = trees.group("inner", {"UV": "Vector"}, {"Same": "Color", "Same ": "Color"})
    first = trees.texture(inner, trees.image("first", tmp_path))
    second = trees.texture(inner, trees.image("second", tmp_path))
    for node, index in ((first, 0), (second, 1)):
        inner.links.new(inner.nodes["Group Input"].outputs[0], node.inputs["Vector"])
        inner.links.new(node.outputs["Color"], inner.nodes["Group Output"].inputs[index])
    outer = trees.group("outer", {"UV": "Vector"}, {"Result": "Color"})
    instance = outer.nodes.new("ShaderNodeGroup")
    instance.node_tree = inner
    outer.links.new(outer.nodes["Group Input"].outputs[0], instance.inputs[0])
    outer.links.new(instance.outputs[1], outer.nodes["Group Output"].inputs[0])

    material, tree = trees.material("nested")
    nested = tree.nodes.new("ShaderNodeGroup")
    nested.node_tree = outer
    tree.links.new(trees.add(tree, "ShaderNodeTexCoord").outputs["UV"], nested.inputs[0])
    mix = trees.add(tree, "ShaderNodeMix", nested.outputs[0], 6)
    mix.data_type = "RGBA"
    other = trees.texture(tree, trees.image("other", tmp_path))
    tree.links.new(trees.add(tree, "NodeReroute", other.outputs["Color"]).outputs[0], mix.inputs[7])
    gamma = trees.add(tree, "ShaderNodeGamma", mix.outputs[2], "Color")
    gamma.mute = True
    tree.links.new(gamma.outputs[0], tree.nodes["Principled BSDF"].inputs["Base Color"])

    maps = describe(material)

    assert set(maps) == {"second", "other"}, "the group's first output is not linked"
    (node,) = maps["second"].nodes
    assert node.tree == material_stack.TreeRef("group", "inner") and node.node == second.name


def test_channels_on_their_own_are_data_but_a_flipped_normal_stays_a_normal(tmp_path: Path) -> None:
    material, tree = trees.material("m")
    flipped = trees.texture(tree, trees.image("directx", tmp_path, space="Non-Color"))
    parts = trees.add(tree, "ShaderNodeSeparateColor", flipped.outputs["Color"])
    whole = trees.add(tree, "ShaderNodeCombineColor", parts.outputs["Red"], "Red")
    invert = trees.add(tree, "ShaderNodeInvert", parts.outputs["Green"], "Color")
    tree.links.new(invert.outputs[0], whole.inputs["Green"])
    tree.links.new(parts.outputs["Blue"], whole.inputs["Blue"])
    normal = trees.add(tree, "ShaderNodeNormalMap", whole.outputs[0], "Color")
    tree.links.new(normal.outputs[0], tree.nodes["Principled BSDF"].inputs["Normal"])
    occlusion = trees.texture(tree, trees.image("orm", tmp_path, space="Non-Color"))
    red = trees.add(tree, "ShaderNodeSeparateColor", occlusion.outputs["Color"]).outputs["Red"]
    tree.links.new(red, tree.nodes["Principled BSDF"].inputs["Base Color"])
    facts = {name: (m.role, m.channels) for name, m in describe(material).items()}
    assert facts == {"directx": (Role.NORMAL, "RGB"), "orm": (Role.DATA, "R")}


def test_a_shared_image_is_in_one_stack_and_texture_spaces_are_kept_apart(tmp_path: Path) -> None:
    shared = trees.image("shared", tmp_path)
    materials = []
    for name in ("red", "blue"):
        material, tree = trees.material(name)
        trees.texture(tree, shared, ("Color", "Principled BSDF", "Base Color"))
        trees.texture(tree, trees.image(f"{name} rough", tmp_path, "L"), ("Color", "Principled BSDF", "Roughness"))
        detail = trees.texture(tree, trees.image(f"{name} detail", tmp_path), ("Color", "Principled BSDF", "Metallic"))
        mapping = trees.add(tree, "ShaderNodeMapping")
        mapping.inputs["Scale"].default_value = (10, 10, 10)
        tree.links.new(trees.add(tree, "ShaderNodeUVMap").outputs[0], mapping.inputs["Vector"])
        tree.links.new(mapping.outputs[0], detail.inputs["Vector"])
        materials.append(material)

    stacks = {frozenset(m.name for m in s.maps): s for s in material_stack.plan(materials).stacks}

    assert set(stacks) == {
        frozenset({"shared", "red rough", "blue rough"}), frozenset({"red detail"}), frozenset({"blue detail"})
    }  # fmt: skip
    together = stacks[frozenset({"shared", "red rough", "blue rough"})]
    assert together.materials == ("blue", "red")
    assert len(next(m for m in together.maps if m.name == "shared").nodes) == 2


def test_an_image_that_many_materials_share_does_not_chain_them_into_one_stack(tmp_path: Path) -> None:
    scratches = trees.image("scratches", tmp_path)
    materials = []
    for i in range(3):
        material, tree = trees.material(f"m{i}")
        trees.texture(tree, scratches, ("Color", "Principled BSDF", "Roughness"))
        trees.texture(tree, trees.image(f"own{i}", tmp_path), ("Color", "Principled BSDF", "Base Color"))
        materials.append(material)
    stacks = material_stack.plan(materials).stacks
    assert sorted([m.name for m in s.maps] for s in stacks) == [["own0"], ["own1"], ["own2"], ["scratches"]]


def test_limits_of_a_stack(tmp_path: Path) -> None:
    material, tree = trees.material("big")
    mixed = None
    for i in range(12):
        node = trees.texture(tree, trees.image(f"i{i:02}", tmp_path))
        mix = trees.add(tree, "ShaderNodeMix", node.outputs[0], 6)
        mix.data_type = "RGBA"
        if mixed:
            tree.links.new(mixed.outputs[2], mix.inputs[7])
        mixed = mix
    tree.links.new(mixed.outputs[2], tree.nodes["Principled BSDF"].inputs["Base Color"])
    trees.texture(tree, trees.image("large", tmp_path, size=(256, 160)), ("Color", "Principled BSDF", "Metallic"))
    trees.texture(tree, trees.image("tiny", tmp_path, size=(8, 64)), ("Color", "Principled BSDF", "Roughness"))

    plan = material_stack.plan([material])

    assert [s.name for s in plan.stacks] == ["big", "big 2", "big 3"]
    assert sorted(len(s.maps) for s in plan.stacks) == [1, 2, 10], "32 planes at most; 256 texels are too far from 32"
    (skipped,) = plan.skipped
    assert (skipped.image, skipped.reason) == (
        "tiny",
        "8 x 64 texels; images of 16 to 8192 texels a side can be compressed",
    )


def test_an_image_is_in_one_stack_however_it_is_shown(tmp_path: Path) -> None:
    material, tree = trees.material("m")
    once, twice = trees.image("once", tmp_path), trees.image("twice", tmp_path)
    trees.texture(tree, once, ("Color", "Principled BSDF", "Base Color"))
    trees.texture(tree, twice, ("Color", "Principled BSDF", "Roughness"))
    trees.texture(tree, twice, ("Color", "Principled BSDF", "Metallic")).extension = "EXTEND"
    (stack,) = material_stack.plan([material]).stacks
    assert [m.name for m in stack.maps] == ["once", "twice"] and stack.wrap
    assert stack.samplings == (Sampling("REPEAT"), Sampling("EXTEND"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda n: setattr(n, "projection", "BOX"),
            "box projection: would need three decoders at once, which costs more than the image",
        ),
        (lambda n: setattr(n, "interpolation", "Closest"), "interpolation Closest shows single texels, which"),
        (lambda n: setattr(n.image, "source", "SEQUENCE"), "image sequence: changes over time"),
        (lambda n: setattr(n.image, "source", "MOVIE"), "movie: changes over time"),
        (lambda n: setattr(n.image, "source", "GENERATED"), "generated by Blender from its settings: takes no space"),
        (trees.in_space("ACEScg"), "color space ACEScg: its primaries are not those of sRGB; save the image in Linear"),
        (
            trees.in_space("AgX Base sRGB"),
            "color space AgX Base sRGB: it undoes a view transform, which decoders don't",
        ),
        (
            trees.in_space("AgX Log"),
            "color space AgX Log: a space of cameras and film, which decoders don't convert from",
        ),
        (
            trees.in_space("Display P3"),
            "color space Display P3: decoders convert from sRGB only; save the image as sRGB",
        ),
        (lambda n: setattr(n.texture_mapping, "scale", (2, 2, 2)), "the node holds a mapping of its own from an old"),
    ],
)
def test_what_cannot_be_compressed_is_named_with_its_reason(tmp_path: Path, change, reason: str) -> None:
    material, tree = trees.material("m")
    node = trees.texture(tree, trees.image("bad", tmp_path), ("Color", "Principled BSDF", "Base Color"))
    change(node)
    assert reasons(material)["bad"].startswith(reason)
    assert material_stack.plan([material]).stacks == ()


@pytest.mark.parametrize("output", ["Generated", "Object", "Camera", "Window", "Normal", "Reflection"])
def test_any_coordinates_are_compressed(tmp_path: Path, output: str) -> None:
    material, tree = trees.material("m")
    node = trees.texture(tree, trees.image("flat", tmp_path), ("Color", "Principled BSDF", "Base Color"))
    coordinates = trees.add(tree, "ShaderNodeTexCoord").outputs[output]
    tree.links.new(trees.add(tree, "ShaderNodeMapping", coordinates).outputs[0], node.inputs["Vector"])
    assert walk.foreign_coordinates(node.inputs["Vector"]) == output
    assert set(describe(material)) == {"flat"} and reasons(material) == {}


def test_a_globe_is_in_one_stack_however_it_is_projected(tmp_path: Path) -> None:
    material, tree = trees.material("m")
    image = trees.image("globe", tmp_path)
    for projection, socket in (("SPHERE", "Base Color"), ("TUBE", "Roughness"), ("FLAT", "Alpha")):
        trees.texture(tree, image, ("Color", "Principled BSDF", socket)).projection = projection
    plan = material_stack.plan([material])
    (stack,) = plan.stacks
    assert set(stack.samplings) == {Sampling("REPEAT", projection) for projection in ("FLAT", "SPHERE", "TUBE")}
    assert plan.skipped == () and "m (m), repeat; repeat, sphere; repeat, tube" in str(plan)


def test_missing_and_damaged_files_name_their_path(tmp_path: Path) -> None:
    material, tree = trees.material("m")
    for name, socket in (("gone", "Base Color"), ("broken", "Roughness")):
        node = trees.texture(tree, trees.image(name, tmp_path), ("Color", "Principled BSDF", socket))
        path = tmp_path / f"{name}.png"
        path.unlink() if name == "gone" else path.write_bytes(b"not a picture")
        node.image.reload()
    assert reasons(material) == {
        "gone": f"file not found: {tmp_path / 'gone.png'}; relink it, or pack it",
        "broken": f"{tmp_path / 'broken.png'}: not a readable image; replace it",
    }


def test_materials_without_anything_to_compress(tmp_path: Path) -> None:
    plain, _ = trees.material("plain")
    environment, tree = trees.material("environment")
    node = trees.add(tree, "ShaderNodeTexEnvironment")
    node.image = trees.image("sky", tmp_path)
    tree.links.new(node.outputs[0], tree.nodes["Principled BSDF"].inputs["Base Color"])
    plan = material_stack.plan([plain, environment])
    assert [str(s) for s in plan.skipped] == [
        "plain: no image textures",
        "environment, sky: environment texture: a picture of the surroundings, which decoders can't look up by direction",
    ]
    assert plan.stacks == ()


def test_what_nothing_shows_is_counted_and_told_by_name_when_asked(tmp_path: Path) -> None:
    """In the material's tree and in groups; not where another material shows the image, and not what was replaced."""
    shown, tree = trees.material("shown")
    both = trees.image("both", tmp_path)
    trees.texture(tree, both, ("Color", "Principled BSDF", "Base Color"))
    replaced = trees.texture(tree, trees.image("replaced", tmp_path))
    properties.ORIGINAL.write(replaced, "{}")
    loose, tree = trees.material("loose")
    trees.texture(tree, both)
    trees.texture(tree, trees.image("loose 1", tmp_path))
    muted = trees.texture(tree, trees.image("muted", tmp_path), ("Color", "Principled BSDF", "Base Color"))
    muted.mute = True
    inner = trees.group("inner", {}, {"Color": "Color"})
    trees.texture(inner, trees.image("loose 2", tmp_path))
    tree.nodes.new("ShaderNodeGroup").node_tree = inner
    empty = [trees.material(f"empty {i}")[0] for i in range(64)]
    plan = material_stack.plan([shown, loose, *empty])
    assert plan.left_out() == ["no image textures: 64 materials", "not connected to the output: 3 images"]
    assert str(plan).splitlines()[-2:] == [f"left as it is: {line}" for line in plan.left_out()]
    told = plan.left_out(verbose=True)
    assert len(told) == 67 and {"loose, loose 1: not connected to the output", "empty 7: no image textures"} < set(told)
    assert told[0] in plan.text(verbose=True)
    assert material_stack.plan([loose]).left_out() == ["not connected to the output: 4 images"], "both is one of them"
    assert material_stack.plan(empty[:1]).left_out() == ["empty 0: no image textures"], "one is told by name"


def test_every_color_space_is_kept_or_named(tmp_path: Path) -> None:
    """Bytes: sRGB, the linear space of shaders, and data; floats: all, as Blender holds them scene-linear."""
    material, tree = trees.material("m")
    node = trees.texture(tree, trees.image("picture", tmp_path), ("Color", "Principled BSDF", "Base Color"))
    names = [item.identifier for item in node.image.colorspace_settings.bl_rna.properties["name"].enum_items]
    assert len(names) > 20
    kept = {}
    for name in names:
        node.image.colorspace_settings.name = name
        (reason,) = reasons(material).values() or [None]
        if reason is None:
            kept[name] = describe(material)["picture"].color_space
        else:
            assert reason.startswith(f"color space {name}: ") and "save the image" in reason
    kept.pop("scene_linear", None)  # Blender 5's other name of the second
    assert kept == {"sRGB": ColorSpace.SRGB, "Linear Rec.709": ColorSpace.LINEAR, "Non-Color": ColorSpace.RAW}
    node.image = trees.deep("deep", tmp_path)
    for name in names:
        node.image.colorspace_settings.name = name
        space = kept.get(name, ColorSpace.LINEAR)
        assert reasons(material) == {} and describe(material)["deep"].color_space is space, name


def test_a_file_that_works_in_another_space_is_left_alone(tmp_path: Path) -> None:
    """Decoders convert from sRGB to Linear Rec.709: elsewhere their colors would be off. Data are the same everywhere."""
    if not hasattr(bpy.data, "colorspace"):
        pytest.skip("Blender 4 works in Linear Rec.709 only")
    material, tree = trees.material("m")
    trees.texture(tree, trees.image("color", tmp_path), ("Color", "Principled BSDF", "Base Color"))
    trees.texture(tree, trees.image("data", tmp_path, space="Non-Color"), ("Color", "Principled BSDF", "Roughness"))
    bpy.ops.wm.set_working_color_space(working_space="ACEScg", convert_colors=False)
    assert set(describe(material)) == {"data"}
    assert reasons(material)["color"].startswith(
        "this file works in ACEScg, for which decoders don't convert colors; ch"
    )


def test_linked_materials_are_left_to_their_library(tmp_path: Path) -> None:
    library = tmp_path / "library.blend"
    material, tree = trees.material("linked")
    trees.texture(tree, trees.image("far", tmp_path), ("Color", "Principled BSDF", "Base Color"))
    material.use_fake_user = True
    bpy.ops.wm.save_as_mainfile(filepath=str(library))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(library), link=True) as (_, chosen):
        chosen.materials = ["linked"]
    plan = material_stack.plan(bpy.data.materials)
    assert [str(s) for s in plan.skipped] == [f"linked: linked from {library}; compress it there, or make it local"]


def test_real_files(data: Path) -> None:
    bpy.ops.wm.open_mainfile(filepath=str(data / "blend" / "tea_set" / "blender" / "tea_set_01_1k_posed.blend"))
    maps = describe(bpy.data.materials["tea_set_01"])
    assert {name: (m.role, m.channels) for name, m in maps.items()} == {
        "tea_set_01_diff": (Role.COLOR, "RGB"),
        "tea_set_01_nor_gl": (Role.NORMAL, "RGB"),
        "tea_set_01_metal-tea_set_01_rough": (Role.DATA, "GB"),
    }
    bpy.ops.wm.open_mainfile(filepath=str(data / "blend" / "rosewood_veneer1_1k" / "rosewood_veneer1_1k.blend"))
    maps = describe(bpy.data.materials["rosewood_veneer1"])
    assert {name: m.labels for name, m in maps.items()} == {
        "rosewood_veneer1_diff": ("basecolor",),
        "rosewood_veneer1_nor_gl": ("normal",),
        "rosewood_veneer1_rough": ("roughness",),
        "rosewood_veneer1_disp": ("height",),
    }, "the file's AO texture is not linked to anything"
    assert len({node.vector for m in maps.values() for node in m.nodes}) == 1, "one Mapping feeds them all"
