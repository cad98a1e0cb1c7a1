"""One image, one fit: however its nodes show it, the file holds one stream."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest

from imagegs_blender.blend.decoder import decoders
from imagegs_blender.blend.properties import BAKED, NODES
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.scene import replace
from imagegs_blender.shaders.decoder import set_kind
from imagegs_blender.workflow import summary
from imagegs_blender.workflow.compress import Outcome, planned
from imagegs_blender.workflow.rebuild import rebuild_lost
from imagegs_blender.workflow.run import compress
from imagegs_blender.workflow.saving import lean_file
from tests.scene import trees
from tests.shaders import plane
from tests.workflow.scene import state

pytestmark = pytest.mark.usefixtures("addon")
EXTENSIONS = ("REPEAT", "EXTEND", "CLIP", "MIRROR")
PIXELS = 64


@pytest.fixture
def material(tmp_path: Path) -> bpy.types.Material:
    """An image with four extension modes on four planes, which show it from -1 to 2 each."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    plane.enable_cycles()
    picture = trees.image("picture", tmp_path)
    picture.pack()
    scene = bpy.context.scene
    for index, extension in enumerate(EXTENSIONS):
        material, tree = trees.material(extension)
        tree.nodes.remove(tree.nodes["Principled BSDF"])
        emission = trees.add(tree, "ShaderNodeEmission")
        tree.links.new(emission.outputs[0], tree.nodes["Material Output"].inputs["Surface"])
        scaled = trees.add(tree, "ShaderNodeMapping", trees.add(tree, "ShaderNodeTexCoord").outputs["UV"])
        scaled.inputs["Location"].default_value, scaled.inputs["Scale"].default_value = (-1, -1, 0), (3, 3, 1)
        node = trees.texture(tree, picture, ("Color", "Emission", "Color"))
        node.extension = extension
        tree.links.new(scaled.outputs[0], node.inputs["Vector"])
        bpy.ops.mesh.primitive_plane_add(size=1, location=(index + 0.5, 0.5, 0))
        bpy.context.object.data.materials.append(material)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    camera.data.type, camera.data.ortho_scale = "ORTHO", len(EXTENSIONS)
    camera.location = (len(EXTENSIONS) / 2, 0.5, 10)
    scene.render.resolution_x, scene.render.resolution_y = PIXELS * len(EXTENSIONS), PIXELS
    scene.render.resolution_percentage = 100
    return material


def compressed() -> Outcome:
    return compress(planned(bpy.data.materials), FitSettings.preset("fast", num_gaussians=150))


def looks(folder: Path) -> dict[str, np.ndarray]:
    whole = plane.render("CYCLES", folder, ["all"])["all"]
    return dict(zip(EXTENSIONS, np.split(whole, len(EXTENSIONS), axis=1), strict=True))


def assert_like(found: dict[str, np.ndarray], truth: dict[str, np.ndarray]) -> None:
    for extension in EXTENSIONS:
        psnr = -10 * np.log10(np.mean((found[extension] - truth[extension]) ** 2))
        assert psnr > 30, f"{extension}: {psnr:.1f} dB"


@pytest.mark.parametrize("kind", [NODES, BAKED])
def test_four_decoders_of_one_stream(material: bpy.types.Material, tmp_path: Path, kind: str) -> None:
    truth, before = looks(tmp_path), state()
    (done,) = compressed().done
    made = decoders()
    assert {d.extension for d in made} == set(EXTENSIONS) and len(done.decoders) == len(EXTENSIONS)
    (shared,) = {d.shared for d in made}
    assert {d.stream_size for d in made} == {done.report.bytes} and shared.users == len(EXTENSIONS)
    assert summary.text(made).count("Gaussians") == 1, "counted once"
    for decoder in made:
        set_kind(decoder, kind)
    assert_like(looks(tmp_path), truth)

    path = tmp_path / "file.blend"
    with lean_file():
        bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=False)
    assert path.read_bytes().count(made[0].data) == 1
    bpy.ops.wm.open_mainfile(filepath=str(path))
    assert rebuild_lost() == [] and {d.kind for d in decoders()} == {kind}
    assert_like(looks(tmp_path), truth)
    bpy.ops.ed.undo_push(message="opened")

    replace.restore(bpy.data.materials)
    assert state() == before and not decoders(), "the shared stream is gone with them"


@pytest.mark.parametrize("link", [False, True])
def test_in_another_file(material: bpy.types.Material, tmp_path: Path, link: bool) -> None:
    truth = looks(tmp_path)
    compressed()
    path = tmp_path / "library.blend"
    with lean_file():
        bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    plane.enable_cycles()
    with bpy.data.libraries.load(str(path), link=link) as (there, here):
        here.scenes = there.scenes
    bpy.context.window.scene = here.scenes[0]
    assert rebuild_lost() == [] and len({d.shared for d in decoders()}) == 1
    bpy.context.scene.render.filepath = str(tmp_path / "other")
    assert_like(looks(tmp_path), truth)


def test_a_copy_and_a_loss(material: bpy.types.Material) -> None:
    compressed()
    first = decoders()[0]
    copy = type(first)(first.tree.copy())
    assert copy.shared == first.shared and copy.data == first.data
    del first.shared["imagegs_shared_stream"]
    assert all(decoder.stream_size == 0 for decoder in decoders()), "lost, and still decoders"
