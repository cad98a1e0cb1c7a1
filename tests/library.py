"""A folder of small .blend files to convert, some of them broken: python -m tests.library FOLDER [OPTIONS]

Every tenth file is a library, and the two after it link its object. Textures are square, half of them packed. The
broken ones are called after what is wrong with them, and Blender really crashes, hangs, or finds nothing.
"""

from __future__ import annotations

import argparse
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

QUICK = ("--preset", "fast", "--num-gaussians", "60", "--even-if-not-smaller", "--device", "cpu")
"""Options with which a batch converts one of these files in seconds."""

BROKEN = {"crashing": "crashed", "empty": "failed", "hanging": "timed out", "orphaned": "failed"}
"""Names of broken files without .blend, and how a batch says that they ended."""


def make(folder: Path, files: int, broken: bool = False, side: int = 64) -> list[str]:
    """Make such a folder in a process of its own. Returns the names of the good files below it, in their order.

    Among broken ones is one that hangs. So that a time limit can tell it from the others, they find the kernels compiled.
    """
    options = ["--files", str(files), "--side", str(side), *(["--broken"] if broken else [])]
    command = [sys.executable, "-m", "tests.library", str(folder), *options]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    if broken:
        compile_kernels()
    return [_name(number) for number in range(files)]


def compile_kernels() -> None:
    """Convert a file, for as long as it takes."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "in"), Path(folder, "out")
        make(source, 1)
        batch = [sys.executable, "-m", "imagegs_blender.batch", "-r", source, "-o", out, *QUICK]
        run = subprocess.run(batch, cwd=ROOT, capture_output=True, text=True, timeout=1200)
        assert run.returncode == 0, run.stderr


def _name(number: int) -> str:
    return f"part{number // 50}/{number:03}.blend"


def _good(folder: Path, number: int, side: int) -> None:
    import bpy
    import numpy as np
    from PIL import Image

    from tests.samples import picture

    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.mesh.primitive_plane_add()
    plane = bpy.context.object
    plane.name = f"plane {number}"
    noise = np.random.default_rng(number).integers(0, 255, (side, side, 3), np.uint8)
    path = folder / "textures" / f"{number:03}.png"
    path.parent.mkdir(exist_ok=True)
    Image.fromarray((picture(side) * 0.8 + noise * 0.2).astype(np.uint8)).save(path)
    material = bpy.data.materials.new(f"wall {number}")
    if bpy.app.version < (5, 0):
        material.use_nodes = True
    texture = material.node_tree.nodes.new("ShaderNodeTexImage")
    texture.image = bpy.data.images.load(str(path))
    shader = next(node for node in material.node_tree.nodes if node.bl_idname == "ShaderNodeBsdfPrincipled")
    material.node_tree.links.new(texture.outputs["Color"], shader.inputs["Base Color"])
    plane.data.materials.append(material)
    if number % 2:
        texture.image.pack()
    target = folder / _name(number)
    target.parent.mkdir(exist_ok=True)
    if number % 10 in (1, 2):
        _link(folder / _name(number - number % 10), f"plane {number - number % 10}")
    _save(target)


def _link(library: Path, name: str) -> None:
    import bpy

    with bpy.data.libraries.load(str(library), link=True) as (_, wanted):
        wanted.objects = [name]
    for item in wanted.objects:
        bpy.context.scene.collection.objects.link(item)


def _save(path: Path, compress: bool = True) -> None:
    import bpy

    bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=compress)
    bpy.ops.file.make_paths_relative()
    bpy.ops.wm.save_mainfile(compress=compress)
    path.with_suffix(".blend1").unlink(missing_ok=True)


def _break(folder: Path) -> None:
    """The broken files; library.blend and pipe are what they link."""
    import bpy

    (folder / "empty.blend").write_bytes(b"")
    for name in ("orphaned", "hanging"):
        library = folder / f"library of {name}.blend"
        bpy.ops.wm.read_homefile(use_empty=True)
        bpy.ops.mesh.primitive_plane_add()
        bpy.context.object.name = "there"
        _save(library)
        bpy.ops.wm.read_homefile(use_empty=True)
        _link(library, "there")
        _save(folder / f"{name}.blend")
        library.unlink()
    os.mkfifo(library)  # whoever opens it waits for somebody who writes
    _crashing(folder / "crashing.blend")


def _crashing(path: Path) -> None:
    """An object whose mesh is a material."""
    import bpy

    from imagegs_blender.core.batch import blend_file

    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.mesh.primitive_plane_add()
    bpy.context.object.data.materials.append(bpy.data.materials.new("no mesh"))
    _save(path, compress=False)
    data = bytearray(path.read_bytes())
    with path.open("rb") as file:
        of = {block.code: block for block in blend_file.blocks(file)}
    mesh, material = (struct.pack("<Q", of[code].address) for code in (b"ME\0\0", b"MA\0\0"))
    place = data.index(mesh, of[b"OB\0\0"].offset)
    data[place : place + 8] = material
    path.write_bytes(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=20, help="good ones (%(default)s)")
    parser.add_argument("--side", type=int, default=64, help="of the textures, texels (%(default)s)")
    parser.add_argument("--broken", action="store_true", help="add those that are broken (Linux and macOS)")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for number in range(args.files):
        _good(args.folder, number, args.side)
    if args.broken:
        _break(args.folder)
    sys.stdout.flush()
    os._exit(0)  # bpy's destructors can wait forever


if __name__ == "__main__":
    main()
