"""A .blend of every earlier version opens, renders the same, gives its originals back, and can be saved again.

version-1.blend was saved by Blender 4.5: materials "nodes", "osl", "baked", "udim" (tiles 1001, 1002, 1011) and "dropped"
(baked at LOD 1, its originals dropped), of 64 x 64 maps. version-1-self-contained.blend is the same, packed, with "osl"
baked. version-1.npz holds the pixels that each output gave at LOD 0, by "<decoder> LF <output>", (32, 32, 3) scene-linear.
Baked images of that time followed another rule in the few texels that Gaussians reach in part: up to 0.5 % are not compared.
("dropped" follows the LOD of the nodes that look at it, where the add-on is enabled.)
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest

import imagegs_blender
from imagegs_blender.blend import properties
from imagegs_blender.blend.decoder import decoders, find
from imagegs_blender.scene import replace
from imagegs_blender.shaders.decoder import set_kind
from imagegs_blender.workflow import rebuild
from tests.shaders import plane

FILES = Path(__file__).parent / "files"
ROOT = Path(__file__).resolve().parents[2]
KINDS = {"nodes": "NODES", "osl": "OSL", "baked": "BAKED", "udim": "NODES", "dropped": "BAKED"}


@pytest.fixture(autouse=True)
def addon() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    imagegs_blender.register()
    plane.enable_cycles()
    yield
    imagegs_blender.unregister()


def opened(path: Path) -> None:
    bpy.ops.wm.open_mainfile(filepath=str(path))
    plane.enable_cycles()
    assert all(decoder.problems == [] for decoder in decoders()) and len(decoders()) == 5


def check(folder: Path, name: str) -> None:
    """The outputs of a decoder give the pixels of the file's own time."""
    for item in list(bpy.data.objects):
        bpy.data.objects.remove(item)
    outputs = plane.stage(find(f"Image-GS {name}").tree, 32, 32)
    with np.load(FILES / "version-1.npz") as truth:
        for output, pixels in plane.render("CYCLES", folder, outputs).items():
            off = 255 * np.abs(pixels - truth[f"Image-GS {name}\n{output}"]).max(-1)
            if KINDS[name] == properties.NODES:  # K = 2: they blend all candidates of a cell since, which is softer
                assert np.sqrt(np.mean(off**2)) < 14, f"{name}, {output}: {off.max()}"
                continue
            allowed = 0.005 if KINDS[name] == properties.BAKED else 0.0
            assert np.mean(off > 1) <= allowed, f"{name}, {output}: {off.max()}"


def test_opened_and_rendered(tmp_path: Path) -> None:
    opened(FILES / "version-1.blend")
    kinds = {decoder.short_name: decoder.kind for decoder in decoders()}
    assert kinds == KINDS
    assert [problem for problem in rebuild.problems() if "OSL" not in problem] == []
    assert find("Image-GS dropped").level == 1.0 and find("Image-GS udim").tiles.numbers == (1001, 1002, 1011)
    assert find("Image-GS nodes").record.report.num_gaussians == 150
    for name in ("nodes", "baked", "udim", "dropped"):
        check(tmp_path, name)


def test_self_contained_without_the_addon(tmp_path: Path) -> None:
    imagegs_blender.unregister()
    try:
        opened(FILES / "version-1-self-contained.blend")
        assert all(decoder.self_contained and decoder.is_whole(saved=True) for decoder in decoders())
        assert {tuple(image.size) for image in find("Image-GS dropped").images()} == {(32, 32)}
        for name in ("nodes", "baked", "udim"):
            check(tmp_path, name)
    finally:
        imagegs_blender.register()


def test_osl(tmp_path: Path) -> None:
    """In a process of its own, as compiling OSL wants Blender's own OpenImageIO."""
    command = [sys.executable, "-m", "tests.blend.test_versions", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("file", ["version-1.blend", "version-1-self-contained.blend"])
def test_restored(file: str) -> None:
    opened(FILES / file)
    assert replace.restore(bpy.data.materials) == 8
    left = [decoder.short_name for decoder in decoders()]
    assert left == ["dropped"]
    for name in ("nodes", "osl", "baked", "udim"):
        nodes = bpy.data.materials[name].node_tree.nodes
        color = nodes["Principled BSDF"].inputs["Base Color"].links[0].from_node
        assert color.image.name == f"{name} color" and color.image.size[0] in (32, 64)
        assert not any(key.startswith("imagegs") for node in nodes for key in node.keys())  # noqa: SIM118  a node is no dictionary


def test_saved_again(tmp_path: Path) -> None:
    """Also after a decoder was built in another way, which writes the keys of today."""
    opened(FILES / "version-1.blend")
    streams = {decoder.name: decoder.data for decoder in decoders()}
    set_kind(find("Image-GS baked"), properties.NODES)
    set_kind(find("Image-GS nodes"), properties.BAKED)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "again.blend"), compress=True)
    opened(tmp_path / "again.blend")
    assert {decoder.name: decoder.data for decoder in decoders()} == streams
    assert find("Image-GS baked").kind == properties.NODES
    written = {d.short_name: properties.STREAM_VERSION.read(d.tree) for d in decoders()}
    assert written == {"nodes": 2, "baked": 2, "udim": 2, "osl": 1, "dropped": 2}  # OSL can't be built here
    set_kind(find("Image-GS baked"), properties.BAKED)
    set_kind(find("Image-GS nodes"), properties.NODES)
    for name in ("nodes", "baked", "udim"):
        check(tmp_path, name)


def main(folder: Path) -> None:
    imagegs_blender.register()
    bpy.ops.wm.open_mainfile(filepath=str(FILES / "version-1.blend"))
    assert rebuild.problems() == []
    plane.enable_cycles()
    bpy.context.scene.cycles.shading_system = True
    check(folder, "osl")


if __name__ == "__main__":
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    sys.path.insert(0, str(Path(bpy.utils.resource_path("LOCAL")) / "python" / "lib" / version / "site-packages"))
    main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)
