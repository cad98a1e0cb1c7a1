"""What decoding costs on a graphics card, beside the same scenes with image textures: Cycles and EEVEE.

    python benchmarks/render_card.py make FOLDER FILE.igs SCENES      here, with the add-on
    python benchmarks/render_card.py time SCENES [--on CPU CUDA OPTIX EEVEE]     where the card is: bpy alone is enough

FOLDER holds the maps of one material, FILE.igs the same, fitted. SCENES becomes a folder of .blend files that hold all they
read: two scenes (render.py says which), with images and with each decoder. Times are seconds of SAMPLES more samples (a render
of SAMPLES + 1 less one of 1, so without loading and building the scene), best of ROUNDS, the kinds in turn. OSL renders on the
processor and through OptiX, and only where it is named: OptiX compiles it for minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import bpy

KINDS = ("IMAGES", "NODES", "OSL", "BAKED")
SCENES = ("plane", "objects")
DEVICES = ("CPU", "CUDA", "OPTIX", "EEVEE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("make").add_argument
    add("folder", type=Path)
    add("stream", type=Path, metavar="FILE.igs")
    add("scenes", type=Path)
    add = commands.add_parser("time").add_argument
    add("scenes", type=Path)
    add("--on", nargs="+", choices=DEVICES, default=DEVICES)
    add("--kinds", nargs="+", choices=KINDS, default=[kind for kind in KINDS if kind != "OSL"])
    add("--samples", type=int, default=256, help="of Cycles, and of EEVEE (%(default)s)")
    add("--size", type=int, default=1024, help="width and height of the picture (%(default)s)")
    add("--rounds", type=int, default=2, help="(%(default)s)")
    add("--json", type=Path, metavar="FILE", help="write all figures")
    add("--pictures", type=Path, metavar="FOLDER", help="write the pictures, as PNG")
    args = parser.parse_args()
    if args.command == "make":
        make(args)
    else:
        measure(args)
    sys.stdout.flush()
    os._exit(0)  # bpy's destructors can wait forever


def make(args: argparse.Namespace) -> None:
    """A .blend for each scene and kind."""
    import render_scenes

    args.scenes.mkdir(parents=True, exist_ok=True)
    render_scenes.start()
    for scene in SCENES:
        for kind in KINDS:
            render_scenes.save_packed(args.folder, args.stream, scene, kind, args.scenes / f"{scene} {kind}.blend")


def measure(args: argparse.Namespace) -> None:
    """A line for each device, scene and kind: seconds, as multiples of images' seconds, and of the first render."""
    results = []
    for device in args.on:
        for scene in SCENES:
            images = 0.0
            for kind in args.kinds:
                path = args.scenes / f"{scene} {kind}.blend"
                if not path.exists() or (kind == "OSL" and device not in ("CPU", "OPTIX")):
                    continue
                bpy.ops.wm.open_mainfile(filepath=str(path.resolve()))
                on = use(device, args.size)
                first, more = _render(1), []
                for _ in range(args.rounds):
                    one = _render(1)
                    more.append(_render(args.samples + 1) - one)
                images = images or min(more)
                if args.pictures:
                    bpy.data.images["Render Result"].save_render(str(args.pictures / f"{device} {scene} {kind}.png"))
                results.append({"on": on, "scene": scene, "kind": kind, "seconds": min(more), "first": first})
                print(
                    f"{on:32} {scene:8} {kind:7} {min(more):8.3f} s {min(more) / images:6.2f} first {first:.2f} s",
                    flush=True,
                )
                if args.json:
                    args.json.write_text(json.dumps(results, indent=2), "utf-8")


def use(device: str, size: int) -> str:
    """Render with a device; its name."""
    scene = bpy.context.scene
    scene.render.resolution_x = scene.render.resolution_y = size
    if device == "EEVEE":
        scene.render.engine = "BLENDER_EEVEE" if bpy.app.version >= (5, 0) else "BLENDER_EEVEE_NEXT"
        bpy.ops.render.render()
        import gpu

        return f"EEVEE {gpu.platform.renderer_get()}"[:32]
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU" if device == "CPU" else "GPU"
    if device == "CPU":
        return device
    preferences = bpy.context.preferences.addons["cycles"].preferences
    preferences.compute_device_type = device
    preferences.refresh_devices()
    for found in preferences.devices:
        found.use = found.type == device
    if not any(found.use for found in preferences.devices):
        sys.exit(f"error: Cycles finds no card for {device}")
    return f"{device} {next(found.name for found in preferences.devices if found.use)}"[:32]


def _render(samples: int) -> float:
    """Seconds of one render."""
    scene = bpy.context.scene
    scene.cycles.samples = scene.eevee.taa_render_samples = samples
    start = time.perf_counter()
    bpy.ops.render.render()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
