"""Weigh by Render: how much each map of a material matters, from small renders of it in a Blender of its own.

A render's squared error is about the sum of the squared errors of its maps' planes, each times how sensitive the render is to
it. So these sensitivities are the weights with which a fit makes the render best.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator, Mapping
from pathlib import Path

import bpy

from ..core import files
from ..core.errors import ImageGSError, one_line
from ..core.textures.texture_stack import ColorSpace, Role
from ..scene import replace
from ..scene.material_stack import MapPlan, StackPlan

SCRIPT = Path(__file__).with_name("sensitivity_script.py")

LEAST = 0.02
"""Weight of a map that matters least, of the one that matters most: none is given up."""

SECONDS = 300.0
"""That the renders may take."""


class Sensitivity:
    """change   by map: the mean squared change of the render, 0..1, over that of a number of the map."""

    def __init__(self, stack: StackPlan, change: Mapping[str, float]) -> None:
        self._planes = {m.name: 2 if m.role is Role.NORMAL else len(m.channels) for m in stack.maps}
        self._change = dict(change)

    def weights(self) -> dict[str, float]:
        """By map: what the squared error of a plane of it counts; the largest is 1."""
        each = {name: change / self._planes[name] for name, change in self._change.items()}
        most = max(each.values())
        return {name: max(LEAST, weight / most) for name, weight in each.items()}

    def psnr(self, maps: Mapping[str, float | None]) -> float | None:
        """What a render comes to, dB, as the maps have these PSNR; None where one of them isn't known."""
        error = 0.0
        for name, change in self._change.items():
            decibels = maps.get(name)
            if decibels is None:
                return None
            error += change * 10 ** (-decibels / 10)
        return -10 * math.log10(error) if error > 0 else math.inf


def measured(stack: StackPlan) -> Generator[bool, None, Sensitivity]:
    """The sensitivity of the material that shows most of a stack's maps. Yields False while there is nothing to do but to wait.

    Raises ImageGSError where it can't be rendered, or the render shows none of the maps.
    """
    with files.temporary_folder() as folder:
        library, task, result = folder / "material.blend", folder / "task.json", folder / "result.json"
        material = _material(stack)
        with replace.originals_shown([material]):  # where it is compressed, and to be again
            bpy.data.libraries.write(str(library), {material}, path_remap="ABSOLUTE", fake_user=True)
        maps = [_told(m, material.name) for m in stack.maps]
        files.write(task, json.dumps({"material": material.name, "maps": maps}).encode())
        # A Blender that starts without extensions removes their packages from the person's folder, under the feet of this one.
        own = dict.fromkeys(("TMPDIR", "TEMP", "TMP", "BLENDER_USER_RESOURCES"), str(folder))
        with (folder / "log.txt").open("wb") as log:
            process = subprocess.Popen(
                [*_launcher(), str(library), str(task), str(result)], env={**os.environ, **own},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )  # fmt: skip
        end = time.monotonic() + SECONDS
        try:
            while process.poll() is None and time.monotonic() < end:
                yield False
        finally:
            process.kill()
            process.wait()
        try:
            change = json.loads(result.read_text("utf-8"))
        except (OSError, ValueError):
            words = (folder / "log.txt").read_text("utf-8", "replace").strip().splitlines()
            reason = one_line(words[-1]) if words else f"exit code {process.returncode}"
            raise ImageGSError(f"its maps can't be weighed by a render ({reason})") from None
    if not max(change.values()) > 0:
        raise ImageGSError("a render shows none of its maps, so it can't weigh them")
    return Sensitivity(stack, change)


def _launcher() -> list[str]:
    """The beginning of the command line: of Blender's program, or of this Python, which has it as a module."""
    if not bpy.app.binary_path:
        return [sys.executable, str(SCRIPT)]
    return [bpy.app.binary_path, "-b", "--factory-startup", "--python-exit-code", "1", "--python", str(SCRIPT), "--"]


def _material(stack: StackPlan) -> bpy.types.Material:
    """The one whose own nodes show most of the maps; the first of several."""
    shown = Counter(node.tree.name for m in stack.maps for node in m.nodes if node.tree.kind == "material")
    name = max(stack.materials, key=lambda name: shown[name])
    material = bpy.data.materials.get((name, None))
    if material is None:
        raise ImageGSError(f"{name}: the material was removed or renamed meanwhile; compress again")
    return material


def _told(info: MapPlan, material: str) -> dict[str, object]:
    """What the script has to know of a map; nodes of other materials are not in its file."""
    nodes = [(node.tree.kind, node.tree.name, node.node) for node in info.nodes]
    return {
        "name": info.name,
        "role": str(info.role),
        "channels": info.channels,
        "srgb": info.color_space is ColorSpace.SRGB,
        "deep": info.image.find().is_float,
        "nodes": [found for found in nodes if found[0] == "group" or found[1] == material],
    }
