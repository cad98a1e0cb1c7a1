"""How much each map matters to a render: measured derivatives, and what weights by them gain at equal bytes.

    python benchmarks/map_weights.py table STACK... [--crop 512]
    python benchmarks/map_weights.py gain STACK... [--crop 512] [--bppc 0.03] [--preset fast] [--weights color=0.8 ...]
    python benchmarks/map_weights.py gain STACK... --measured [--seeds 3] [...]

table   every map of a stack is disturbed by itself; the render's squared error over the map's is what a plane of it weighs.
        A sphere under three area lights, Cycles, view transform Standard.
gain    fits with all maps alike and with the weights, of the same bytes; PSNR and FLIP of renders of another scene: a wavy
        surface under a sun, a point light and a bright sky. Measured: each stack has the weights of its own table.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Vector
from PIL import Image

import addon_utils  # isort: skip  # part of Blender: there once bpy is imported

from imagegs_blender.core.decoding import decode
from imagegs_blender.core.encoding.encode import encode
from imagegs_blender.core.settings import BY_USE, FitSettings
from imagegs_blender.core.textures import image_files, texture_stack
from imagegs_blender.core.textures.texture_stack import Role, SourceMap
from imagegs_blender.workflow.sensitivity import LEAST

SIDE, SAMPLES = 320, 48
Maps = dict[str, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("table", "gain"))
    parser.add_argument("stacks", nargs="+", type=Path)
    parser.add_argument("--crop", type=int, default=512, help="texels of the middle that are used (%(default)s)")
    parser.add_argument("--bppc", type=float, default=0.03, help="bits per pixel per channel (%(default)s)")
    parser.add_argument("--preset", default="fast", help="(%(default)s)")
    parser.add_argument("--weights", nargs="*", help="ROLE=W instead of the built-in ones")
    parser.add_argument("--measured", action="store_true", help="weights of each stack by itself")
    parser.add_argument("--seeds", type=int, default=1, help="fits with as many seeds, means of them (%(default)s)")
    parser.add_argument("--power", type=float, default=1.0, help="of measured weights (%(default)s)")
    args = parser.parse_args()
    weights = (
        {Role(role): float(w) for role, w in (text.split("=") for text in args.weights)} if args.weights else BY_USE
    )
    for path in args.stacks:
        maps = [cropped(m, args.crop) for m in image_files.read_maps(path)]
        if args.task == "table":
            for m, weight in zip(maps, table(maps).values(), strict=True):
                print(f"{path.name}\t{m.name}\t{m.role}\t{weight:.3f}", flush=True)
        else:
            own = {name: weight**args.power for name, weight in table(maps).items()} if args.measured else None
            gain(path.name, maps, args, own or {m.name: weights[m.role] for m in maps})
    sys.stdout.flush()
    os._exit(0)


def table(maps: list[SourceMap]) -> dict[str, float]:
    """The weight of a plane of each map, in shares of the largest, as the option "render" has them."""
    build("sphere")
    original = {m.name: eight(m.pixels) for m in maps}
    whole, found = render(maps, original), {}
    rng = np.random.default_rng(0)
    for m in maps:
        noise = np.stack([smooth_noise(rng, m.pixels.shape[:2]) for _ in range(m.pixels.shape[2])], 2)
        disturbed = np.clip(original[m.name] + 12.0 * noise, 0, 255).round().astype(np.uint8)
        given = np.mean((disturbed.astype(float) - original[m.name]) ** 2)
        got = np.mean((render(maps, original | {m.name: disturbed}) - whole) ** 2)
        planes = 2 if m.role is Role.NORMAL else m.pixels.shape[2]
        found[m.name] = got / (given * planes)
    most = max(found.values())
    return {name: max(LEAST, weight / most) for name, weight in found.items()}


def gain(name: str, maps: list[SourceMap], args: argparse.Namespace, weights: Mapping[str, float]) -> None:
    """PSNR and FLIP of the render, and the size, with all maps alike and with weights."""
    import flip_evaluator

    build("waves")
    original = {m.name: eight(m.pixels) for m in maps}
    whole = render(maps, original)
    stack = texture_stack.build([replace(m, pixels=original[m.name], depth=texture_stack.Depth.U8) for m in maps])
    size = int(args.bppc * texture_stack.channel_count(stack.maps) * stack.texels / 8)
    line = [name]
    for chosen in ({}, dict(weights)):
        found = []
        for seed in range(args.seeds):
            settings = FitSettings.preset(args.preset, seed=seed, map_weights=chosen, device="cpu")
            fit = encode(stack, replace(settings, bpp=None, max_bytes=size))
            picture = render(maps, decode.images(fit.stream))
            psnr = 10 * np.log10(255**2 / np.mean((picture - whole) ** 2))
            flip = flip_evaluator.evaluate(whole / 255, picture / 255, "LDR")[1]
            found.append((psnr, flip, fit.report.psnr["overall"], len(fit.data)))
        psnr, flip, overall, count = np.mean(found, 0)
        spread = np.std([psnr for psnr, *_ in found])
        line.append(f"{psnr:.2f} (+-{spread:.2f}) dB, FLIP {flip:.4f}, maps {overall:.2f} dB, {count:.0f} bytes")
    print("\t".join(line), " ".join(f"{key} {value:.3f}" for key, value in weights.items()), sep="\t", flush=True)


def cropped(m: SourceMap, side: int) -> SourceMap:
    """The middle of a map."""
    y, x = ((n - min(n, side)) // 2 for n in m.pixels.shape[:2])
    return replace(m, pixels=np.ascontiguousarray(m.pixels[y : y + side, x : x + side]))


def eight(pixels: np.ndarray) -> np.ndarray:
    """As 8-bit samples."""
    if pixels.dtype == np.uint8:
        return pixels
    scaled = pixels / 257 if pixels.dtype == np.uint16 else pixels * 255.0
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """(h, w) of variance 1, in squares of 2 x 2 texels: about as broad as what compression leaves."""
    small = rng.standard_normal((-(-shape[0] // 2), -(-shape[1] // 2)))
    return np.kron(small, np.ones((2, 2)))[: shape[0], : shape[1]]


def build(kind: str) -> None:
    """An empty scene with a surface, lights and a camera."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    addon_utils.enable("cycles")
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples, scene.cycles.seed = "CYCLES", SAMPLES, 1
    scene.cycles.use_denoising = False
    scene.render.resolution_x = scene.render.resolution_y = SIDE
    scene.render.resolution_percentage = 100
    scene.view_settings.view_transform = "Standard"
    scene.world = bpy.data.worlds.new("world")
    if kind == "sphere":
        bpy.ops.mesh.primitive_uv_sphere_add(segments=96, ring_count=48, radius=1)
        sky, camera = (0.05, 0.05, 0.05), (0, -2.6, 0.6)
        for place, energy, size in (((3, -3, 3), 250, 2), ((-4, -2, 1), 120, 1), ((0, 3, 3), 150, 3)):
            light("AREA", place, energy, size)
    else:
        bpy.ops.mesh.primitive_grid_add(x_subdivisions=80, y_subdivisions=80, size=2.4)
        for vertex in bpy.context.object.data.vertices:
            vertex.co.z = 0.12 * np.sin(5 * vertex.co.x + 1) * np.cos(4 * vertex.co.y)
        sky, camera = (0.5, 0.6, 0.8), (0, -1.9, 1.9)
        light("SUN", (2, 1, 4), 2.5, 0.05)
        light("POINT", (-1.2, -0.8, 0.9), 35, 0.1)
    for polygon in next(obj for obj in bpy.data.objects if obj.type == "MESH").data.polygons:
        polygon.use_smooth = True
    scene.world.color = sky
    if bpy.app.version < (5, 0):
        scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (*sky, 1)
    bpy.ops.object.camera_add(location=camera, rotation=_towards_origin(camera))
    scene.camera = bpy.context.object


