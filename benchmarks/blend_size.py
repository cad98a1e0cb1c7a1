"""Whole .blend files: with their textures packed as they are, as WebP, as JPEG, and compressed; a Markdown table.

    python benchmarks/blend_size.py tea_set.blend rosewood.blend [--bpp 1] [--preset balanced]

The same images are changed each time, those that batch.py compresses; every file is saved compressed. PSNR is of a Cycles
render of the file's own camera against that of the original, in display values.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from imagegs_blender.scene.material_stack import MapPlan

ROOT = Path(__file__).resolve().parent.parent
PEERS = {"webp": ("WebP, quality 80", "WEBP", {"quality": 80}), "jpg": ("JPEG, quality 85", "JPEG", {"quality": 85})}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--bpp", default="1", help="(%(default)s)")
    parser.add_argument("--preset", default="balanced", help="(%(default)s)")
    parser.add_argument("--width", type=int, default=480, help="of the render (%(default)s)")
    parser.add_argument("--samples", type=int, default=32, help="of the render (%(default)s)")
    args = parser.parse_args()
    rows = ["| file | textures | KB | times smaller | render, dB | seconds |", "|---|---|---:|---:|---:|---:|"]
    for file in args.files:
        with tempfile.TemporaryDirectory() as folder:
            rows += _rows(file.resolve(), Path(folder), args)
    print("\n" + "\n".join(rows))


def _rows(file: Path, run: Path, args: argparse.Namespace) -> list[str]:
    def picture(blend: Path) -> np.ndarray:
        _python(__file__, "--task", "render", blend, run / "picture.npy", args.width, args.samples)
        return np.load(run / "picture.npy")

    packed = run / "packed.blend"
    _python(__file__, "--task", "repack", file, packed, "")
    original, before = picture(packed), packed.stat().st_size
    rows = [f"| {file.stem} | as they are, packed | {before / 1000:,.0f} | 1.0 | | |"]
    variants = [(name, ["--task", "repack", file, run / f"{key}.blend", key]) for key, (name, *_) in PEERS.items()]
    ours = [
        "-m",
        "imagegs_blender.batch",
        file,
        "--upgrade",
        "--overwrite",
        "-o",
        run / "igs.blend",
        "--bpp",
        args.bpp,
        "--preset",
        args.preset,
    ]
    variants.append((f"Image-GS, {args.bpp} bpp, {args.preset}", [*ours, "--drop-originals", "--quiet"]))
    for name, command in variants:
        blend = next(part for part in command if isinstance(part, Path) and part.parent == run)
        start = time.perf_counter()
        _python(*(command if command[0] == "-m" else [__file__, *command]))
        seconds = time.perf_counter() - start
        error = float(np.mean((picture(blend) - original) ** 2))
        size = blend.stat().st_size
        nearness = f"{-10 * np.log10(error):.1f}" if error else "same"
        rows.append(f"| | {name} | {size / 1000:,.0f} | {before / size:.1f} | {nearness} | {seconds:.0f} |")
        print(rows[-1], flush=True)
    return rows


def _python(*arguments: object) -> None:
    command = [sys.executable, *map(str, arguments)]
    run = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{run.stdout[-2000:]}{run.stderr[-2000:]}\n{' '.join(command)} ended with code {run.returncode}")


def repack(source: str, target: str, key: str) -> None:
    """Save a file with the textures that batch.py would compress packed: as they are, or written anew by a peer."""
    import bpy

    from imagegs_blender.scene import material_stack

    bpy.ops.wm.open_mainfile(filepath=source, load_ui=False)
    plan = material_stack.plan(m for m in bpy.data.materials if m.users and not m.is_grease_pencil)
    maps = {m.image: m for stack in plan.stacks for m in stack.maps}
    with tempfile.TemporaryDirectory() as folder:
        for map_plan in maps.values():
            image = map_plan.image.find()
            if key:
                path = Path(folder, f"{map_plan.name}.{key}")
                _write(map_plan, path, key)
                if image.packed_file:
                    image.unpack(method="REMOVE")
                image.filepath = str(path)
                image.reload()
            if not image.packed_file:
                image.pack()
        bpy.ops.wm.save_as_mainfile(filepath=target, compress=True, copy=True, relative_remap=True)


def _write(map_plan: MapPlan, path: Path, key: str) -> None:
    """Write all channels of an image as 8-bit values; JPEG has no alpha."""
    from PIL import Image

    from imagegs_blender.scene import pixels

    source = pixels.read_map(replace(map_plan, channels="RGBA", alpha_linked=True))
    values = source.pixels
    values = np.clip(values, 0, 1) if values.dtype == np.float32 else values / np.iinfo(values.dtype).max
    values = np.rint(255 * values).astype(np.uint8)
    if key == "jpg" or values[..., -1].min() == 255:
        values = values[..., :-1]
    if values.shape[2] == 2:
        values = values[..., [0, 0, 0, 1]]
    _, kind, options = PEERS[key]
    Image.fromarray(values[..., 0] if values.shape[2] == 1 else values).save(path, kind, **options)


def render(blend: str, out: str, width: str, samples: str) -> None:
    """Write the picture of a file's camera."""
    import bpy

    import imagegs_blender
    from tests.wild import picture

    imagegs_blender.register()
    bpy.ops.wm.open_mainfile(filepath=blend, load_ui=False)
    np.save(out, picture(bpy.context.scene, int(width), int(samples)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--task"]:
        sys.path[0] = str(ROOT)  # beside this file, Numba would take a benchmark for the module `coverage`
        {"repack": repack, "render": render}[sys.argv[2]](*sys.argv[3:])
        sys.stdout.flush()
        os._exit(0)  # bpy's destructors can wait forever
    main()
