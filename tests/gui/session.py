"""A day with more than one window, inside of Blender: presets, two windows, originals shown, the exporter's dialog.

See hands.py for how it is called.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parent))

from hands import FOLDER, REST, SCENE, go, key, move, note, package, shot, until, viewport, xdotool

PRESETS = 128
"""Pixels from the top of the sidebar to the row of presets."""


def steps() -> Iterator[float]:
    """Yields the seconds to wait before going on."""
    yield 3
    bpy.ops.wm.open_mainfile(filepath=str(Path(SCENE).resolve()))
    yield 3
    for obj in bpy.context.scene.objects:
        obj.select_set(obj.type == "MESH")
    for image in [image for image in bpy.data.images if image.source == "FILE" and image.users]:
        image.scale(int(REST[0]), int(REST[0]))
    area, region = viewport()
    area.spaces.active.show_region_ui = True
    yield 3
    region.active_panel_category = "Image-GS"
    yield 3
    yield from presets(area, region)
    yield from two_windows(area, region)
    yield from originals(area, region)
    yield from dialog(area)


def presets(area: bpy.types.Area, region: bpy.types.Region) -> Iterator[float]:
    """Saved under a name that is typed, chosen from the menu, removed."""
    chosen = bpy.context.scene.imagegs
    chosen.preset, chosen.max_kilobytes = "fast", 60
    yield 1
    yield from press(area, region, 71)
    xdotool("mousemove_relative", "--", "-40", "9")  # the name's field
    yield 1
    xdotool("click", "1")
    yield 1
    xdotool("type", "For Web")
    yield 1
    shot("1_preset_name")
    key("Return")
    yield 1
    key("Return")
    yield 2
    (file,) = Path(bpy.utils.user_resource("SCRIPTS", path="presets/imagegs")).glob("*.py")
    note(f"preset {file.name}, in the menu {bpy.types.IMAGEGS_MT_presets.bl_label}")
    chosen.preset, chosen.max_kilobytes = "high", 500
    yield 1
    yield from press(area, region, -30)
    shot("2_preset_menu")
    key("Down")
    yield 1
    key("Return")
    yield from until(lambda: chosen.preset == "fast", 10)
    assert chosen.max_kilobytes == 60
    shot("3_preset_chosen")
    yield from press(area, region, 92)
    yield from until(lambda: not file.exists(), 10)
    yield 1
    shot("4_preset_removed")


def press(area: bpy.types.Area, region: bpy.types.Region, left: int) -> Iterator[float]:
    """Click into the row of presets, so many pixels right of its middle."""
    move(area, region, PRESETS, left)
    yield 1
    xdotool("click", "1")
    yield 2


def two_windows(area: bpy.types.Area, region: bpy.types.Region) -> Iterator[float]:
    """Pressed in one, shown in both."""
    manager = bpy.context.window_manager
    with bpy.context.temp_override(window=manager.windows[0], area=area, region=region):
        bpy.ops.wm.window_new()
    yield 4
    assert len(manager.windows) == 2
    other = next(a for a in manager.windows[1].screen.areas if a.type == "VIEW_3D")
    other.spaces.active.show_region_ui = True
    yield 2
    next(r for r in other.regions if r.type == "UI").active_panel_category = "Image-GS"
    yield 3
    shot("5_two_windows")
    work = package("workflow.run")
    with bpy.context.temp_override(window=manager.windows[0], area=area, region=region):
        assert bpy.ops.imagegs.compress("INVOKE_DEFAULT") == {"RUNNING_MODAL"}
    yield from until(lambda: work.current is not None and work.current.psnr is not None, 300)
    yield 2
    shot("6_two_windows_running")
    yield from until(lambda: work.current is None, 600)
    yield 6
    shot("7_two_windows_compressed")
    with bpy.context.temp_override(window=manager.windows[1]):
        bpy.ops.wm.window_close()
    yield 2
    assert len(decoders()) == 1


def originals(area: bpy.types.Area, region: bpy.types.Region) -> Iterator[float]:
    """Shown and not shown, and all is as it was."""
    as_images, before = package("workflow.as_images"), links()
    for shown in (True, False):
        with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area, region=region):
            assert bpy.ops.imagegs.show_originals("INVOKE_DEFAULT") == {"FINISHED"}
        assert as_images.shows_originals(bpy.data.materials) == shown
        yield 6
        shot("8_originals" if shown else "9_gaussians")
    assert links() == before


def dialog(area: bpy.types.Area) -> Iterator[float]:
    """The maps are decoded while the exporter's dialog is open."""
    as_images = package("workflow.as_images")
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area):
        bpy.ops.export_scene.gltf("INVOKE_DEFAULT")
    yield from until(lambda: bool(as_images._bakings) and all(b.done for b in as_images._bakings.values()), 60)
    yield 1
    shot("10_gltf_dialog")
    key("Escape")
    yield 2
    assert bpy.ops.export_scene.gltf(filepath=str(FOLDER / "scene.glb")) == {"FINISHED"}


def links() -> list[tuple[str, str]]:
    trees = [material.node_tree for material in bpy.data.materials if material.node_tree]
    return sorted((link.from_node.name, link.to_socket.name) for tree in trees for link in tree.links)


def decoders() -> list[Any]:
    return package("blend.decoder").decoders()


go(steps())
