"""Kill fits and batches at random moments, fill the disk, and see what is left: python -m tests.crash.campaign [--kills 60]

Needs Linux, and a Python with bpy for the batches. Prints a line for each kind; exit code 1 where anything was lost, partial or
left lying about. docs/reliability.md has the figures of the last run.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.igs import stream
from imagegs_blender.core.process.job import Job
from imagegs_blender.core.process.worker import Worker
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.core.textures import texture_stack
from imagegs_blender.core.textures.texture_stack import ColorSpace, Depth, Role, SourceMap
from tests.crash.overnight import Lost, overnight, require
from tests.crash.saving import killed_while_saving
from tests.library import compile_kernels
from tests.samples import picture

ROOT = Path(__file__).resolve().parents[2]
FIT = [
    "--num-gaussians",
    "120",
    "--max-steps",
    "300",
    "--preset",
    "fast",
    "--save-ckpt-steps",
    "20",
    "--quiet",
    "--device",
    "cpu",
]
SCENE = """
import sys, bpy
bpy.ops.wm.read_homefile(use_empty=True)
bpy.ops.mesh.primitive_plane_add()
material = bpy.data.materials.new("wall")
material.use_nodes = True
texture = material.node_tree.nodes.new("ShaderNodeTexImage")
texture.image = bpy.data.images.load(sys.argv[1])
shader = next(node for node in material.node_tree.nodes if node.bl_idname == "ShaderNodeBsdfPrincipled")
material.node_tree.links.new(texture.outputs["Color"], shader.inputs["Base Color"])
bpy.context.object.data.materials.append(material)
bpy.ops.wm.save_as_mainfile(filepath=sys.argv[2])
import os; os._exit(0)
"""


def command(module: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", module, *map(str, arguments)]


def run(arguments: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=300, **options)  # type: ignore[call-overload]


def killed(arguments: list[str], after: float) -> bool:
    """Start a program and kill it after so many seconds; whether it was still running."""
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        time.sleep(after)
        running = process.poll() is None
        process.kill()
    return running


def seconds_of(arguments: list[str]) -> float:
    started = time.monotonic()
    done = run(arguments)
    require(done.returncode == 0, done.stderr)
    return time.monotonic() - started


def litter(folder: Path) -> list[str]:
    """Hidden and temporary files below a folder."""
    return [path.name for path in folder.rglob("*") if path.name.startswith(".") or "imagegs-" in path.name]


def fits(folder: Path, kills: int, chance: random.Random) -> int:
    """Killed, then gone on from the last checkpoint: the same bytes as one that was left alone."""
    Image.fromarray(picture(64)).save(folder / "a.png")

    def fit(name: str, *more: str) -> list[str]:
        return command(
            "imagegs_blender.core", "fit", folder / "a.png", "--log-root", folder, "--exp-name", name, *FIT, *more
        )

    whole = seconds_of(fit("whole"))
    expected, hits = (folder / "whole/result.igs").read_bytes(), 0
    for number in range(kills):
        name = f"run{number}"
        hits += killed(fit(name), chance.uniform(0.3, 1.0) * whole)
        result = folder / name / "result.igs"
        require(not result.exists() or result.read_bytes() == expected, f"{name}: a part of a result")
        done = run(fit(name, "--resume"))
        if "no checkpoint to resume" in done.stderr:  # killed before the first: begun anew
            shutil.rmtree(folder / name, ignore_errors=True)
            done = run(fit(name))
        require(done.returncode == 0, f"{name}: {done.stderr}")
        require(result.read_bytes() == expected, f"{name}: other bytes after a resume")
        require(not litter(folder / name), f"{name}: {litter(folder / name)}")
        shutil.rmtree(folder / name)
    return hits


def scene(folder: Path) -> Path:
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray((picture(64) * 0.8 + noise * 0.2).astype(np.uint8)).save(folder / "wall.png")
    done = run([sys.executable, "-c", SCENE, str(folder / "wall.png"), str(folder / "in.blend")])
    require((folder / "in.blend").exists(), done.stderr)
    return folder / "in.blend"


def convert(source: Path, output: Path) -> list[str]:
    options = ["--preset", "fast", "--bpp", "16", "--even-if-not-smaller", "--quiet", "--device", "cpu"]
    return command("imagegs_blender.batch", source, "--output", output, "--overwrite", *options)


def batches(folder: Path, kills: int, chance: random.Random) -> int:
    """Killed while it reads, fits or saves: the input as it was, no part of an output, nothing left after the next run."""
    source, output, hits = scene(folder), folder / "out.blend", 0
    before = {path: path.read_bytes() for path in folder.iterdir()}
    whole = seconds_of(convert(source, output))
    output.unlink()
    for number in range(kills):
        hits += killed(convert(source, output), chance.uniform(0.3, 1.0) * whole)
        require(all(path.read_bytes() == data for path, data in before.items()), "an input was changed")
        if output.exists():
            require(is_whole(output), f"kill {number}: a part of an output")
            output.unlink()
        if number % 5 == 4:
            done = run(convert(source, output))
            require(done.returncode == 0 and is_whole(output), f"run after kill {number}: {done.stderr}")
            output.unlink()
            require({*folder.iterdir()} == {*before}, f"left over: {litter(folder)}")
    return hits


def is_whole(path: Path) -> bool:
    """A .blend that is compressed ends with the magic number of zstd's seek table."""
    return path.read_bytes()[-4:] == b"\xb1\xea\x92\x8f"


