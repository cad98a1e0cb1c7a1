"""A .blend of many small stacks, compressed by the batch: where start-up would count for more than the fits.

    python benchmarks/small_stacks.py [--stacks 10] [--size 256] [--rounds 3] [--package FOLDER] [--keep FILE.blend]

Each stack has a base color, a normal and a roughness map: of the folders in $IMAGEGS_DATA/stacks, cropped and resized,
or made of smooth noise where that is not set. A first, untimed run of one stack fills the kernel cache. Then each round
runs the batch in a fresh process. Its wall and CPU seconds are printed, of all its processes, and a checksum of the
streams.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
MAPS = {"basecolor": ("Base Color", "sRGB"), "normal": ("Normal", "Non-Color"), "roughness": ("Roughness", "Non-Color")}
"""Name of a map: input of the Principled BSDF, color space."""

PACKED = {"orm": 1, "metallic_roughness": 1}
"""Files that hold roughness in one channel, and which one that is."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--stacks", type=int, default=10, help="(%(default)s)")
    add("--size", type=int, default=256, help="width and height of every map, texels (%(default)s)")
    add("--rounds", type=int, default=3, help="(%(default)s)")
    add("--bpp", default="1", help="(%(default)s)")
    add("--preset", default="fast", help="(%(default)s)")
    add("--package", type=Path, default=ROOT, metavar="FOLDER", help="the checkout that is measured (this one)")
    add("--keep", type=Path, metavar="FILE.blend", help="where the input is written, and stays")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, target = args.keep or Path(folder, "small.blend"), Path(folder, "out.blend")
        _python(ROOT, __file__, "--task", "make", source, args.stacks, args.size)
        options = ["--bpp", args.bpp, "--preset", args.preset, "--even-if-not-smaller", "--overwrite", "--quiet"]
        command = ["-m", "imagegs_blender.batch", source, "--output", target, *options]
        _python(args.package, *command, "--materials", "stack 0")
        for _ in range(args.rounds):
            start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            _python(args.package, *command)
            seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = sum(getattr(after, name) - getattr(before, name) for name in ("ru_utime", "ru_stime"))
            streams = _python(args.package, __file__, "--task", "streams", target).split()[-1]
            print(
                f"{args.stacks} stacks of {args.size} x {args.size}: {seconds:.1f} s, {cpu:.1f} CPU-s; {streams}",
                flush=True,
            )


def _python(package: Path, *arguments: object) -> str:
    """What a process of a checkout prints; it ends this one where it fails."""
    command = [sys.executable, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(package)}
    run = subprocess.run(command, cwd=package, env=environment, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{run.stdout[-2000:]}{run.stderr[-2000:]}\n{' '.join(command)} ended with code {run.returncode}")
    return run.stdout


def make(target: str, stacks: str, size: str) -> None:
    """Save the .blend, its textures packed."""
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    rng = np.random.default_rng(0)
    data = os.environ.get("IMAGEGS_DATA")
    found = sorted(folder for folder in Path(data, "stacks").iterdir() if _files(folder)) if data else []
    with tempfile.TemporaryDirectory() as folder:
        for index in range(int(stacks)):
            name = f"stack {index}"
            maps = _cropped(found[index % len(found)], int(size), rng) if found else _noise(int(size), rng)
            material = _material(name, {key: _load(f"{name} {key}", maps[key], Path(folder)) for key in MAPS})
            mesh = bpy.data.meshes.new(name)
            mesh.from_pydata([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)], [], [(0, 1, 2, 3)])
            mesh.uv_layers.new(name="UVMap").data.foreach_set("uv", [0, 0, 1, 0, 1, 1, 0, 1])
            mesh.materials.append(material)
            bpy.context.scene.collection.objects.link(bpy.data.objects.new(name, mesh))
        bpy.ops.wm.save_as_mainfile(filepath=str(Path(target).resolve()), compress=True)


