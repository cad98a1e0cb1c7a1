"""The button as a script or a panel presses it: settings, cancelling, pressing again, and everything that can be wrong."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import bpy
import pytest

import imagegs_blender
from imagegs_blender.blend.decoder import decoders
from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.process import job
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.scene.material_stack import Plan
from imagegs_blender.ui import panel  # noqa: F401  (imported as Blender does)
from imagegs_blender.workflow import forecast, run, selection, summary
from imagegs_blender.workflow.compress import Phase, Update, planned, steps
from imagegs_blender.workflow.notices import Severity
from tests.workflow import scene

pytestmark = pytest.mark.usefixtures("addon")
ROOT = Path(__file__).resolve().parents[2]
SETTINGS = FitSettings.preset("fast", num_gaussians=40)


@pytest.fixture
def square(tmp_path: Path) -> bpy.types.Object:
    return scene.plane("square", tmp_path)


def test_the_scenes_settings_decide(square: bpy.types.Object) -> None:
    chosen = bpy.context.scene.imagegs
    chosen.preset, chosen.rate, chosen.max_kilobytes = "fast", "SIZE", 1.0
    guess = forecast.estimate(forecast.plan(selection.materials([square])), chosen.fit_settings())
    assert guess.bytes == 1000 and guess.seconds > 0
    assert bpy.ops.imagegs.compress() == {"FINISHED"}
    (decoder,) = decoders()
    record = decoder.record
    assert record.settings["max_bytes"] == 1000 and len(decoder.data) <= 1000
    s = summary.of(decoder)
    assert s.before.disk == sum(Path(bpy.path.abspath(i.filepath)).stat().st_size for i in images())
    assert s.before.memory == 2 * 32 * 32 * 4 and s.after.disk == len(decoder.data)
    text = summary.text([decoder])
    assert "square color (basecolor)" in text and f"{s.psnr:.2f} dB" in text
    assert summary.saved([decoder]) == max(0, s.before.disk - s.after.disk)
    assert summary.memory_text(bpy.context.scene).startswith("Texture memory of Scene: images 0 KB, decoders ")
    assert bpy.ops.imagegs.copy_report() == {"FINISHED"}


def test_recompress_starts_from_the_originals(square: bpy.types.Object) -> None:
    before = scene.state()
    bpy.ops.imagegs.compress(preset="fast", bpp=4.0)
    (first,) = decoders()
    small, name = first.data, first.name
    bpy.ops.imagegs.recompress(preset="fast", bpp=12.0)
    (second,) = decoders()
    assert len(second.data) > 1.5 * len(small)
    assert bpy.ops.imagegs.restore() == {"FINISHED"}
    assert scene.state() == before, name


def test_a_latecomer_that_shares_an_image_is_told_and_can_join(square: bpy.types.Object, tmp_path: Path) -> None:
    bpy.ops.imagegs.compress(preset="fast", bpp=16.0, even_if_not_smaller=True)
    (first,) = decoders()
    late = scene.plane("late", tmp_path)
    shader = late.active_material.node_tree.nodes["Principled BSDF"]
    node = shader.inputs["Base Color"].links[0].from_node
    node.image = bpy.data.images["square color"]
    (plan,) = forecast.plan(selection.materials([late])).stacks
    assert [note for note in forecast.notes(plan) if first.name in note and "Recompress" in note]
    square.select_set(True)
    assert bpy.ops.imagegs.recompress(preset="fast", bpp=16.0) == {"FINISHED"}
    (together,) = decoders()
    assert set(together.record.originals) == {"square color", "square rough", "late rough"}


def test_a_cancelled_recompression_leaves_the_decoder(square: bpy.types.Object) -> None:
    bpy.ops.imagegs.compress(preset="fast", bpp=4.0)
    for node in square.active_material.node_tree.nodes:
        if "LOD" in node.inputs:
            node.inputs["LOD"].default_value = 1.5
    before = scene.state()
    work = run.Run(planned([square.active_material], again=True), SETTINGS, again=True)
    while work.update is None or work.update.progress is None:
        assert work.advance() is None
    work.close()
    assert scene.state() == before


def test_several_materials_change_together_or_not_at_all(square: bpy.types.Object, tmp_path: Path) -> None:
    scene.plane("other", tmp_path)
    before = scene.state()
    work = run.Run(planned(selection.materials(bpy.data.objects)), SETTINGS)
    while work.update is None or work.update.phase is not Phase.BUILDING:
        assert work.advance() is None
        if work.update is not None and work.update.phase is not Phase.BUILDING:
            assert scene.state() == before
    assert 0.5 <= work.whole < 1, "the fits are done, one of two decoders is built"
    work.close()
    assert scene.state() == before, "closed while decoders were being built"


def test_a_killed_worker_says_so_and_the_file_stays(square: bpy.types.Object) -> None:
    before = scene.state()
    seen = []

    def kill(update: Update) -> None:
        if update.progress is not None and not seen:
            (child,) = children()
            seen.append(child)
            os.kill(child, signal.SIGKILL)

    slow = FitSettings.preset("high", num_gaussians=200)
    outcome = run.compress(planned([square.active_material]), slow, kill)
    assert seen and not outcome.done
    (failed,) = outcome.of(Severity.ERROR)
    assert "ended by signal 9" in failed.text and "nothing was changed" in failed.text
    assert scene.state() == before


@pytest.mark.parametrize("gone", ["material", "object", "image"])
def test_what_vanishes_during_a_fit_ends_it_cleanly(square: bpy.types.Object, gone: str) -> None:
    running = steps(planned([square.active_material]), SETTINGS)
    while (update := next(running)).progress is None:
        pass
    if gone == "material":
        bpy.data.materials.remove(square.active_material)
    elif gone == "object":
        bpy.data.objects.remove(square)
    else:
        bpy.data.images.remove(bpy.data.images["square rough"])
    outcome = None
    while outcome is None:
        try:
            update = next(running)
        except StopIteration as end:
            outcome = end.value
    assert update is not None
    if gone == "object":
        assert len(outcome.done) == 1, "its material is still there"
    else:
        assert "removed or renamed meanwhile" in outcome.of(Severity.ERROR)[0].text and not decoders()


def test_opening_another_file_stops_the_run(square: bpy.types.Object, tmp_path: Path) -> None:
    work = run.start(planned([square.active_material]), SETTINGS)
    while work.update is None or work.update.progress is None:
        work.advance()
    (child,) = children()
    bpy.ops.wm.read_homefile(use_empty=True)
    assert run.current is None and not children(), child


def test_saving_during_a_run_saves_the_file_as_it_was(square: bpy.types.Object, tmp_path: Path) -> None:
    before = scene.state()
    work = run.Run(planned([square.active_material]), SETTINGS)
    while work.update is None or work.update.progress is None:
        assert work.advance() is None
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "meanwhile.blend"))
    outcome = None
    while outcome is None:
        outcome = work.advance()
    assert len(outcome.done) == 1, "and goes on"
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "meanwhile.blend"))
    assert scene.state() == before


def test_a_full_temporary_folder_is_said(square: bpy.types.Object, monkeypatch: pytest.MonkeyPatch) -> None:
    before = scene.state()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(job, "_save", full)
    with pytest.raises(
        RuntimeError, match=r"the fit's input can't be written \(No space left on device\); free some space"
    ):
        bpy.ops.imagegs.compress(preset="fast", bpp=16.0, even_if_not_smaller=True)
    assert scene.state() == before and not children()


@pytest.mark.parametrize("end", ["sys.exit()", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_no_process_outlives_blender(square: bpy.types.Object, tmp_path: Path, end: str) -> None:
    """However it ends: no operator and no handler is asked when it crashes."""
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "square.blend"))
    script = f"""