def full_disks(folder: Path, kills: int, chance: random.Random) -> int:
    """Files can't grow beyond a size: one line, and no part of a result."""
    Image.fromarray(picture(64)).save(folder / "a.png")
    fit = command(
        "imagegs_blender.core", "fit", folder / "a.png", "-o", folder / "a.igs", "--overwrite", *FIT[:6], "--quiet",
        "--device", "cpu",
    )  # fmt: skip
    require(run(fit).returncode == 0, "the fit itself")
    size, hits = (folder / "a.igs").stat().st_size, 0
    old = b"an older file"
    for _ in range(kills):
        (folder / "a.igs").write_bytes(old)
        most = chance.randrange(64, size)  # below that, semaphores can't be made, which are no files of ours

        def limit(most: int = most) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

        done = run(fit, preexec_fn=limit)
        hits += done.returncode == 1
        is_said = done.returncode == 1 and done.stderr.count("\n") == 1 and "exists already" not in done.stderr
        require(is_said, f"exit {done.returncode}: {done.stderr}")
        require((folder / "a.igs").read_bytes() == old and not litter(folder), f"at {most} bytes")
    return hits


def two_at_once(folder: Path, kills: int, chance: random.Random) -> int:
    """Two fits write one output: it is one of them, whole."""
    Image.fromarray(picture(48)).save(folder / "a.png")
    output, hits = folder / "a.igs", 0
    for number in range(max(1, kills // 10)):
        both = []
        for count in (60, 90):
            options = ["--num-gaussians", count, "--max-steps", 40, "--preset", "fast", "--quiet", "--device", "cpu"]
            fit = ["fit", folder / "a.png", "-o", output, "--overwrite", *options]
            arguments = command("imagegs_blender.core", *fit)
            both.append(subprocess.Popen(arguments, cwd=ROOT))
            time.sleep(chance.uniform(0, 0.2))
        require(all(process.wait() == 0 for process in both), f"pair {number}")
        require(stream.read(output.read_bytes()).head.count in (60, 90), f"pair {number}: neither of them")
        require(not litter(folder), f"pair {number}: {litter(folder)}")
        hits += 1
    return hits


def savings(folder: Path, kills: int, chance: random.Random) -> int:
    """Blender is killed while it saves: the file opens, old or new, with its decoder; after the next save nothing is left."""
    source, output = scene(folder), folder / "out.blend"
    require(run(convert(source, output)).returncode == 0, "the conversion itself")
    before, hits = {*folder.iterdir()}, 0
    for number in range(kills):
        middle, found = killed_while_saving(output, chance)
        hits += middle
        require(found == "decoders 1 problems 0", f"kill {number}: {found}")
        left = {*folder.iterdir()} - before - {folder / "saved.blend"}
        require(not left, f"kill {number}: left over: {left}")
    return hits


def workers(folder: Path, kills: int, chance: random.Random) -> int:
    """The process that fits is killed: one fit fails with one line, and the next is done to the same bytes."""
    stack = texture_stack.build([SourceMap("a", Role.COLOR, ColorSpace.SRGB, Depth.U8, "RGB", picture(64))])
    settings = replace(FitSettings.preset("fast"), bpp=None, num_gaussians=80, max_steps=400, device="cpu")
    hits = 0
    with Worker() as worker:
        whole, started = fitted(worker, Job(stack, settings)), time.monotonic()
        require(fitted(worker, Job(stack, settings)) == whole, "other bytes")
        seconds = time.monotonic() - started  # with kernels compiled
        for number in range(kills):
            first, second = Job(stack, settings), Job(stack, settings)
            worker.add(first)
            worker.add(second)
            end = time.monotonic() + chance.uniform(0, 1.0) * seconds
            while time.monotonic() < end:
                worker.listen()
                time.sleep(0.005)
            child = worker._child
            assert child is not None
            child._process.kill()  # what a system does that is short of memory
            child._reader.join()
            results = [fitted(worker, job) for job in (first, second)]
            hits += any(isinstance(result, str) for result in results)
            require(sum(isinstance(result, str) for result in results) <= 1, f"kill {number}: {results}")
            require(all(r == whole for r in results if isinstance(r, bytes)), f"kill {number}: other bytes")
            require(
                all("was ended by signal 9" in r for r in results if isinstance(r, str)), f"kill {number}: {results}"
            )
            require(not first.folder.exists() and not second.folder.exists(), f"kill {number}: left over")
    return hits


def fitted(worker: Worker, job: Job) -> bytes | str:
    """The bytes of a job's stream, or why it failed."""
    if not job.done and job not in worker._jobs:
        worker.add(job)
    while not job.done:
        worker.listen()
        time.sleep(0.005)
    try:
        return job.result().data
    except ImageGSError as error:
        return str(error)


def nights(folder: Path, kills: int, chance: random.Random) -> int:
    """A third of the kills, in a batch of ten good files for each of them, and of broken ones: see overnight."""
    kills = max(1, kills // 3)
    hits = overnight(folder, kills, chance, files=10 * kills, pause=40, timeout=90)
    print(f"  killed: {', '.join(f'{count} of a {kind}' for kind, count in sorted(hits.items()))}")
    return sum(hits.values())


KINDS: dict[str, Callable[[Path, int, random.Random], int]] = {
    "fits": fits, "batches": batches, "full disks": full_disks, "two at once": two_at_once,
    "savings": savings, "workers": workers, "nights": nights,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60, help="of each kind (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (%(default)s)")
    parser.add_argument("--only", choices=KINDS, help="one kind")
    args = parser.parse_args()
    failed = False
    compile_kernels()  # or what takes seconds takes minutes the first time
    for name in [args.only] if args.only else KINDS:
        with tempfile.TemporaryDirectory() as folder:
            started = time.monotonic()
            try:
                hits = KINDS[name](Path(folder), args.kills, random.Random(args.seed))
                print(
                    f"{name}: {args.kills} tries, {hits} of them in the middle, nothing lost, {time.monotonic() - started:.0f} s"
                )
            except Lost as error:
                failed = True
                print(f"{name}: FAILED, {error}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
