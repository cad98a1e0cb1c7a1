"""Runs inside Blender with its window: opens the tea set, presses the button by mouse, and checks the data after each step.

    blender --python tests/gui/drive.py -- FOLDER SCENE.blend [TEXELS]

FOLDER gets the screenshots and result.txt, which ends with "passed" or a traceback. TEXELS: textures are scaled to this
size first, for a quick run. Needs xdotool and ImageMagick's import on the screen that Blender is on.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from hands import (
    FOLDER,
    REST,
    SCENE,
    click,
    drag,
    drag_in,
    go,
    key,
    move,
    note,
    package,
    shot,
    until,
    viewport,
)

BUTTON, LOD = 97, 306
"""Pixels from the top of the sidebar to the big button, and to the LOD slider of a compressed selection."""

DEADLINE = 1500


def steps() -> Iterator[float]:
    """Yields the seconds to wait before going on."""
    yield 3
    bpy.ops.wm.open_mainfile(filepath=str(Path(SCENE).resolve()))
    yield 3
    area, region = viewport()
    for obj in bpy.context.scene.objects:
        obj.select_set(obj.type == "MESH")
    if REST:
        for image in used_images():
            image.scale(int(REST[0]), int(REST[0]))
    area.spaces.active.show_region_ui = True
    yield 3
    region.active_panel_category = "Image-GS"
    bpy.context.scene.imagegs.preset = "fast"
    bpy.context.scene.imagegs.max_kilobytes = 60
    before = links()
    yield 3
    shot("1_panel")
    bpy.context.scene.imagegs_scope = "ACTIVE"
    bpy.context.view_layer.objects.active = next(o for o in bpy.context.scene.objects if o.type == "MESH")
    yield 2
    shot("1_panel_active")
    bpy.context.scene.imagegs_scope = "SELECTED"
    yield 2

    press = package("workflow.run")
    click(area, region, BUTTON)
    yield from until(lambda: press.current is not None, 20)
    assert not bpy.ops.imagegs.compress.poll(), "a second press while running is refused"
    yield 4
    move(area, region, 500)
    stopping, close = [], press.Run.close
    press.Run.close = lambda run: [
        stopping.append(time.perf_counter()),
        close(run),
        stopping.append(time.perf_counter()),
    ]
    started = time.perf_counter()
    key("Escape")
    yield from until(lambda: press.current is None, 10)
    press.Run.close = close
    note(
        f"cancelled: the key was seen after {stopping[0] - started:.2f} s, the fit ended after {stopping[1] - started:.2f} s"
    )
    assert links() == before and not decoders(), "cancelling changes nothing"

    bpy.context.scene.imagegs.weigh = "CAMERA"  # the program that has this window renders the scene in another process
    click(area, region, BUTTON)
    yield from until(lambda: press.current is not None and "weigh" in press.current.phase, 60)
    yield 1
    shot("2_weighing")
    yield from until(lambda: press.current is not None and press.current.psnr is not None, 300)
    yield 1
    shot("2_running")
    yield from until(lambda: press.current is None, DEADLINE)
    (decoder,) = decoders()
    assert all(link[0].startswith(("Group", "Image-GS")) or "Image" not in link[0] for link in links()), links()
    yield 15
    shot("3_compressed")
    check_tables(decoder)
    yield from save_quietly(area)

    move(area, region, 500, left=-300)
    key("ctrl+z")
    yield from until(lambda: not decoders(), 20)
    assert links() == before, "undo brings every link back"
    key("ctrl+shift+z")
    yield from until(lambda: len(decoders()) == 1, 20)
    check_tables(decoders()[0])
    yield 10

    area, region = viewport()
    yield from drag(area, region, LOD, 60)
    yield 3
    lods = [node.inputs["LOD"].default_value for node in decoder_nodes()]
    note(f"LOD {lods}")
    assert lods and all(value > 0 for value in lods), "the slider moves the LOD"
    shot("4_lod")
    bpy.context.scene.imagegs.lod = 0
    yield from follow_the_engine()

    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area, region=region):
        assert bpy.ops.imagegs.compare() == {"FINISHED"}
    pair = package("workflow.comparison").current
    note(f"{pair.map}: {pair.psnr:.2f} dB")
    assert pair.psnr > 20
    yield 5
    editor = next(a for a in bpy.context.window_manager.windows[0].screen.areas if a.type == "IMAGE_EDITOR")
    sidebar = next(r for r in editor.regions if r.type == "UI")
    canvas = next(r for r in editor.regions if r.type == "WINDOW")
    for _ in range(10):  # a busy computer draws late
        if sidebar.active_panel_category == "Image-GS":
            break
        yield 5
    assert sidebar.active_panel_category == "Image-GS", "the comparison's tab is shown"
    check_fitted(canvas)
    shot("5_split")
    settings = bpy.context.scene.imagegs_compare
    place = canvas.view2d.view_to_region(settings.divider, 0.5, clip=False)
    yield from drag_in(canvas, place, 90)
    yield 3
    note(f"divider {settings.divider:.2f}")
    assert settings.divider > 0.52, "the divider follows the mouse in the picture"
    shot("5_split_dragged")
    for number, view in enumerate(("DIFFERENCE", "ELLIPSES")):
        bpy.context.scene.imagegs_compare.view = view
        yield 4
        check_fitted(canvas)
        shot(f"{6 + number}_{view.lower()}")

    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area, region=region):
        assert bpy.ops.imagegs.restore() == {"FINISHED"}
    assert links() == before and not decoders(), "restoring brings every link back"
    yield 8
    shot("8_restored")

    path = str(FOLDER / "saved.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path, copy=True)
    assert not [image.name for image in bpy.data.images if image.is_dirty and not REST], (
        "nothing to ask about at the end"
    )
    area, region = viewport()
    click(area, region, BUTTON)  # and Blender quits while it runs
    yield from until(lambda: press.current is not None and press.current.psnr is not None, 300)
    note("quitting while a fit runs")


def check_fitted(canvas: bpy.types.Region) -> None:
    """The whole picture is seen, and as large as it can be."""
    corners = [canvas.view2d.view_to_region(x, y, clip=False) for x, y in ((0, 0), (1, 1))]
    (left, low), (right, high) = corners
    note(f"the picture is at {corners}, in an editor of {canvas.width} x {canvas.height}")
    assert left >= -2 and low >= -2 and right <= canvas.width + 2 and high <= canvas.height + 2, "it is fitted"
    assert max((right - left) / canvas.width, (high - low) / canvas.height) > 0.8, "it is fitted"


def save_quietly(area: bpy.types.Area) -> Iterator[float]:
    """Saving takes what is derived out of the file and back: nothing of that is seen in the viewport."""
    region = next(region for region in area.regions if region.type == "WINDOW")
    height = bpy.context.window_manager.windows[0].height
    half = (region.width // 2, region.height // 2)  # its left part: no sidebar, no words that change
    place = f"{half[0]}x{half[1]}+{region.x + 60}+{height - region.y - region.height + 120}"
    shot("save_before", place)
    started = time.perf_counter()
    bpy.ops.wm.save_as_mainfile(filepath=str(FOLDER / "lean.blend"), copy=True)
    note(f"saved in {time.perf_counter() - started:.2f} s")
    for number, rest in enumerate((0.05, 0.5, 2.0)):
        yield rest
        shot(f"save_{number}", place)
        done = subprocess.run(
            ["compare", "-metric", "AE", "-fuzz", "3%", FOLDER / "save_before.png", FOLDER / f"save_{number}.png", "null:"],
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode in (0, 1), done.stderr
        assert float(done.stderr.split()[0]) < 50, f"the viewport flickers: {done.stderr} pixels change"
    for file in FOLDER.glob("save_*.png"):
        file.unlink()


def used_images() -> list[bpy.types.Image]:
    return [image for image in bpy.data.images if image.source == "FILE" and image.users]


def links() -> list[tuple[str, str, str, str]]:
    return sorted(
        (link.from_node.name, link.from_socket.identifier, link.to_node.name, link.to_socket.identifier)
        for material in bpy.data.materials
        if material.node_tree
        for link in material.node_tree.links
    )


def decoders() -> list[Any]:
    return package("blend.decoder").decoders()


def decoder_nodes() -> list[bpy.types.Node]:
    decoder = package("blend.decoder")
    trees = [material.node_tree for material in bpy.data.materials if material.node_tree]
    return [node for tree in trees for node in decoder.decoder_nodes(tree)]


def follow_the_engine() -> Iterator[float]:
    """Auto decides anew when a scene gets another engine: images, and nodes where no memory is left for them."""
    scene, auto_kind = bpy.context.scene, package("workflow.auto_kind")
    engine, share = scene.render.engine, auto_kind.SHARE
    assert [(decoder.is_auto, decoder.kind) for decoder in decoders()] == [(True, "BAKED")]
    auto_kind.SHARE, scene.render.engine = 0.0, "CYCLES"
    yield from until(lambda: decoders()[0].kind == "NODES", 20)
    yield 2
    shot("4_nodes")
    auto_kind.SHARE, scene.render.engine = share, engine
    yield from until(lambda: decoders()[0].kind == "BAKED", 20)
    yield 2


def check_tables(decoder: Any) -> None:
    for image in decoder.table_images().values():
        texels = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(texels)
        assert texels.any(), f"{image.name} is empty"


go(steps())
