"""Headless conversion as a user runs it: in processes of its own, judged by exit code, output and files."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import bpy
import pytest
from PIL import Image

import imagegs_blender
from imagegs_blender.blend.decoder import decoders
from imagegs_blender.scene import replace
from imagegs_blender.workflow.rebuild import rebuild_tables
from tests.scene import trees
from tests.workflow import scene as workflow_scene

ROOT = Path(__file__).resolve().parent.parent
BOXED = "box projection: would need three decoders at once, which costs more than the image"
FAST = ("--preset", "fast", "--num-gaussians", "60", "--even-if-not-smaller")


def batch(*arguments: Any) -> subprocess.CompletedProcess[str]:
    """python -m imagegs_blender.batch ARGUMENTS"""
    command = [sys.executable, "-m", "imagegs_blender.batch", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def errors(run: subprocess.CompletedProcess[str]) -> list[str]:
    """The error lines; a traceback is a failure of the test."""
    assert "Traceback" not in run.stderr + run.stdout, run.stderr + run.stdout
    return [line for line in run.stderr.splitlines() if line.startswith("error: ")]


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A saved file with two textured materials, one with box mapping, one without textures, and textures beside it."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    (tmp_path / "textures").mkdir()
    for name in ("brick", "paint"):
        _, tree = trees.material(name)
        color = trees.image(f"{name} color", tmp_path / "textures", "RGBA", (64, 48))
        trees.texture(tree, color, ("Color", "Principled BSDF", "Base Color"), ("Alpha", "Principled BSDF", "Alpha"))
        rough = trees.image(f"{name} rough", tmp_path / "textures", "L", (32, 24), "Non-Color")
        trees.texture(tree, rough, ("Color", "Principled BSDF", "Roughness"))
    _, tree = trees.material("boxed")
    boxed = trees.texture(tree, bpy.data.images["brick color"], ("Color", "Principled BSDF", "Base Color"))
    boxed.projection = "BOX"
    trees.material("plain")
    path = tmp_path / "scene.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path), relative_remap=True)
    for image in bpy.data.images:
        image.filepath = bpy.path.relpath(image.filepath)
    bpy.ops.wm.save_mainfile()
    path.with_suffix(".blend1").unlink(missing_ok=True)
    return path


def dump() -> dict[str, Any]:
    return {material.name: trees.dump(material.node_tree) for material in bpy.data.materials}


def test_a_file_is_compressed_reported_reopened_and_restored(scene: Path, tmp_path: Path) -> None:
    before, original = dump(), scene.read_bytes()
    folder = tmp_path / "elsewhere" / "deep"
    folder.mkdir(parents=True)
    out, report = folder / "out.blend", tmp_path / "report.json"

    run = batch(scene, *FAST, "--output", out, "--report", report)

    assert (run.returncode, errors(run)) == (0, []), run.stderr
    assert scene.read_bytes() == original
    assert [p.name for p in folder.iterdir()] == ["out.blend"], "no temporary files, no backups"
    (result,) = json.loads(report.read_text())["files"]
    rows = {row["material"]: row for row in result["materials"]}
    assert set(rows) == {"brick", "paint"}
    row = rows["brick"]
    assert row["images"] == {"brick color": "brick color", "brick rough": "brick rough"}
    assert row["feeds"] == {"brick color": ["alpha", "basecolor"], "brick rough": ["roughness"]}
    assert (row["width"], row["height"], row["num_gaussians"]) == (64, 48, 60)
    assert row["bpp"] == pytest.approx(8 * row["bytes"] / (64 * 48), rel=1e-6)
    assert set(row["psnr"]) == set(row["ssim"]) == {"overall", "brick color", "brick rough"}
    assert result["skipped"] == [
        {"material": "boxed", "image": "brick color", "reason": BOXED},
        {"material": "plain", "image": None, "reason": "no image textures"},
    ]
    assert result["failed"] == [] and result["bytes_after"] == out.stat().st_size
    assert "brick" in run.stdout and "left as it is: plain: no image textures" in run.stdout

    bpy.ops.wm.open_mainfile(filepath=str(out))
    assert rebuild_tables() == []
    assert sum(len(decoder.data) for decoder in decoders()) == result["bytes_streams"]
    image = bpy.data.images["brick color"]
    assert Path(image.filepath_from_user()).resolve() == scene.parent / "textures" / "brick color.png"
    replace.restore(bpy.data.materials)
    assert dump() == before


def test_as_a_script_inside_blender_on_the_open_file(scene: Path, tmp_path: Path) -> None:
    """blender -b scene.blend --python imagegs_blender/batch.py -- OPTIONS, with Blender's part played by the module."""
    out, script = tmp_path / "out.blend", ROOT / "imagegs_blender" / "batch.py"
    options = ["--output", str(out), "--materials", "brick", "--drop-originals", "--self-contained", "--quiet", *FAST]
    blender = (
        "import bpy, runpy, sys\n"
        f"bpy.ops.wm.open_mainfile(filepath={str(scene)!r})\n"
        f"sys.argv = ['blender', '-b', {str(scene)!r}, '--python', {str(script)!r}, '--', *{options!r}]\n"
        f"runpy.run_path({str(script)!r}, run_name='__main__')\n"
    )
    run = subprocess.run([sys.executable, "-c", blender], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (run.returncode, errors(run)) == (0, []), run.stderr
    bpy.ops.wm.open_mainfile(filepath=str(out))
    (decoder,) = decoders()
    assert "brick rough" not in bpy.data.images and "paint rough" in bpy.data.images
    assert "brick color" in bpy.data.images, "another material uses it with box mapping"
    tables = decoder.derived_images()
    assert tables and all(image.packed_file for image in tables)


def test_dropped_originals_go_and_what_stays_is_named(scene: Path, tmp_path: Path) -> None:
    bpy.ops.wm.open_mainfile(filepath=str(scene))
    bpy.data.images["paint color"].use_fake_user = True
    bpy.ops.wm.save_mainfile()
    out, report = tmp_path / "out.blend", tmp_path / "report.json"
    run = batch(scene, *FAST, "--output", out, "--drop-originals", "--report", report)
    assert (run.returncode, errors(run)) == (0, []), run.stderr
    assert 'kept: brick color, which the material "boxed" uses' in run.stdout.splitlines()
    (result,) = json.loads(report.read_text())["files"]
    assert result["kept"] == [{"image": "brick color", "users": [{"kind": "material", "name": "boxed"}]}]
    bpy.ops.wm.open_mainfile(filepath=str(out))
    assert [image.name for image in bpy.data.images if image.source == "FILE"] == ["brick color"]


@pytest.fixture
def quarter(tmp_path: Path) -> Path:
    """A saved file with a square that shows a quarter of its textures, painted, and an image "mask"."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    square = workflow_scene.plane("square", tmp_path, uv=(0.5, 0.5))
    square.data.color_attributes.new("paint", "FLOAT_COLOR", "POINT").data[0].color = (0, 0, 0, 1)
    bpy.data.images.new("mask", 8, 8).pack()
    bpy.data.images["mask"].use_fake_user = True
    path = tmp_path / "quarter.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    return path


def test_a_batch_leaves_out_what_the_button_leaves_out(quarter: Path, tmp_path: Path) -> None:
    options = ("--preset", "fast", "--bpp", 16, "--even-if-not-smaller", "--report", tmp_path / "r.json")
    run = batch(quarter, *options, "--output", tmp_path / "out.blend")
    assert (run.returncode, errors(run)) == (0, []), run.stderr
    (row,) = json.loads((tmp_path / "r.json").read_text())["files"][0]["materials"]
    assert 0.3 < row["unused"] < 0.5 and f"{row['unused']:.0%}" in run.stdout
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "out.blend"))
    (of_batch,) = (decoder.data for decoder in decoders())

    imagegs_blender.register()
    try:
        bpy.ops.wm.open_mainfile(filepath=str(quarter))
        bpy.data.objects["square"].select_set(True)
        assert bpy.ops.imagegs.compress(preset="fast", bpp=16.0, even_if_not_smaller=True) == {"FINISHED"}
        (of_button,) = (decoder.data for decoder in decoders())
    finally:
        imagegs_blender.unregister()
    assert of_batch == of_button


@pytest.mark.parametrize(
    ("options", "unused"),
    [
        (["--all-texels"], 0.0),
        (["--importance", "mask"], 0.4),
        (["--importance", "{folder}/square color.png", "--all-texels"], 0.0),
        (["--importance-attribute", "paint"], 0.4),
    ],
)
def test_where_detail_goes_is_an_option(quarter: Path, tmp_path: Path, options: list[str], unused: float) -> None:
    options = [option.format(folder=tmp_path) for option in options]
    run = batch(quarter, *FAST, *options, "--output", tmp_path / "out.blend", "--report", tmp_path / "r.json")
    assert (run.returncode, errors(run)) == (0, []), run.stderr
    (row,) = json.loads((tmp_path / "r.json").read_text())["files"][0]["materials"]
    assert row["unused"] == pytest.approx(unused, abs=0.1)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "out.blend"))
    assert {image.name for image in bpy.data.images if image.users} >= {"square color", "square rough"}
    assert len([image for image in bpy.data.images if image.name.startswith("square")]) == 2, "a mask is not kept"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--importance", "nothing"], "nothing: no image of the file has this name, and it is no path of one"),
        (["--importance-attribute", "nothing"], "nothing: no mesh that shows these textures has this color attribute"),
        (["--importance", ""], "no image is chosen"),
        (["--importance", "{folder}/quarter.blend"], "quarter.blend: the importance image can't be read"),
    ],
)
def test_importance_that_is_not_there_is_an_error(
    quarter: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    options = [option.format(folder=tmp_path) for option in options]
    run = batch(quarter, *FAST, *options, "--output", tmp_path / "out.blend")
    (error,) = errors(run)
    assert run.returncode == 1 and message in error


def test_what_fails_does_not_stop_the_rest(scene: Path, tmp_path: Path) -> None:
    picture = tmp_path / "textures" / "paint color.png"
    jpeg = io.BytesIO()
    Image.open(picture).convert("RGB").save(jpeg, "JPEG", quality=95)
    picture.write_bytes(jpeg.getvalue()[:-500])  # Blender shows what there is of a truncated JPEG
    (tmp_path / "out").mkdir()
    wanted = ("--materials", "brick", "paint", "nobody")
    files = (tmp_path / "absent.blend", tmp_path / "sc*.blend")
    run = batch(*files, *FAST, "--output", tmp_path / "out", "--report", tmp_path / "r.json", *wanted)
    assert run.returncode == 1
    absent, nobody, damaged = errors(run)
    assert absent == f"error: {tmp_path / 'absent.blend'}: file not found; name a .blend file"
    assert "paint" in damaged and "paint color.png" in damaged
    assert nobody == f"error: {scene}: nobody: no material of this name"
    first, second = json.loads((tmp_path / "r.json").read_text())["files"]
    assert first["error"] and not second["error"]
    assert [row["material"] for row in second["materials"]] == ["brick"]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"scene.blend", "imagegs_journal.jsonl"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{scene}"], 2, "name an --output"),
        ([], 2, "name at least one .blend file"),
        (["{scene}", "{folder}/b.blend", "--output", "{folder}/a.blend"], 2, "several files need an existing folder"),
        (["{scene}", "--output", "{folder}/none/a.blend"], 1, "error: {folder}/none: folder not found"),
        (["{scene}", "--output", "{folder}"], 1, "scene.blend: would overwrite its original"),
        (["{folder}/textures/paint rough.png", "--output", "{folder}/a.blend"], 1, "paint rough.png: can't be opened"),
        (["{scene}", "--output", "{folder}/a.blend", "--bpp", "0"], 1, "error: bpp 0.0: choose a number above 0"),
        (["{scene}", "--output", "{folder}/a.blend", "--preset", "best"], 1, "error: preset 'best' is unknown"),
    ],
)
def test_wrong_usage_is_one_line_and_writes_nothing(scene: Path, arguments: list[str], code: int, message: str) -> None:
    folder = scene.parent
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    run = batch(*(argument.format(scene=scene, folder=folder) for argument in arguments))
    assert run.returncode == code, run.stderr
    assert "Traceback" not in run.stderr
    assert message.format(folder=folder) in run.stderr.splitlines()[-1]
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_dry_run_prints_the_plan_and_saves_nothing(scene: Path) -> None:
    before = sorted(scene.parent.rglob("*"))
    run = batch(scene, "--dry-run", "--even-if-not-smaller")
    assert (run.returncode, errors(run)) == (0, [])
    assert "brick color: alpha, basecolor; color, srgb, RGBA, 64 x 48" in run.stdout
    assert sorted(scene.parent.rglob("*")) == before


def test_a_full_disk_leaves_the_file_and_says_so(scene: Path, tmp_path: Path) -> None:
    """The disk is full when the result is saved: files can't grow beyond a limit from then on."""
    out, job, result = tmp_path / "out.blend", tmp_path / "job.json", tmp_path / "result.json"
    out.write_bytes(b"what was there before")
    options = {"preset": "fast", "num_gaussians": 60, "even_if_not_smaller": True, "materials": ["brick"]}
    asked = {"source": str(scene), "output": str(out), "result": str(result), "overwrite": True, "options": options}
    job.write_text(json.dumps(asked))
    limit = """
import resource, sys
from imagegs_blender import batch
from imagegs_blender.workflow import one_file
compress = one_file.compress
def fill_the_disk(*arguments, **options):
    done = compress(*arguments, **options)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    return done
one_file.compress = fill_the_disk
sys.exit(batch.main(sys.argv[1:]))
"""
    run = subprocess.run([sys.executable, "-c", limit, str(job)], cwd=ROOT, capture_output=True, text=True, timeout=300)
    error = json.loads(result.read_text())["error"]
    assert run.returncode == 1 and "can't be saved" in error and "free some space" in error, error
    assert str(out) in error, "it is called what it was to be called"
    assert out.read_bytes() == b"what was there before"
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")], "no temporary files"


def test_odd_paths_are_one_line_each(tmp_path: Path) -> None:
    """A line break in a name, and a name that no system takes."""
    run = batch(tmp_path / "a\nb.blend", "--output", tmp_path / "out.blend", "--quiet")
    assert run.returncode == 1 and len(errors(run)) == 1 and r"a\nb.blend: file not found" in errors(run)[0]
    run = batch(tmp_path / "a.blend", "--output", tmp_path / ("b" * 250 + ".blend"))
    assert run.returncode == 1 and errors(run) and not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a POSIX signal")
def test_ctrl_c_is_one_line_and_writes_nothing(scene: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "imagegs_blender.batch", scene, "--output", tmp_path / "out.blend"]
    run = [*command, "--num-gaussians", "1500", "--preset", "high", "--even-if-not-smaller"]
    before = sorted(path.name for path in tmp_path.iterdir())
    with subprocess.Popen(
        run,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  no thread holds a lock here
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "dB" in line:
                break
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
        assert process.returncode == 130
    assert said == "cancelled: the file in progress was not written; those before it were\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == before
