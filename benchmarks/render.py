"""Render time of the decoders in Cycles on the CPU, as ratios to the same scene with image textures.

    python benchmarks/render.py FOLDER [--samples 64] [--size 512]

FOLDER holds the maps of one material; they are fitted with preset "fast" first. Two scenes: a flat emission plane that
fills the frame (the worst case), and three lit objects. Each is rendered once to warm up and then timed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import bpy

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
version = f"python{sys.version_info.major}.{sys.version_info.minor}"
sys.path.insert(0, str(Path(bpy.utils.resource_path("LOCAL")) / "python" / "lib" / version / "site-packages"))  # OSL

from imagegs_blender.core import codec, images, stack, stream, tables  # noqa: E402
from imagegs_blender.core.settings import FitSettings  # noqa: E402
from imagegs_blender.core.stack import Role  # noqa: E402
from imagegs_blender.shaders import decoder, node_group  # noqa: E402

KINDS = ("IMAGES", *decoder.KINDS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--bpp", type=float, default=0.5)
    parser.add_argument("--lod", type=float, default=0.0)
    args = parser.parse_args()
    textures = stack.build(images.read_maps(args.folder), wrap=True)
    found = stream.read(codec.encode(textures, FitSettings.preset("fast", bpp=args.bpp)).data)
    print(f"{args.folder.name}: {len(found.gaussians)} Gaussians, {len(textures.planes)} planes", flush=True)
    print(f"tables: {tables.build(found.gaussians, found.maps).nbytes / 2**20:.2f} MiB", flush=True)
    for scene in ("plane", "objects"):
        seconds = {kind: _measure(scene, kind, found, args) for kind in KINDS}
        for kind, spent in seconds.items():
            print(f"{scene:8} {kind:7} {spent:6.2f} s  {spent / seconds['IMAGES']:5.2f}", flush=True)
    os._exit(0)  # bpy's destructors can wait forever


def _measure(scene: str, kind: str, found: stream.Stream, args: argparse.Namespace) -> float:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    import addon_utils

    addon_utils.enable("cycles")
    material = _material(scene, kind, found, args)
    _build(scene, material)
    render, cycles = bpy.context.scene.render, bpy.context.scene.cycles
    render.engine, render.resolution_x, render.resolution_y = "CYCLES", args.size, args.size
    cycles.use_adaptive_sampling = cycles.use_denoising = False
    cycles.shading_system = kind == decoder.OSL
    cycles.samples = 1
    bpy.ops.render.render()
    cycles.samples = args.samples
    start = time.perf_counter()
    bpy.ops.render.render()
    return time.perf_counter() - start


def _material(scene: str, kind: str, found: stream.Stream, args: argparse.Namespace) -> bpy.types.Material:
    material = bpy.data.materials.new("material")
    if bpy.app.version < (5, 0):
        material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    uv = tree.nodes.new("ShaderNodeTexCoord").outputs["UV"]
    sources = {}
    group = tree.nodes.new("ShaderNodeGroup")
    group.node_tree = node_group.build("Stack", found.maps, tables.build(found.gaussians, found.maps))
    if kind == "IMAGES":
        tree.nodes.remove(group)
        for path in images.find(args.folder):
            node = tree.nodes.new("ShaderNodeTexImage")
            node.image = bpy.data.images.load(str(path))
            tree.links.new(uv, node.inputs["Vector"])
            sources[path.stem] = node.outputs["Color"]
    else:
        decoder.set_kind(group.node_tree, kind, found, args.lod)
        group.inputs["LOD"].default_value = args.lod
        tree.links.new(uv, group.inputs["Vector"])
        sources = {info.name: group.outputs[info.name] for info in found.maps}
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    if scene == "plane":
        total = None
        for socket in sources.values():
            node = tree.nodes.new("ShaderNodeVectorMath")
            tree.links.new(socket, node.inputs[0])
            if total:
                tree.links.new(total, node.inputs[1])
            total = node.outputs[0]
        emission = tree.nodes.new("ShaderNodeEmission")
        tree.links.new(total, emission.inputs["Color"])
        tree.links.new(emission.outputs[0], output.inputs["Surface"])
        return material
    shader = tree.nodes.new("ShaderNodeBsdfPrincipled")
    for info in found.maps:
        if info.role is Role.NORMAL:
            normal = tree.nodes.new("ShaderNodeNormalMap")
            tree.links.new(sources[info.name], normal.inputs["Color"])
            tree.links.new(normal.outputs[0], shader.inputs["Normal"])
        else:
            name = "Base Color" if info.role is Role.COLOR else "Roughness"
            tree.links.new(sources[info.name], shader.inputs[name])
    tree.links.new(shader.outputs[0], output.inputs["Surface"])
    return material


def _build(scene: str, material: bpy.types.Material) -> None:
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    if scene == "plane":
        bpy.ops.mesh.primitive_plane_add(size=1)
        bpy.context.object.data.materials.append(material)
        camera.data.type, camera.data.ortho_scale, camera.location = "ORTHO", 1, (0, 0, 1)
        return
    for x, add in ((-2.4, "cube"), (0, "uv_sphere"), (2.4, "plane")):
        getattr(bpy.ops.mesh, f"primitive_{add}_add")(location=(x, 0, 0))
        bpy.context.object.data.materials.append(material)
    bpy.ops.object.light_add(type="SUN", rotation=(0.6, 0.3, 0))
    bpy.context.scene.world = bpy.data.worlds.new("world")
    camera.location, camera.rotation_euler = (0, -6, 6), (0.785, 0, 0)


if __name__ == "__main__":
    main()