def light(kind: str, place: tuple[float, ...], energy: float, size: float) -> None:
    bpy.ops.object.light_add(type=kind, location=place)
    made = bpy.context.object
    made.data.energy = energy
    if kind == "AREA":
        made.data.size = size
    elif kind == "POINT":
        made.data.shadow_soft_size = size
    made.rotation_euler = _towards_origin(place)


def _towards_origin(place: tuple[float, ...]) -> Any:
    return (-Vector(place)).to_track_quat("-Z", "Y").to_euler()


def render(maps: list[SourceMap], pixels: Maps) -> np.ndarray:
    """(SIDE, SIDE, 3) float32, 0..255: the scene with these maps on its surface."""
    with tempfile.TemporaryDirectory() as folder:
        surface = next(obj for obj in bpy.data.objects if obj.type == "MESH")
        surface.data.materials.clear()
        surface.data.materials.append(_material(maps, pixels, folder))
        scene = bpy.context.scene
        scene.render.image_settings.file_format, scene.render.image_settings.color_mode = "PNG", "RGB"
        scene.render.filepath = str(Path(folder, "render.png"))
        bpy.ops.render.render(write_still=True)
        picture = np.asarray(Image.open(scene.render.filepath).convert("RGB"), np.float32)
    for material in bpy.data.materials:
        bpy.data.materials.remove(material)
    for image in bpy.data.images:
        bpy.data.images.remove(image)
    return picture


def _material(maps: list[SourceMap], pixels: Maps, folder: str) -> Any:
    """A Principled BSDF, fed by file names as glTF names maps."""
    material = bpy.data.materials.new("surface")
    if bpy.app.version < (5, 0):
        material.use_nodes = True
    tree = material.node_tree
    shader = next(node for node in tree.nodes if node.bl_idname == "ShaderNodeBsdfPrincipled")
    for m in maps:
        path = Path(folder, f"{m.name}.png")
        Image.fromarray(pixels[m.name][..., 0] if pixels[m.name].shape[2] == 1 else pixels[m.name]).save(path)
        node = tree.nodes.new("ShaderNodeTexImage")
        node.image = bpy.data.images.load(str(path))
        node.image.colorspace_settings.name = "sRGB" if m.role is Role.COLOR else "Non-Color"
        _feed(tree, shader, node.outputs["Color"], m.name.lower(), m.role)
    return material


def _feed(tree: Any, shader: Any, color: Any, name: str, role: Role) -> None:
    if role is Role.NORMAL:
        bump = tree.nodes.new("ShaderNodeNormalMap")
        tree.links.new(color, bump.inputs["Color"])
        tree.links.new(bump.outputs["Normal"], shader.inputs["Normal"])
    elif "emissive" in name:
        tree.links.new(color, shader.inputs["Emission Color"])
        shader.inputs["Emission Strength"].default_value = 1.0
    elif role is Role.COLOR:
        tree.links.new(color, shader.inputs["Base Color"])
    elif "orm" in name or "metallic_roughness" in name:
        parts = tree.nodes.new("ShaderNodeSeparateColor")
        tree.links.new(color, parts.inputs["Color"])
        tree.links.new(parts.outputs["Green"], shader.inputs["Roughness"])
        tree.links.new(parts.outputs["Blue"], shader.inputs["Metallic"])
    elif "rough" in name or "metal" in name:
        tree.links.new(color, shader.inputs["Roughness" if "rough" in name else "Metallic"])


if __name__ == "__main__":
    main()
