"""What benchmarks/render.py measures, in a Blender of its own: python render_scenes.py TASK VALUES.json RESULT.json"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bpy
import gpu
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
version = f"python{sys.version_info.major}.{sys.version_info.minor}"
sys.path.insert(0, str(Path(bpy.utils.resource_path("LOCAL")) / "python" / "lib" / version / "site-packages"))  # OSL

import addon_utils  # noqa: E402  part of Blender

import imagegs_blender  # noqa: E402
from imagegs_blender.blend import properties  # noqa: E402
from imagegs_blender.blend.decoder import decoders  # noqa: E402
from imagegs_blender.blend.record import Record  # noqa: E402
from imagegs_blender.core.igs import stream  # noqa: E402
from imagegs_blender.core.textures import image_files  # noqa: E402
from imagegs_blender.core.textures.texture_stack import ColorSpace, Role  # noqa: E402
from imagegs_blender.shaders import decoder  # noqa: E402


def start() -> None:
    """An empty file, with Cycles and the add-on."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    addon_utils.enable("cycles")
    imagegs_blender.register()


def serve(task: str, values: str, result: str) -> None:
    start()
    returned = TASKS[task](**json.loads(values))
    Path(result).write_text(json.dumps(returned))
    os._exit(0)  # bpy's destructors can wait forever


def time_renders(
    folder: str, stack: str, lod: float, scene: str, engine: str, kinds: list[str], samples: int, rounds: int, size: int
) -> tuple[dict[str, float], dict[str, float], dict[str, float], str]:
    """By kind: seconds, CPU seconds, seconds of the first sample; and what rendered: "CPU", or the name of the OpenGL."""
    found = stream.read(Path(stack).read_bytes())
    materials = {kind: _material(scene, kind, found, folder, lod) for kind in kinds}
    _build(scene, engine, size, found.gaussians.width)
    spent: dict[str, list[list[np.ndarray]]] = {kind: [] for kind in kinds}
    for turn in range(rounds + 1):
        for kind, material in materials.items():
            for obj in bpy.data.objects:
                if obj.type == "MESH":
                    obj.data.materials.clear()
                    obj.data.materials.append(material)
            bpy.context.scene.cycles.shading_system = kind == "OSL"
            one = _render(1)
            if turn:  # the first warms up
                spent[kind].append([one, _render(samples + 1)])
    best = {kind: np.min(turns, axis=0) for kind, turns in spent.items()}
    seconds, cpu = ({kind: float((t[1] - t[0])[i]) for kind, t in best.items()} for i in (0, 1))
    on = gpu.platform.renderer_get().split()[0] if engine == "EEVEE" else "CPU"  # it is there after a render
    return seconds, cpu, {kind: float(t[0][0]) for kind, t in best.items()}, on


def save_scene(folder: str, stack: str, kind: str, lod: float, blend: str) -> None:
    found = stream.read(Path(stack).read_bytes())
    material = _material("objects", kind, found, folder, lod)
    _build("objects", "Cycles", 64, found.gaussians.width)
    bpy.context.scene.cycles.shading_system = kind == "OSL"
    bpy.context.scene.cycles.samples = 1
    for obj in bpy.data.objects:
        if obj.type == "MESH":
            obj.data.materials.append(material)
    bpy.ops.wm.save_as_mainfile(filepath=blend, compress=True)


def save_packed(folder: Path, stack: Path, scene: str, kind: str, blend: Path) -> None:
    """A new scene whose file holds all that it reads; the script of OSL lies beside it."""
    bpy.ops.wm.read_homefile(use_empty=True)
    found = stream.read(stack.read_bytes())
    material = _material(scene, kind, found, str(folder), 0.0)
    _build(scene, "Cycles", 256, found.gaussians.width)
    bpy.context.scene.cycles.shading_system = kind == "OSL"
    for obj in bpy.data.objects:
        if obj.type == "MESH":
            obj.data.materials.append(material)
    for made in decoders():
        if kind != decoder.OSL:
            decoder.pack(made)
            continue
        properties.SELF_CONTAINED.write(made.tree, True)  # keeps the node
        for node in made.scripts():
            script = blend.with_suffix(".oso")
            shutil.copyfile(node.filepath, script)
            node.filepath = f"//{script.name}"
    bpy.ops.file.pack_all()
    bpy.ops.wm.save_as_mainfile(filepath=str(blend.resolve()), compress=True)


def open_and_render(blend: str) -> dict[str, Any]:
    """Seconds of two turns, and of them those of the add-on on load; bytes of memory in the first."""
    marks: list[float] = []
    mark = bpy.app.handlers.persistent(lambda *_: marks.append(time.perf_counter()))
    bpy.app.handlers.load_post.insert(0, mark)
    bpy.app.handlers.load_post.append(mark)
    result: dict[str, Any] = {"seconds": [], "on_load": [], "before": _memory()["VmRSS"]}
    for _ in range(2):
        start = time.perf_counter()
        bpy.ops.wm.open_mainfile(filepath=blend)
        result.setdefault("opening", _memory()["VmHWM"])
        result.setdefault("opened", _memory(reset_peak=True)["VmRSS"])
        bpy.ops.render.render()
        result["seconds"].append(time.perf_counter() - start)
        result.setdefault("rendering", _memory()["VmHWM"])
        result["on_load"].append(marks[-1] - marks[-2])
    return result


