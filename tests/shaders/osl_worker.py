"""Renders a stack with the OSL decoder, in a process of its own: compiling OSL wants Blender's own OpenImageIO, not PyPI's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import bpy
import numpy as np

ROOT = Path(__file__).resolve().parents[2]


def rendered(folder: Path, data: bytes, *jobs: str) -> list[dict[str, np.ndarray]]:
    """Output -> pixels of a .igs file for each job.

    jobs   a LOD; "0@3", where the finest that is held is 3; "tiles"; "many", as if Gaussians were too many for 16 bits;
           "reopened", as in a later session; "damaged", likewise, but with a stream that can't be read
    """
    (folder / "stack.igs").write_bytes(data)
    return _worked(folder, *jobs)


def ball(folder: Path, case: tuple[str, str, str]) -> np.ndarray:
    """The ball of test_projection; case: projection, coordinates, extension."""
    return _worked(folder, " ".join(case))[0]["color"]


def _worked(folder: Path, *jobs: str) -> list[dict[str, np.ndarray]]:
    command = [sys.executable, "-m", "tests.shaders.osl_worker", str(folder), *jobs]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    pictures = []
    for job in jobs:
        with np.load(folder / f"{job}.npz") as arrays:
            pictures.append(dict(arrays))
    return pictures


def main(folder: Path, jobs: list[str]) -> None:
    from imagegs_blender.blend.decoder import Decoder
    from imagegs_blender.blend.properties import OSL
    from imagegs_blender.shaders.decoder import set_kind
    from imagegs_blender.shaders.osl import script
    from imagegs_blender.workflow import rebuild
    from tests.blend.samples import made
    from tests.samples import HEIGHT, WIDTH

    from . import plane
    from .test_udim import TILES

    if " " in jobs[0]:
        from .test_projection import shot

        np.savez(folder / f"{jobs[0]}.npz", color=shot("CYCLES", folder, tuple(jobs[0].split()), OSL))
        return
    for job in jobs:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        plane.enable_cycles()
        level, _, detail = job.partition("@")
        data = (folder / "stack.igs").read_bytes()
        if job == "tiles":
            group = made(data, "UDIM", TILES)
            outputs = plane.stage(group.tree, 2 * TILES.width, 2 * TILES.height, window=(0.0, 0.0, 2.0))
        else:
            group = made(data)
            outputs = plane.stage(group.tree, WIDTH, HEIGHT, lod=float(level) if level[0].isdigit() else 0.0)
        script.SHORT = 0 if job == "many" else 1 << 16
        set_kind(group, OSL, detail=int(detail or 0))
        bpy.context.scene.cycles.shading_system = True
        if job in ("reopened", "damaged"):
            group.store(data if job == "reopened" else data[:-20] + bytes(20), group.record)
            path = folder / f"{job}.blend"
            bpy.ops.wm.save_as_mainfile(filepath=str(path))
            assert path.stat().st_size < 1 << 20, path.stat().st_size
            shutil.rmtree(Path(bpy.app.tempdir) / "imagegs")
            bpy.ops.wm.open_mainfile(filepath=str(path))
            group = Decoder(bpy.data.node_groups["Stack"])
            assert not group.is_whole()
            said = " ".join(rebuild.rebuild_tables())
            assert bool(said) == (job == "damaged"), said
            if said:
                assert said.startswith("Stack: damaged .igs stream: ")
                assert said.endswith("(it shows its average color)")
        assert group.is_whole() == (job != "damaged")
        np.savez(folder / f"{job}.npz", **plane.render("CYCLES", folder, outputs))


if __name__ == "__main__":
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    sys.path.insert(0, str(Path(bpy.utils.resource_path("LOCAL")) / "python" / "lib" / version / "site-packages"))
    main(Path(sys.argv[1]), sys.argv[2:])
    sys.stdout.flush()
    os._exit(0)
