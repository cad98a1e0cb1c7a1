"""Memory, open files and seconds under load, each part in a process of its own (Linux).

    python benchmarks/load.py [fits] [large] [materials] [--fits 500] [--side 8192] [--materials 64]

fits        many small fits in one process: does anything grow?
large       one stack of four large maps (color, normal, roughness, height; 8 planes), for a few steps
materials   a .blend of many materials with three images each, compressed by the operator, saved, opened again
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

import numpy as np

from imagegs_blender.core.encoding.encode import encode
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.core.textures import texture_stack
from imagegs_blender.core.textures.texture_stack import ColorSpace, Depth, Role, SourceMap

FAST = replace(FitSettings.preset("fast"), device="cpu")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="of them all", default=list(PARTS))
    parser.add_argument("--fits", type=int, default=500, help="(%(default)s)")
    parser.add_argument("--side", type=int, default=8192, help="texels (%(default)s)")
    parser.add_argument("--materials", type=int, default=64, help="(%(default)s)")
    args = parser.parse_args()
    if len(args.parts) > 1:
        return max(
            subprocess.run([sys.executable, *sys.argv[:1], *_again(part, args)]).returncode for part in args.parts
        )
    PARTS[args.parts[0]](args)
    sys.stdout.flush()
    os._exit(0)


def _again(part: str, args: argparse.Namespace) -> list[str]:
    return [part, "--fits", str(args.fits), "--side", str(args.side), "--materials", str(args.materials)]


def many_fits(args: argparse.Namespace) -> None:
    """Small fits of another picture each."""
    started = time.monotonic()
    for number in range(args.fits):
        encode(_stack(128, number, 1), replace(FAST, bpp=None, num_gaussians=100, max_steps=60))
        if number + 1 in (args.fits // 10, args.fits):
            print(
                f"fits: after {number + 1}: {_now():,.0f} MiB, {_files()} files open, {time.monotonic() - started:.0f} s",
                flush=True,
            )


def large(args: argparse.Namespace) -> None:
    """Maps of this side, a few steps: memory doesn't depend on how many."""
    stack = _stack(args.side, 0, 4)
    before, started = _peak(), time.monotonic()
    count = args.side * args.side // 140
    found = encode(stack, replace(FAST, bpp=None, num_gaussians=count, max_steps=12, add_times=2))
    print(
        f"large: {args.side} x {args.side}, {len(stack.planes)} planes, {found.report.num_gaussians:,} Gaussians: "
        f"peak {_peak():,.0f} MiB ({before:,.0f} before the fit, with the originals), {time.monotonic() - started:.0f} s",
        flush=True,
    )


def materials(args: argparse.Namespace) -> None:
    """Materials of three images of 128 x 128 each."""
    import bpy

    import imagegs_blender
    from imagegs_blender.blend.decoder import decoders

    bpy.ops.wm.read_factory_settings(use_empty=True)
    imagegs_blender.register()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(args.materials):
            _material(bpy, Path(folder), number)
        bpy.ops.object.select_all(action="SELECT")
        before, started = _now(), time.monotonic()
        settings = bpy.context.scene.imagegs
        settings.preset, settings.rate, settings.bpp = "fast", "BPP", 1.0
        result = bpy.ops.imagegs.compress(even_if_not_smaller=True)
        seconds, after = time.monotonic() - started, _now()
        path = Path(folder, "many.blend")
        bpy.ops.wm.save_as_mainfile(filepath=str(path))
        started = time.monotonic()
        bpy.ops.wm.open_mainfile(filepath=str(path))
        print(
            f"materials: {args.materials}, {len(decoders())} decoders ({', '.join(result)}): {seconds:.0f} s; "
            f"{before:,.0f} MiB before, {after:,.0f} after, peak {_peak():,.0f}; {_files()} files open; "
            f"opened again in {time.monotonic() - started:.1f} s",
            flush=True,
        )


def _material(bpy, folder: Path, number: int) -> None:  # type: ignore[no-untyped-def]
    bpy.ops.mesh.primitive_plane_add()
    material = bpy.data.materials.new(f"M{number}")
    material.use_nodes = True
    tree = material.node_tree
    shader = next(node for node in tree.nodes if node.bl_idname == "ShaderNodeBsdfPrincipled")
    for name, socket, channels in (
        ("color", "Base Color", 3),
        ("roughness", "Roughness", 1),
        ("metallic", "Metallic", 1),
    ):
        image = bpy.data.images.new(f"{number}_{name}", 128, 128)
        texels = np.ones((128, 128, 4), np.float32)
        texels[:, :, :3] = _picture(128, number, channels) / 255
        image.pixels.foreach_set(texels.ravel())
        image.filepath_raw, image.file_format = str(folder / f"{number}_{name}.png"), "PNG"
        image.save()
        image.colorspace_settings.name = "sRGB" if channels == 3 else "Non-Color"
        node = tree.nodes.new("ShaderNodeTexImage")
        node.image = image
        tree.links.new(node.outputs["Color"], shader.inputs[socket])
    bpy.context.object.data.materials.append(material)


def _stack(side: int, seed: int, maps: int) -> texture_stack.TextureStack:
    kinds = [
        ("color", Role.COLOR, ColorSpace.SRGB, "RGB"), ("normal", Role.NORMAL, ColorSpace.RAW, "RGB"),
        ("roughness", Role.DATA, ColorSpace.RAW, "L"), ("height", Role.DATA, ColorSpace.RAW, "L"),
    ]  # fmt: skip
    return texture_stack.build(
        [
            SourceMap(name, role, space, Depth.U8, letters, _picture(side, seed + k, len(letters)))
            for k, (name, role, space, letters) in enumerate(kinds[:maps])
        ]
    )


def _picture(side: int, seed: int, channels: int) -> np.ndarray:
    """(side, side, channels) uint8: waves with a little noise."""
    rng = np.random.default_rng(seed)
    axis = np.linspace(0, 2 * np.pi, side, endpoint=False, dtype=np.float32)
    planes = np.empty((side, side, channels), np.uint8)
    for c in range(channels):
        fx, fy, phase = rng.integers(1, 9), rng.integers(1, 9), rng.random() * 6
        wave = np.sin(fx * axis + phase)[None, :] * np.sin(fy * axis)[:, None]
        planes[:, :, c] = 127 + 100 * wave + rng.integers(-8, 9, (side, side), np.int8)
    return planes


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _now() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


PARTS = {"fits": many_fits, "large": large, "materials": materials}

if __name__ == "__main__":
    sys.exit(main())