def _files(folder: Path) -> dict[str, Path] | None:
    """A file for each map of a stack's folder; None where one is missing, or is of a kind that Pillow can't read."""
    files = {path.stem: path for path in folder.iterdir() if path.suffix in (".png", ".jpg")}
    rough = next((files[key] for key in ("roughness", *PACKED) if key in files), None)
    found = {"basecolor": files.get("basecolor"), "normal": files.get("normal"), "roughness": rough}
    return {key: path for key, path in found.items() if path} if all(found.values()) else None


def _cropped(folder: Path, size: int, rng: np.random.Generator) -> dict[str, Image.Image]:
    """The same part of every map, half as wide and high as the texture, at the size asked for."""
    files, corner = _files(folder), rng.random(2) / 2
    assert files is not None
    maps = {}
    for key, path in files.items():
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        if key == "roughness":
            picture = picture.getchannel(PACKED.get(path.stem, 0))
        left, top = (int(c * side) for c, side in zip(corner, picture.size, strict=True))
        box = (left, top, left + picture.width // 2, top + picture.height // 2)
        maps[key] = picture.resize((size, size), Image.Resampling.BOX, box)
    return maps


def _noise(size: int, rng: np.random.Generator) -> dict[str, Image.Image]:
    """Maps of one height field of several octaves."""
    height = np.zeros((size, size))
    for octave in range(2, 7):
        small = Image.fromarray(rng.random((2**octave, 2**octave), np.float32))
        height += np.asarray(small.resize((size, size), Image.Resampling.BICUBIC)) * 0.6**octave
    height = (height - height.min()) / np.ptp(height)
    dy, dx = np.gradient(8 * height)
    normal = np.stack([-dx, dy, np.ones_like(dx)], 2)
    normal = 0.5 + 0.5 * normal / np.linalg.norm(normal, axis=2, keepdims=True)
    color = height[..., None] * rng.random(3) + (1 - height[..., None]) * rng.random(3)
    pictures = {"basecolor": color, "normal": normal, "roughness": 1 - 0.7 * height}
    return {key: Image.fromarray(np.rint(255 * pixels).astype(np.uint8)) for key, pixels in pictures.items()}


def _load(name: str, picture: Image.Image, folder: Path) -> Any:
    """A picture as a packed image."""
    import bpy

    picture.save(folder / f"{name}.png")
    image = bpy.data.images.load(str(folder / f"{name}.png"))
    image.name = name
    image.pack()
    return image


def _material(name: str, images: dict[str, Any]) -> Any:
    import bpy

    material = bpy.data.materials.new(name)
    if material.node_tree is None:
        material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    shader = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
    for key, (socket, space) in MAPS.items():
        node = nodes.new("ShaderNodeTexImage")
        node.image = images[key]
        node.image.colorspace_settings.name = space
        source = node.outputs["Color"]
        if key == "normal":
            bump = nodes.new("ShaderNodeNormalMap")
            links.new(source, bump.inputs["Color"])
            source = bump.outputs["Normal"]
        links.new(source, shader.inputs[socket])
    return material


def streams(blend: str) -> None:
    """Print how many streams a file holds, their bytes and a checksum."""
    import bpy

    from imagegs_blender.blend.decoder import decoders

    bpy.ops.wm.open_mainfile(filepath=blend, load_ui=False)
    data = [decoder.data for decoder in sorted(decoders(), key=lambda decoder: decoder.name)]
    print(f"{len(data)}-streams-{sum(map(len, data))}-bytes-{hashlib.sha256(b''.join(data)).hexdigest()[:12]}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--task"]:
        sys.path[0] = os.environ[
            "PYTHONPATH"
        ]  # beside this file, Numba would take a benchmark for the module `coverage`
        {"make": make, "streams": streams}[sys.argv[2]](*sys.argv[3:])
        sys.stdout.flush()
        os._exit(0)  # bpy's destructors can wait forever
    main()