def _memory(reset_peak: bool = False) -> dict[str, int]:
    """Bytes that are resident now, VmRSS, and were at most, VmHWM; zeros where there is no /proc."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else ()
    if reset_peak and lines:
        Path("/proc/self/clear_refs").write_text("5")
    found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return {"VmRSS": 0, "VmHWM": 0} | found


def _render(samples: int) -> np.ndarray:
    """Seconds and CPU seconds of one render."""
    bpy.context.scene.cycles.samples = bpy.context.scene.eevee.taa_render_samples = samples
    start = np.array([time.perf_counter(), time.process_time()])
    bpy.ops.render.render()
    return np.array([time.perf_counter(), time.process_time()]) - start


def _material(scene: str, kind: str, found: stream.Stream, folder: str, lod: float) -> Any:
    """A material with every map, as an Image Texture node or of a decoder."""
    material = bpy.data.materials.new(kind)
    material.use_fake_user = True
    if bpy.app.version < (5, 0):
        material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    uv = tree.nodes.new("ShaderNodeTexCoord").outputs["UV"]
    sources = {}
    if kind == "IMAGES":
        for path, info in zip(image_files.find(folder), found.maps, strict=True):
            node = tree.nodes.new("ShaderNodeTexImage")
            node.image = bpy.data.images.load(str(path.resolve()))
            if info.color_space is not ColorSpace.SRGB:
                node.image.colorspace_settings.name = "Non-Color"
            tree.links.new(uv, node.inputs["Vector"])
            sources[info.name] = node.outputs["Color"]
    else:
        group = tree.nodes.new("ShaderNodeGroup")
        made = decoder.create(f"Stack {kind}", found, stream.write(found.gaussians, found.maps), Record())
        if kind != decoder.NODES:
            decoder.set_kind(made, kind, lod)
        group.node_tree = made.tree
        group.inputs["LOD"].default_value = lod
        tree.links.new(uv, group.inputs["Vector"])
        sources = {info.name: group.outputs[info.name] for info in found.maps}
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    surface = _sum(tree, sources.values()) if scene == "plane" else _principled(tree, sources, found)
    tree.links.new(surface.outputs[0], output.inputs["Surface"])
    return material


def _sum(tree: Any, sources: Iterable[Any]) -> Any:
    emission = tree.nodes.new("ShaderNodeEmission")
    total = None
    for socket in sources:
        node = tree.nodes.new("ShaderNodeVectorMath")
        tree.links.new(socket, node.inputs[0])
        if total:
            tree.links.new(total, node.inputs[1])
        total = node.outputs[0]
    tree.links.new(total, emission.inputs["Color"])
    return emission


def _principled(tree: Any, sources: dict[str, Any], found: stream.Stream) -> Any:
    """Packed data maps are roughness in green and metallic in blue; single ones go by their name."""
    shader = tree.nodes.new("ShaderNodeBsdfPrincipled")
    for info in found.maps:
        if info.role is Role.NORMAL:
            normal = tree.nodes.new("ShaderNodeNormalMap")
            tree.links.new(sources[info.name], normal.inputs["Color"])
            tree.links.new(normal.outputs[0], shader.inputs["Normal"])
        elif info.role is Role.COLOR:
            tree.links.new(sources[info.name], shader.inputs["Emission Color" if "emi" in info.name else "Base Color"])
        elif len(info.channels) >= 3:
            split = tree.nodes.new("ShaderNodeSeparateColor")
            tree.links.new(sources[info.name], split.inputs[0])
            tree.links.new(split.outputs[1], shader.inputs["Roughness"])
            tree.links.new(split.outputs[2], shader.inputs["Metallic"])
        elif info.name.startswith(("rough", "metal")):
            tree.links.new(sources[info.name], shader.inputs["Roughness" if info.name[0] == "r" else "Metallic"])
    return shader


def _build(scene: str, engine: str, size: int, texels: int) -> None:
    """Objects without a material, a camera, light, and settings that make times comparable; texels: along the plane."""
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    if scene == "plane":
        bpy.ops.mesh.primitive_plane_add(size=1)
        camera.data.type, camera.data.ortho_scale, camera.location = "ORTHO", min(1, size / texels), (0, 0, 1)
    else:
        for x, add in ((-2.4, "cube"), (0, "uv_sphere"), (2.4, "plane")):
            getattr(bpy.ops.mesh, f"primitive_{add}_add")(location=(x, 0, 0))
        bpy.ops.object.light_add(type="SUN", rotation=(0.6, 0.3, 0))
        bpy.context.scene.world = bpy.data.worlds.new("world")
        camera.location, camera.rotation_euler = (0, -6, 6), (0.785, 0, 0)
    render, cycles = bpy.context.scene.render, bpy.context.scene.cycles
    eevee = "BLENDER_EEVEE" if bpy.app.version >= (5, 0) else "BLENDER_EEVEE_NEXT"
    render.engine = "CYCLES" if engine == "Cycles" else eevee
    render.resolution_x = render.resolution_y = size
    cycles.use_adaptive_sampling = cycles.use_denoising = False


TASKS = {"time renders": time_renders, "save": save_scene, "open": open_and_render}


if __name__ == "__main__":
    serve(*sys.argv[1:])
