"""Baked maps as files for the texture cache of Blender 5.2, beside images: memory and CPU time (Linux, Python 3.13).

    python benchmarks/texture_cache.py FILE.igs [--stacks 10] [--size 4096]

FILE.igs is a stack that the compressor made; it is repeated up to SIZE texels, and given to as many spheres as there are
stacks, each time a little different. Each row is a process of its own, which opens the scene and renders it twice:

images          the same maps as PNG files in Image Texture nodes, without the cache
baked           Baked, without the cache: packed in memory
files, made     Baked, with the cache, for the first time: PNG files and Blender's own form of them are written
files           the same again
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from render import repeated

from imagegs_blender.core.igs import stream

MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stream", type=Path, metavar="FILE.igs")
    parser.add_argument("--stacks", type=int, default=10, help="(%(default)s)")
    parser.add_argument("--size", type=int, default=4096, help="texels (%(default)s)")
    parser.add_argument("--samples", type=int, default=16, help="(%(default)s)")
    parser.add_argument("--as", dest="row", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.row:
        TASKS[args.row](args)
        sys.stdout.flush()
        os._exit(0)  # bpy's destructors can wait forever
    print(f"{args.stacks} stacks, {args.size} texels\n{'':14} peak MiB   CPU s: opened  rendered  again", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for row in ("make", "baked", "files, made", "files", "images"):
            environment = {**os.environ, "XDG_CACHE_HOME": str(Path(folder, "cache"))}
            environment.pop("NUMBA_CACHE_DIR", None)
            command = [sys.executable, *sys.argv, "--as", row]
            done = subprocess.run(command, env=environment | {"SCENE": folder}, capture_output=True, text=True)
            found = [line for line in done.stdout.splitlines() if line.startswith("|")]
            if done.returncode:
                sys.exit(f"{row}: ended with {done.returncode}\n{done.stdout}{done.stderr}")
            print(*(line[1:] for line in found), sep="\n", end="\n" if found else "", flush=True)


def make(args: argparse.Namespace) -> None:
    """A scene with decoders, and one that is to have images."""
    bpy = _blender()
    from imagegs_blender.blend.record import Record
    from imagegs_blender.shaders import decoder

    found = stream.read(args.stream.read_bytes())
    many = stream.read(repeated(found, max(1, args.size // found.gaussians.width)))
    for number in range(args.stacks):
        moved = replace(many.gaussians, mean=(many.gaussians.mean + np.float32(number / 97)) % 1)
        data = stream.write(moved, many.maps)
        made = decoder.create(f"Stack {number}", stream.read(data), data, Record(), kind="BAKED")
        tree, shader = _sphere(bpy, number, args.stacks)
        node = tree.nodes.new("ShaderNodeGroup")
        node.node_tree = made.tree
        for info, socket in zip(many.maps, ("Base Color", "Roughness", "Metallic"), strict=False):
            tree.links.new(node.outputs[info.name], shader.inputs[socket])
    _light(bpy, args)
    for cache in (False, True):
        _use_cache(bpy, cache)
        bpy.ops.wm.save_as_mainfile(filepath=str(_scene(cache)), compress=True)


def baked(args: argparse.Namespace) -> None:
    _measure("baked", False)


def files_made(args: argparse.Namespace) -> None:
    _measure("files, made", True)
    for what, pattern in (("PNG files", "**/*.png"), ("Blender's own form of them", "**/*.tx")):
        size = sum(path.stat().st_size for path in _maps().glob(pattern))
        print(f"|{what}: {size / MIB:,.0f} MiB")


def files_again(args: argparse.Namespace) -> None:
    _measure("files", True)


def images(args: argparse.Namespace) -> None:
    """The files that were made for Baked, as anyone uses images."""
    bpy = _blender(addon=False)
    paths = sorted(_maps().glob("*.png"))
    for number in range(args.stacks):
        tree, shader = _sphere(bpy, number, args.stacks)
        each = len(paths) // args.stacks
        for path, socket in zip(paths[number * each :], ("Base Color", "Roughness", "Metallic"), strict=False):
            node = tree.nodes.new("ShaderNodeTexImage")
            node.image = bpy.data.images.load(str(path))
            tree.links.new(node.outputs["Color"], shader.inputs[socket])
    _light(bpy, args)
    _use_cache(bpy, False)
    _measure("images", False, bpy)


TASKS = {"make": make, "baked": baked, "files, made": files_made, "files": files_again, "images": images}


def _scene(cache: bool) -> Path:
    return Path(os.environ["SCENE"], "cached.blend" if cache else "plain.blend")


def _maps() -> Path:
    return Path(os.environ["SCENE"], "cache", "imagegs-blender", "maps")


def _use_cache(bpy: Any, yes: bool) -> None:
    render = bpy.context.scene.render
    render.use_texture_cache = render.use_auto_generate_texture_cache = yes


def _blender(addon: bool = True) -> Any:
    import bpy  # in a process of its own

    import addon_utils  # isort: skip  part of Blender: found once bpy is imported

    import imagegs_blender

    bpy.ops.wm.read_factory_settings(use_empty=True)
    addon_utils.enable("cycles")
    if addon:
        imagegs_blender.register()
    return bpy


def _sphere(bpy: Any, number: int, count: int) -> tuple[Any, Any]:
    """The tree and the shader of another sphere's material."""
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.48, location=(number % 5, number // 5, 0))
    material = bpy.data.materials.new(f"material {number}")
    bpy.context.object.data.materials.append(material)
    tree = material.node_tree
    return tree, tree.nodes["Principled BSDF"]


def _light(bpy: Any, args: argparse.Namespace) -> None:
    scene = bpy.context.scene
    scene.world = bpy.data.worlds.new("world")
    bpy.ops.object.light_add(type="SUN", location=(0, 0, 5))
    bpy.ops.object.camera_add(location=(2, (args.stacks // 5 - 1) / 2, 8))
    scene.camera = bpy.context.object
    scene.camera.data.type, scene.camera.data.ortho_scale = "ORTHO", 5.2
    scene.render.engine, scene.cycles.device, scene.cycles.samples = "CYCLES", "CPU", args.samples
    scene.cycles.use_denoising = False
    scene.render.resolution_x = scene.render.resolution_y = 384


def _measure(row: str, cache: bool, bpy: Any = None) -> None:
    """Print a row; where there is no scene yet, that with decoders is opened."""
    opens = bpy is None
    bpy = bpy or _blender()
    times = [time.process_time()]
    if opens:
        bpy.ops.wm.open_mainfile(filepath=str(_scene(cache)))
    times.append(time.process_time())
    for _ in range(2):
        bpy.ops.render.render()
        times.append(time.process_time())
    opened, first, again = np.diff(times)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"|{row:14} {peak:8,.0f} {opened:15.1f} {first:9.1f} {again:6.1f}")


if __name__ == "__main__":
    main()
