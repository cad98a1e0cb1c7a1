"""Seconds of a glTF export: compressed materials, by kind of decoder, beside the same file with its images.

    python benchmarks/export.py scene.blend [--format GLB GLTF_SEPARATE] [--bpp 1] [--times 3]

The first export of a session decodes the maps, where a script calls for it; in a window they are decoded while the
exporter's dialog is open. Later exports find them in the session's folder. OSL is left out: it is exported as Nodes are.
The median of `times` sessions.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_EXPORT = """
import os, sys, time
import bpy, addon_utils
blend, kind, format, out, place = sys.argv[1:]
addon_utils.enable("io_scene_gltf2")
import imagegs_blender
imagegs_blender.register()
bpy.context.preferences.addons.new().module = "imagegs_blender"
bpy.ops.wm.open_mainfile(filepath=blend)
if kind != "images":
    bpy.context.scene.imagegs_scope = "FILE"
    bpy.ops.imagegs.set_decoder(kind=kind)
if place == "window":
    from imagegs_blender.workflow import as_images
    as_images.show(bpy.data.materials)  # what the dialog has done when a name is chosen
    as_images.hide(bpy.data.materials)
for turn in ("first", "again"):
    start = time.perf_counter()
    bpy.ops.export_scene.gltf(filepath=out, export_format=format)
    print("SECONDS", turn, time.perf_counter() - start)
sys.stdout.flush()
os._exit(0)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--format", nargs="+", default=["GLB", "GLTF_SEPARATE"])
    parser.add_argument("--bpp", default="1", help="(%(default)s)")
    parser.add_argument("--times", type=int, default=3, help="(%(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compressed = Path(folder, "compressed.blend")
        command = [
            "-m",
            "imagegs_blender.batch",
            args.file,
            "--upgrade",
            "--overwrite",
            "-o",
            compressed,
            "--bpp",
            args.bpp,
            "--preset",
            "fast",
        ]
        _python(*command, "--drop-originals", "--quiet")
        print("| format | textures | from a script, s | as a multiple | from the window, s | as a multiple | again, s "
              "| as a multiple |\n|---|---|---:|---:|---:|---:|---:|---:|")  # fmt: skip
        for form in args.format:
            out = Path(folder, "out.glb" if form == "GLB" else "out.gltf")
            images: list[float] = []
            for kind in ("images", "NODES", "BAKED"):
                blend = args.file.resolve() if kind == "images" else compressed
                runs = [
                    [_seconds(_python("-c", _EXPORT, blend, kind, form, out, place)) for _ in range(args.times)]
                    for place in ("script", "window")
                ]
                script, window = (statistics.median(run[0] for run in place) for place in runs)
                again = statistics.median(run[1] for place in runs for run in place)
                found = [script, window, again]
                images = images or found
                cells = [f"{seconds:.2f} | {seconds / base:.1f}" for seconds, base in zip(found, images, strict=True)]
                print(f"| {form} | {kind.title()} | {' | '.join(cells)} |", flush=True)


def _seconds(text: str) -> list[float]:
    return [float(line.split()[-1]) for line in text.splitlines() if line.startswith("SECONDS")]


def _python(*arguments: object) -> str:
    command = [sys.executable, *map(str, arguments)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{run.stdout[-2000:]}{run.stderr[-2000:]}\n{' '.join(command[:3])} ended with code {run.returncode}")
    return run.stdout


if __name__ == "__main__":
    main()
