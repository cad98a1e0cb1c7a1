"""What the tests in a real window have to do by: the mouse, the keyboard, screenshots, notes, and a clock that goes on.

A script runs inside of Blender, blender --python SCRIPT.py -- FOLDER SCENE.blend [TEXELS], imports this, and calls go() with
its steps. FOLDER gets the screenshots and result.txt, which ends with "passed" or a traceback. Needs xdotool and
ImageMagick's import on the screen that Blender is on.
"""

from __future__ import annotations

import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy

OUT, SCENE, *REST = sys.argv[sys.argv.index("--") + 1 :]
FOLDER = Path(OUT).resolve()


def package(name: str) -> Any:
    """A module of the add-on, whatever name Blender gave its package."""
    root = next(m for m in sys.modules if m.endswith("imagegs_blender"))
    return sys.modules[f"{root}.{name}"]


def viewport() -> tuple[bpy.types.Area, bpy.types.Region]:
    screen = bpy.context.window_manager.windows[0].screen
    area = next(area for area in screen.areas if area.type == "VIEW_3D")
    return area, next(region for region in area.regions if region.type == "UI")


def until(done: Callable[[], bool], seconds: float) -> Iterator[float]:
    start = time.perf_counter()
    while not done():
        assert time.perf_counter() - start < seconds, f"nothing came of it in {seconds} s"
        yield 0.2


def move(area: bpy.types.Area, region: bpy.types.Region, down: int, left: int = 0) -> None:
    """Put the mouse so many pixels below the top of the region, in its middle."""
    window = bpy.context.window_manager.windows[0]
    x, y = region.x + region.width // 2 + left, window.height - (region.y + region.height) + down
    xdotool("mousemove", str(x), str(y))
    time.sleep(0.4)


def click(area: bpy.types.Area, region: bpy.types.Region, down: int) -> None:
    move(area, region, down)
    xdotool("click", "1")


def drag(area: bpy.types.Area, region: bpy.types.Region, down: int, across: int) -> Iterator[float]:
    """Blender has to see each move: it is given time between them."""
    move(area, region, down, left=-60)
    yield 0.5
    yield from pull(across, 0.3)


def drag_in(region: bpy.types.Region, place: tuple[int, int], across: int) -> Iterator[float]:
    """Drag from a place in a region, pixels from its lower left."""
    window = bpy.context.window_manager.windows[0]
    xdotool("mousemove", str(region.x + int(place[0])), str(window.height - region.y - int(place[1])))
    yield 1
    yield from pull(across, 0.5)


def pull(across: int, rest: float) -> Iterator[float]:
    """Move the pointer with its button pressed, in steps of `rest` seconds."""
    xdotool("mousedown", "1")
    for _ in range(6):
        yield rest
        xdotool("mousemove_relative", "--", str(across // 6), "0")
    yield rest
    xdotool("mouseup", "1")


def key(keys: str) -> None:
    xdotool("key", keys)


def xdotool(*arguments: str) -> None:
    subprocess.run(["xdotool", *arguments], check=True)


def shot(name: str, place: str = "") -> None:
    """A picture of the screen, or of a place on it, "WIDTHxHEIGHT+X+Y"."""
    crop = ["-crop", place, "+repage"] if place else []
    subprocess.run(["import", "-window", "root", *crop, str(FOLDER / f"{name}.png")], check=True)


def note(text: str) -> None:
    with (FOLDER / "result.txt").open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")


def go(steps: Iterator[float]) -> None:
    """Take one step after the other; each says how many seconds to wait before the next. Then Blender ends."""

    def run() -> float | None:
        try:
            return next(steps)
        except StopIteration:
            note("passed")
        except BaseException:
            note(traceback.format_exc())
            shot("failed")
        bpy.ops.wm.quit_blender()
        return None

    bpy.app.timers.register(run, first_interval=1, persistent=True)
