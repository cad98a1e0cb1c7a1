"""What decoding costs, beside the same scenes with image textures: render time, memory, time to the first pixel.

    python benchmarks/render.py FOLDER --stream FILE.igs

FOLDER holds the maps of one material. They are fitted first, unless FILE.igs is there from an earlier run. Two scenes: a
flat emission plane that fills the frame, a texel to a pixel, and needs every map (the worst case), and three lit objects.

render    seconds for SAMPLES more samples (a render of SAMPLES + 1 less one of 1, so without loading and building the
          scene), best of ROUNDS, the kinds in turn; the ratio of CPU seconds of all threads holds on a busy machine, too
EEVEE     the same in EEVEE with EEVEE-SAMPLES; llvmpipe is OpenGL in software
open      a new process, add-on registered, kernels compiled: from opening a saved file, which holds the stream only, to
          the end of a render of 64 x 64 pixels and 1 sample; of it what the add-on does on load; and all once more
memory    a new process with maps and Gaussians repeated side by side up to MEMORY-SIZE texels: what it took before
          opening the file, at most while opening, after that, and at most while rendering (Linux only)
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from imagegs_blender.core.decoding import node_tables as tables
from imagegs_blender.core.encoding import encode
from imagegs_blender.core.igs import stream
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.core.textures import image_files, texture_stack
from imagegs_blender.core.textures.texture_stack import Depth

KINDS = ("IMAGES", "NODES", "OSL", "BAKED")
PARTS = ("render", "eevee", "open", "memory")
SCENES = ("plane", "objects")
MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("folder", type=Path)
    add("--stream", type=Path, metavar="FILE.igs", help="the fitted stack: read where it exists, else written")
    add("--bpp", type=float, default=0.5, help="bits per pixel of the fit, preset fast (%(default)s)")
    add("--samples", type=int, default=64, help="(%(default)s)")
    add("--eevee-samples", type=int, default=4, help="(%(default)s)")
    add("--rounds", type=int, default=2, help="(%(default)s)")
    add("--size", type=int, default=256, help="width and height of the picture (%(default)s)")
    add("--lod", type=float, default=0.0, help="(%(default)s)")
    add("--memory-size", type=int, default=4096, metavar="TEXELS", help="(%(default)s)")
    add("--kinds", nargs="+", choices=KINDS, default=KINDS, help="compared with IMAGES, which are always measured")
    add("--parts", nargs="+", choices=PARTS, default=PARTS)
    args = parser.parse_args()
    args.kinds = ["IMAGES", *(kind for kind in KINDS[1:] if kind in args.kinds)]
    found = _stream(args)
    gaussians = found.gaussians
    size = f"{gaussians.width} x {gaussians.height}, {len(gaussians)} Gaussians, {gaussians.planes} planes"
    print(f"{args.folder.name}: {size}, tables {tables.build(gaussians, found.maps).nbytes / MIB:.2f} MiB", flush=True)
    rows: list[tuple[str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as name:
        args.stack = Path(name, "stack.igs")
        args.stack.write_bytes(stream.write(gaussians, found.maps))
        for part in args.parts:
            rows += _PARTS[part](args, found, Path(name))
    width = max(len(title) for title, _ in rows)
    print(f"\n{'':{width}}" + "".join(f"{kind:>9}" for kind in args.kinds))
    for title, values in rows:
        print(f"{title:{width}}" + "".join(f"{values[k]:9.2f}" if k in values else f"{'-':>9}" for k in args.kinds))


def _stream(args: argparse.Namespace) -> stream.Stream:
    if args.stream and args.stream.exists():
        return stream.read(args.stream.read_bytes())
    textures = texture_stack.build(image_files.read_maps(args.folder), wrap=True)
    data = encode.encode(textures, FitSettings.preset("fast", bpp=args.bpp)).data
    if args.stream:
        args.stream.write_bytes(data)
    return stream.read(data)


def _render_rows(args: argparse.Namespace, found: stream.Stream, run: Path) -> Iterable[tuple[str, dict[str, float]]]:
    for scene in SCENES:
        yield from _timed(args, scene, "Cycles", args.kinds, args.samples)


def _eevee_rows(args: argparse.Namespace, found: stream.Stream, run: Path) -> Iterable[tuple[str, dict[str, float]]]:
    for scene in SCENES:
        yield from _timed(args, scene, "EEVEE", [kind for kind in args.kinds if kind != "OSL"], args.eevee_samples)


def _timed(
    args: argparse.Namespace, scene: str, engine: str, kinds: list[str], samples: int
) -> Iterable[tuple[str, Any]]:
    task = {
        "scene": scene,
        "engine": engine,
        "kinds": kinds,
        "samples": samples,
        "rounds": args.rounds,
        "size": args.size,
    }
    seconds, cpu, first, on = _child("time renders", folder=args.folder, stack=args.stack, lod=args.lod, **task)
    yield f"{engine} on {on}, {scene}, {samples} samples, s", seconds
    yield "    ratio", {kind: value / seconds["IMAGES"] for kind, value in seconds.items()}
    yield "    ratio of CPU seconds", {kind: value / cpu["IMAGES"] for kind, value in cpu.items()}
    yield "    loading and the first sample, s", first


def _open_rows(args: argparse.Namespace, found: stream.Stream, run: Path) -> Iterable[tuple[str, dict[str, float]]]:
    results = _opened(args, args.folder, args.stack, run)
    yield "open to the first pixel, s", {kind: result["seconds"][0] for kind, result in results.items()}
    yield "    of it on load", {kind: result["on_load"][0] for kind, result in results.items()}
    yield "    again in the same process", {kind: result["seconds"][1] for kind, result in results.items()}
    yield "    of it on load", {kind: result["on_load"][1] for kind, result in results.items()}
    yield "    .blend, KiB", {kind: result["bytes"] / 1024 for kind, result in results.items()}


def _memory_rows(args: argparse.Namespace, found: stream.Stream, run: Path) -> Iterable[tuple[str, dict[str, float]]]:
    if sys.platform != "linux":
        print("memory: measured on Linux only")
        return
    times = max(1, args.memory_size // found.gaussians.width)
    large = run / f"{found.gaussians.width * times}"
    large.mkdir()
    for source in image_files.read_maps(args.folder):
        path = large / f"{source.name}{'.tga' if source.depth is Depth.U8 else '.exr'}"  # both written fast
        repeats = (times * found.gaussians.width // source.pixels.shape[1],) * 2
        image_files.write(path, np.tile(source.pixels, (*repeats, 1)), source.depth, source.channels)
    (run / "large.igs").write_bytes(repeated(found, times))
    many = stream.read((run / "large.igs").read_bytes())
    built = tables.build(many.gaussians, many.maps)
    parts = ", ".join(f"{name} {table.nbytes / MIB:.2f}" for name, table in built.arrays().items())
    print(
        f"{len(many.gaussians)} Gaussians, {large.name} texels wide: tables {built.nbytes / MIB:.2f} MiB ({parts})",
        flush=True,
    )
    results = _opened(args, large, run / "large.igs", run)
    what = f"memory, MiB, {large.name} x {found.gaussians.height * times}"
    what += f" (repeated {times} x {times}, {len(found.gaussians) * times**2} Gaussians)" if times > 1 else ""
    yield f"{what}: peak", {kind: max(r["opening"], r["rendering"]) / MIB for kind, r in results.items()}
    for key in ("before", "opening", "opened", "rendering"):
        yield f"    {key}", {kind: result[key] / MIB for kind, result in results.items()}


_PARTS: dict[str, Callable[..., Iterable[tuple[str, dict[str, float]]]]] = {
    "render": _render_rows, "eevee": _eevee_rows, "open": _open_rows, "memory": _memory_rows,
}  # fmt: skip


def repeated(found: stream.Stream, times: int) -> bytes:
    """The stream of a stack that shows this one times x times: as many Gaussians per texel."""
    g = found.gaussians
    every = g.take(np.tile(np.arange(len(g)), times**2))
    shift = np.stack(np.divmod(np.arange(times**2), times), axis=1).astype(np.float32).repeat(len(g), axis=0)
    every = replace(every, mean=(every.mean + shift) / times, width=g.width * times, height=g.height * times)
    return stream.write(every, [replace(m, width=m.width * times, height=m.height * times) for m in found.maps])


def _opened(args: argparse.Namespace, folder: Path, file: Path, run: Path) -> dict[str, dict[str, Any]]:
    results = {}
    for kind in args.kinds:
        blend = run / f"{folder.name} {kind}.blend"
        _child("save", folder=folder, stack=file, kind=kind, lod=args.lod, blend=blend)
        results[kind] = _child("open", blend=blend) | {"bytes": blend.stat().st_size}
    return results


def _child(task: str, **values: Any) -> Any:
    """What a task of render_scenes.py returns, from a process of its own: this one never imports bpy."""
    print(task, *(values[key] for key in ("engine", "scene", "kind", "blend") if key in values), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.json")
        script = Path(__file__).with_name("render_scenes.py")
        command = [sys.executable, str(script), task, json.dumps(values, default=str), str(result)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if not result.exists():
            sys.exit(f"{done.stdout}\n{task} ended with code {done.returncode}")
        return json.loads(result.read_text())


if __name__ == "__main__":
    main()