import os, signal, sys
import bpy
import imagegs_blender
from imagegs_blender.workflow import run, selection
from imagegs_blender.workflow.compress import planned
from imagegs_blender.core.settings import FitSettings
from tests.operators.test_compress import children
bpy.ops.wm.open_mainfile(filepath={str(tmp_path / "square.blend")!r})
imagegs_blender.register()
plan = planned(selection.materials(bpy.data.objects))
work = run.start(plan, FitSettings.preset("high", num_gaussians=300, max_steps=100_000))
while work.update is None or work.update.progress is None:
    work.advance()
print("child", *children(), flush=True)
{end}
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("child ")]
    child = Path("/proc", line.split()[1])
    deadline = time.monotonic() + 60
    while child.exists():
        assert time.monotonic() < deadline, "the fit's process goes on"
        time.sleep(0.1)


def test_buttons_say_why_they_are_gray(square: bpy.types.Object) -> None:
    operators = bpy.ops.imagegs
    assert operators.compress.poll() and not operators.cancel.poll()
    for later in (operators.restore, operators.recompress, operators.drop_originals, operators.compare, operators.bake):
        assert not later.poll()
    assert not operators.copy_report.poll() and not operators.make_local.poll()
    square.select_set(False)
    with pytest.raises(RuntimeError, match="Select objects that have materials"):
        operators.compress()
    empty = bpy.data.objects.new("empty", None)
    bpy.context.scene.collection.objects.link(empty)
    empty.select_set(True)
    with pytest.raises(RuntimeError, match="Select objects that have materials"):
        operators.compress()
    square.select_set(True)
    work = run.start(Plan((), ()), SETTINGS)
    with pytest.raises(RuntimeError, match="A compression is running"):
        operators.compress()
    assert operators.cancel() == {"FINISHED"} and work.stopping
    run.end()


