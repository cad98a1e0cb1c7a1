"""By Render and By Camera: how much each map of a material matters, from small renders in a Blender of its own.

A render's squared error is about the sum of the squared errors of its maps' planes, each times how sensitive the render is to
it. So these sensitivities are the weights with which a fit makes the render best. What cameras see of a scene also tells where
in a texture errors show: hardly where it is far away, dark, or not seen at all.
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
import numpy as np

from ..blend import border
from ..blend.properties import FLAT
from ..core import files
from ..core.errors import ImageGSError, one_line
from ..core.textures.texture_stack import ColorSpace, Role
from ..scene import replace
from ..scene.material_stack import MapPlan, StackPlan

SCRIPT = Path(__file__).with_name("sensitivity_script.py")

LEAST = 0.02
"""Weight of a map that matters least, of the one that matters most: none is given up."""

LEAST_SEEN = 0.1
"""Weight of a texel that no camera sees, of the one that shows most: cameras move."""

SECONDS = 300.0
"""That the renders may take."""


class Sensitivity:
    """How much the parts of a stack matter to renders.

    change   by map: the mean squared change of the render, 0..1, over that of a number of the map
    texels   (n, n) float32 LEAST_SEEN..1, row 0 at the top: how much places in the texture count; None: all alike
    """

    def __init__(self, stack: StackPlan, change: Mapping[str, float], texels: np.ndarray | None = None) -> None:
        self._planes = {m.name: 2 if m.role is Role.NORMAL else len(m.channels) for m in stack.maps}
        self._change = dict(change)
        self.texels = texels

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


def measured(stack: StackPlan, weigh: str) -> Generator[bool, None, Sensitivity]:
    """The sensitivity of renders to a stack. Yields False while there is nothing to do but to wait.

    weigh   "render": of the material that shows most of its maps, on a sphere; "camera": of the open scene

    Raises ImageGSError where it can't be rendered, or the renders show none of the maps.
    """
    with files.temporary_folder() as folder:
        library, task, result = folder / "library.blend", folder / "task.json", folder / "result.json"
        materials = _materials(stack)
        scene = border.scene(bpy.context) if weigh == "camera" else None
        wanted: bpy.types.ID = materials[0] if scene is None else scene
        with replace.originals_shown(materials):  # where they are compressed, and to be again
            bpy.data.libraries.write(str(library), {wanted}, path_remap="ABSOLUTE", fake_user=True)
        files.write(task, json.dumps(_task(stack, materials, scene)).encode())
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
            while process.poll() is None:
                if time.monotonic() > end:
                    raise ImageGSError(f"a render to weigh its maps took more than {SECONDS:.0f} s")
                yield False
        finally:
            process.kill()
            process.wait()
        try:
            found = json.loads(result.read_text("utf-8"))
        except (OSError, ValueError):
            words = (folder / "log.txt").read_text("utf-8", "replace").strip().splitlines()
            reason = one_line(words[-1]) if words else f"exit code {process.returncode}"
            raise ImageGSError(f"its maps can't be weighed by a render ({reason})") from None
    if "error" in found:
        raise ImageGSError(found["error"])
    if not max(found["change"].values()) > 0:
        raise ImageGSError("a render shows none of its maps, so it can't weigh them")
    texels = None if found["texels"] is None else np.maximum(np.array(found["texels"], np.float32), LEAST_SEEN)
    return Sensitivity(stack, found["change"], texels)


def _launcher() -> list[str]:
    """The beginning of the command line: of Blender's program, or of this Python, which has it as a module."""
    if not bpy.app.binary_path:
        return [sys.executable, str(SCRIPT)]
    return [bpy.app.binary_path, "-b", "--factory-startup", "--python-exit-code", "1", "--python", str(SCRIPT), "--"]


def _materials(stack: StackPlan) -> list[bpy.types.Material]:
    """Those that show the stack; first the one whose own nodes show most of the maps."""
    shown = Counter(node.tree.name for m in stack.maps for node in m.nodes if node.tree.kind == "material")
    names = sorted(stack.materials, key=lambda name: -shown[name])
    found: list[bpy.types.Material] = []
    for name in names:
        material = bpy.data.materials.get((name, None))
        if material is None:
            raise ImageGSError(f"{name}: the material was removed or renamed meanwhile; compress again")
        found.append(material)
    return found


def _task(stack: StackPlan, materials: list[bpy.types.Material], scene: bpy.types.Scene | None) -> dict[str, object]:
    """What the script has to know. Of a node with a projection of its own, or tiles, a pixel doesn't tell its texel."""
    (sampling, *others) = stack.samplings
    return {
        "scene": scene and scene.name,
        "materials": [material.name for material in materials],
        "maps": [_told(m) for m in stack.maps],
        "repeats": stack.wrap,
        "has_places": sampling.projection == FLAT and not others and not stack.tiles and _in_materials(stack),
    }


def _in_materials(stack: StackPlan) -> bool:
    """Whether all nodes are in materials: in a group, only its users know the coordinates."""
    return all(node.tree.kind == "material" for node in stack.nodes)


def _told(info: MapPlan) -> dict[str, object]:
    return {
        "name": info.name,
        "role": str(info.role),
        "channels": info.channels,
        "srgb": info.color_space is ColorSpace.SRGB,
        "deep": info.image.find().is_float,
        "nodes": [(node.tree.kind, node.tree.name, node.node) for node in info.nodes],
    }
