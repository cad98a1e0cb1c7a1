"""What the campaign does with saving: a Blender without a window that saves a compressed file again and again, until killed."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SAVING = """
import sys, bpy, imagegs_blender
imagegs_blender.register()
bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
while True:
    bpy.context.scene.frame_end += 1
    bpy.ops.wm.save_mainfile(compress=True)
    print("saved", flush=True)
"""

OPENING = """
import os, sys, bpy, imagegs_blender
from imagegs_blender.blend.decoder import decoders
from imagegs_blender.workflow import rebuild
imagegs_blender.register()
bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
print("decoders", sum(d.is_whole(saved=False) for d in decoders()), "problems", len(rebuild.problems()), flush=True)
bpy.ops.wm.save_mainfile()
os._exit(0)
"""


def python(script: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", script, *map(str, arguments)]


def killed_while_saving(compressed: Path, chance: random.Random) -> tuple[bool, str]:
    """Save a copy until a random moment after its first save: whether the kill came in the middle; what it holds then."""
    path = compressed.with_name("saved.blend")
    shutil.copy(compressed, path)
    with subprocess.Popen(
        python(SAVING, path), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() not in ("saved", ""):
            pass
        time.sleep(chance.uniform(0, 0.2))
        process.kill()
    middle = path.with_name("saved.blend@").exists()
    if not path.exists():  # Blender renames the old file, then the new one: between these, only the old one has a name
        path.with_name("saved.blend1").rename(path)
    opened = subprocess.run(python(OPENING, path), cwd=ROOT, capture_output=True, text=True, timeout=120)
    found = next((line for line in opened.stdout.splitlines() if line.startswith("decoders")), opened.stderr[-300:])
    for old in path.parent.glob("saved.blend?*"):
        if old.suffix == ".blend1":
            old.unlink()
    return middle, found