def test_bad_input_is_said_and_changes_nothing(square: bpy.types.Object, tmp_path: Path) -> None:
    (tmp_path / "square rough.png").unlink()
    bpy.data.images["square rough"].reload()
    outcome = run.compress(planned([square.active_material]), SETTINGS)
    reasons = [str(s) for s in outcome.plan.skipped]
    assert any("file not found" in r and "relink it" in r for r in reasons), reasons
    bpy.ops.imagegs.restore()
    before = scene.state()
    chosen = bpy.context.scene.imagegs
    chosen.importance = "IMAGE"
    with pytest.raises(RuntimeError, match="no image is chosen"):
        bpy.ops.imagegs.compress()
    chosen.importance, chosen.importance_attribute = "ATTRIBUTE", "Mask"
    with pytest.raises(RuntimeError, match="Mask: no mesh that shows these textures has this color attribute"):
        bpy.ops.imagegs.compress()
    chosen.importance_attribute = ""
    with pytest.raises(ImageGSError, match="no color attribute is named"):
        chosen.weighting()
    chosen.importance, chosen.rate, chosen.bpp = "NONE", "BPP", 0.01
    with pytest.raises(RuntimeError, match="too small for one Gaussian"):
        bpy.ops.imagegs.compress()
    assert scene.state() == before


def test_enabling_twice_leaves_nothing_behind() -> None:
    on = footprint()
    imagegs_blender.unregister()
    off = footprint()
    imagegs_blender.register()
    assert footprint() == on
    imagegs_blender.unregister()
    assert footprint() == off and not [name for name in off["types"] if "IMAGEGS" in name]
    imagegs_blender.register()


def footprint() -> dict[str, object]:
    """Everything of Blender's that registering could leave something in."""
    handlers = {name: getattr(bpy.app.handlers, name) for name in dir(bpy.app.handlers)}
    return {
        "types": sorted(name for name in dir(bpy.types) if "imagegs" in name.lower()),
        "operators": sorted(dir(bpy.ops.imagegs)),
        "scene": sorted(name for name in dir(bpy.types.Scene) if "imagegs" in name),
        "handlers": {name: len(value) for name, value in handlers.items() if isinstance(value, list)},
        "environment": sorted(name for name in os.environ if name.startswith("NUMBA")),
    }


def images() -> list[bpy.types.Image]:
    return [image for image in bpy.data.images if image.filepath]


def children() -> list[int]:
    """Processes that this one started to fit."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes().split(b"\0")
            status = entry.with_name("stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(status[1]) == os.getpid() and status[0] != "Z" and b"core.process.serve" in command:
            found.append(int(entry.parent.name))
    return found
