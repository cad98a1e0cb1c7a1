"""Batches of many files, some broken, as one leaves them overnight: judged by files, journal, exit code and lines."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import pytest

from imagegs_blender.blend.decoder import decoders
from imagegs_blender.core import machine
from imagegs_blender.core.batch import blend_file
from tests import blender, library
from tests.library import QUICK

ROOT = Path(__file__).resolve().parent.parent
posix = pytest.mark.skipif(os.name != "posix", reason="pipes and signals are POSIX's")


def batch(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "imagegs_blender.batch", *map(str, arguments)]
    return subprocess.run(command, **{"cwd": ROOT, "capture_output": True, "text": True, "timeout": 500, **options})


def lines(folder: Path) -> list[dict[str, Any]]:
    """The journal's."""
    text = (folder / "imagegs_journal.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def events(run: subprocess.CompletedProcess[str], kind: str) -> list[dict[str, Any]]:
    told = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]  # Blender may greet
    return [event for event in told if event["event"] == kind]


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(".") or "imagegs-" in path.name]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """000.blend, and 001 and 002 that link it, in a folder part0."""
    folder = tmp_path_factory.mktemp("good")
    library.make(folder, 3)
    return folder


@pytest.fixture
def copy(good: Path, tmp_path: Path) -> Path:
    return shutil.copytree(good, tmp_path / "in")


@posix
def test_broken_files_are_lines_and_all_others_are_converted(tmp_path: Path) -> None:
    source, out, temporary = tmp_path / "in", tmp_path / "out", tmp_path / "tmp"
    temporary.mkdir()
    names = library.make(source, 3, broken=True)
    before = contents(source)
    command = ["-r", source, "-o", out, *QUICK, "--timeout", 40, "--jobs", 2, "--progress", "json"]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    run = batch(*command, env=environment)

    assert run.returncode == 1 and "Traceback" not in run.stderr, run.stderr
    statuses = {f"{name}.blend": status for name, status in library.BROKEN.items()} | dict.fromkeys(names, "done")
    assert {line["key"]: line["status"] for line in lines(out)} == statuses
    reasons = {line["key"]: line["reason"] for line in lines(out)}
    assert "signal 11" in reasons["crashing.blend"] and "longer than 40 s" in reasons["hanging.blend"]
    assert (
        "can't be opened" in reasons["empty.blend"]
        and "library of orphaned.blend is missing" in reasons["orphaned.blend"]
    )
    errors = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == len(library.BROKEN) and all(any(name in line for line in errors) for name in library.BROKEN)
    assert contents(source) == before, "inputs are as they were"
    assert {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} == {
        *names,
        "imagegs_journal.jsonl",
    }
    assert hidden(out) == [] and list(temporary.iterdir()) == [], "nothing is left lying about"
    assert events(run, "summary")[0]["statuses"] == dict(Counter(statuses.values()))
    assert [event["file"] for event in events(run, "end")] == [line["input"] for line in lines(out)]

    journal = contents(out)
    again = batch(*command, env=environment)
    assert again.returncode == 1 and events(again, "file") == [] and contents(out) == journal, "nothing is done twice"
    assert all(event["before"] for event in events(again, "end"))
    assert again.stderr.count("(in an earlier run; --retry tries again)") == len(library.BROKEN)

    retried = batch(*command, "--retry", env=environment)
    assert {Path(event["file"]).stem for event in events(retried, "file")} == library.BROKEN.keys()
    (source / "empty.blend").write_bytes((source / "part0" / "000.blend").read_bytes())  # mended
    mended = batch(*command, env=environment)
    assert [Path(event["file"]).name for event in events(mended, "file")] == ["empty.blend"]
    assert (out / "empty.blend").is_file()


def test_links_lead_to_what_was_converted_and_textures_to_where_they_are(copy: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    out.parent.mkdir()
    assert batch("-r", copy, "-o", out, *QUICK, "--quiet").returncode == 0
    bpy.ops.wm.open_mainfile(filepath=str(out / "part0" / "001.blend"))
    (linked,) = bpy.data.libraries
    assert (
        linked.filepath.startswith("//")
        and Path(bpy.path.abspath(linked.filepath)).resolve() == out / "part0" / "000.blend"
    )
    assert len(decoders()) == 2, "its own, and its library's"
    bpy.ops.wm.open_mainfile(filepath=str(out / "part0" / "000.blend"))
    (image,) = (image for image in bpy.data.images if image.filepath)
    assert image.filepath.startswith("//")
    assert Path(bpy.path.abspath(image.filepath)).resolve() == copy / "textures" / "000.png"
    assert blend_file.facts(out / "part0" / "001.blend") == ((*bpy.app.version[:2],), (out / "part0" / "000.blend",))


def test_a_circle_of_links_is_converted(good: Path, tmp_path: Path) -> None:
    """002 links 000; here 000 links 002, too. One of them goes on linking the other's original, and a line says so."""
    source, out = shutil.copytree(good, tmp_path / "in"), tmp_path / "out"
    bpy.ops.wm.open_mainfile(filepath=str(source / "part0" / "000.blend"))
    library._link(source / "part0" / "002.blend", "plane 2")
    library._save(source / "part0" / "000.blend")
    run = batch("-r", source, "-o", out, *QUICK, "--quiet")
    assert run.returncode == 0 and {line["status"] for line in lines(out)} == {"done"}, run.stderr
    circles = [line for line in run.stderr.splitlines() if "links in a circle with" in line]
    assert len(circles) == 1 and run.stderr.count("\n") == 1, run.stderr
    linked = {}
    for name in ("000.blend", "002.blend"):
        facts = blend_file.facts(out / "part0" / name)
        assert facts is not None
        linked[name] = {path.relative_to(tmp_path).parts[0] for path in facts.libraries}
    assert "in" in linked["002.blend"] or "in" in linked["000.blend"], linked


def test_what_changed_is_done_again_and_nothing_else(copy: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["-r", copy, "-o", out, *QUICK, "--progress", "json"]

    def done(*more: str) -> list[str]:
        run = batch(*command, *more)
        assert run.returncode == 0, run.stderr
        return [Path(event["file"]).stem for event in events(run, "file")]

    assert done() == ["000", "001", "002"]
    shutil.copyfile(copy / "textures" / "001.png", copy / "textures" / "000.png")  # 000's texture
    assert done() == ["000", "001", "002"], "001 and 002 show what 000 holds"
    for path in copy.rglob("*.*"):
        os.utime(path)
    assert done() == [], "another date alone is no change"
    (out / "part0" / "002.blend").unlink()
    assert done() == ["002"]
    assert done("--self-contained") == ["000", "001", "002"]
    assert done("--self-contained", "--force") == ["000", "001", "002"]


def test_files_of_others_are_never_replaced(copy: Path, tmp_path: Path) -> None:
    out, source = tmp_path / "out", copy / "part0" / "000.blend"
    out.mkdir()
    for target in (out / "000.blend", out):
        (out / "000.blend").write_bytes(b"somebody's")
        run = batch(source, "-o", target, *QUICK)
        assert run.returncode == 1 and run.stderr.count("\n") == 1 and "exists already" in run.stderr, run.stderr
        assert (out / "000.blend").read_bytes() == b"somebody's" and hidden(out) == []
    assert batch(source, "-o", out, *QUICK, "--overwrite", "--quiet").returncode == 0
    assert batch(source, "-o", out, *QUICK, "--force", "--quiet").returncode == 0, "its own output it may replace"
    (out / "000.blend").write_bytes(b"somebody has worked on it")
    assert batch(source, "-o", out, *QUICK, "--quiet").returncode == 0, "it is done"
    own = shutil.copyfile(source, tmp_path / "own.blend")
    assert batch(own, "-o", own, *QUICK).returncode == 1 and own.read_bytes() == source.read_bytes()
    assert batch(own, "-o", own, *QUICK, "--overwrite", "--quiet").returncode == 0
    assert own.read_bytes() != source.read_bytes(), "a file may take its own place"
    run = batch(source, "-o", out, *QUICK, "--force")
    assert run.returncode == 1 and (out / "000.blend").read_bytes() == b"somebody has worked on it"


def test_shards_share_the_work_and_anyone_reads_all_journals(copy: Path, tmp_path: Path) -> None:
    shutil.copyfile(copy / "part0" / "000.blend", copy / "alone.blend")
    out = tmp_path / "out"
    ran = [batch("-r", copy, "-o", out, *QUICK, "--shard", f"{part}/2", "--progress", "json") for part in (1, 2)]
    assert [run.returncode for run in ran] == [0, 0], ran[0].stderr + ran[1].stderr
    assert [[Path(event["file"]).stem for event in events(run, "file")] for run in ran] == [
        ["alone"],
        ["000", "001", "002"],
    ]
    whole = batch("-r", copy, "-o", out, *QUICK, "--progress", "json")
    assert whole.returncode == 0 and events(whole, "file") == [] and len(events(whole, "end")) == 4
    for wrong in ("0/2", "3/2", "1", "a/b"):
        assert batch("-r", copy, "-o", out, "--shard", wrong).returncode == 2


def test_a_file_of_an_older_blender_is_converted_only_if_you_agree(good: Path, tmp_path: Path) -> None:
    bpy.ops.wm.open_mainfile(filepath=str(good / "part0" / "001.blend"))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "new.blend"), compress=False)
    data = (tmp_path / "new.blend").read_bytes()
    major, minor = bpy.app.version[:2]
    here = b"%d%02d" % (major, minor)
    for name, other in (("old", b"%d%02d" % (major, minor - 1)), ("newer", b"%d%02d" % (major + 1, 0))):
        (tmp_path / f"{name}.blend").write_bytes(data[:20].replace(here, other) + data[20:])
        assert blend_file.version(tmp_path / f"{name}.blend") == (int(other) // 100, int(other) % 100)
    out = tmp_path / "out"
    out.mkdir()
    command = [tmp_path / "old.blend", tmp_path / "newer.blend", "-o", out, *QUICK, "--progress", "json"]
    run = batch(*command)
    assert run.returncode == 1 and {line["key"]: line["status"] for line in lines(out)} == dict.fromkeys(
        ("old.blend", "newer.blend"), "skipped"
    )
    assert (
        f"saved by Blender {major}.{minor - 1}: it would become a file of Blender {major}.{minor}; add --upgrade"
        in run.stderr
    )
    assert f"use Blender {major + 1}.0 or newer" in run.stderr
    run = batch(*command, "--upgrade")
    assert run.returncode == 1 and [Path(event["file"]).stem for event in events(run, "file")] == ["old"]
    assert [path.name for path in out.glob("*.blend")] == ["old.blend"]


@pytest.mark.skipif(not machine.can_limit_memory(), reason="this system keeps no limit of memory")
def test_a_file_that_needs_too_much_memory_fails_alone(good: Path, tmp_path: Path) -> None:
    run = batch(good / "part0" / "000.blend", "-o", tmp_path, *QUICK, "--memory", 0.1)
    (line,) = lines(tmp_path)
    assert run.returncode == 1 and line["status"] in ("failed", "crashed") and "memory" in line["reason"], line
    assert "000.blend" not in [path.name for path in tmp_path.iterdir()]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if mount is None or subprocess.run([mount, *options], capture_output=True).returncode:
        pytest.skip("a file system can't be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_without_room_is_one_line_at_the_start(good: Path, small_disk: Path) -> None:
    run = batch("-r", good, "-o", small_disk, *QUICK)
    assert run.returncode == 1 and run.stderr.count("\n") == 1 and "GB are free, and the files take" in run.stderr, (
        run.stderr
    )
    assert list(small_disk.glob("*.blend")) == []
    run = batch("-r", good, "-o", small_disk, *QUICK, "--drop-originals")
    assert run.returncode == 1 and "going on" in run.stderr and "then start the same command again" in run.stderr, (
        run.stderr
    )
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    run = batch("-r", good, "-o", small_disk, *QUICK)
    assert run.returncode == 1 and run.stderr.count("\n") == 1 and "can't be written" in run.stderr, run.stderr


def test_a_file_named_twice_is_converted_once(good: Path, tmp_path: Path) -> None:
    name = good / "part0" / "000.blend"
    run = batch(name, name, good / "part0" / ".." / "part0" / "000.blend", "-o", tmp_path, *QUICK, "--quiet")
    assert run.returncode == 0 and len(lines(tmp_path)) == 1
    twice = [line for line in run.stderr.splitlines() if line.endswith("named twice; it is converted once")]
    assert len(twice) == 2 and run.stderr.count("\n") == 2, run.stderr


@posix
def test_a_program_file_of_blender_starts_others_like_itself(good: Path, tmp_path: Path) -> None:
    program, out = blender.install(tmp_path), tmp_path / "out"
    out.mkdir()
    script = ["-b", "--factory-startup", "--python", ROOT / "imagegs_blender" / "batch.py", "--"]
    run = subprocess.run(
        [program, *script, *good.glob("part0/*.blend"), "-o", out, *QUICK],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert {path.name for path in out.glob("*.blend")} == {"000.blend", "001.blend", "002.blend"}
    run = subprocess.run(
        [program, *script, "batch-report", out], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0 and "3 files: 3 done" in run.stdout, run.stdout + run.stderr


@posix
def test_the_recipe_of_pipelines(good: Path, tmp_path: Path) -> None:
    """blender --background --factory-startup TEMPLATE --python SCRIPT -- data.json, which a result file answers."""
    program, data, answer = blender.install(tmp_path), tmp_path / "data.json", tmp_path / "answer.json"

    def run(**job: Any) -> tuple[int, dict[str, Any]]:
        answer.unlink(missing_ok=True)
        data.write_text(json.dumps({"output": str(tmp_path / "out.blend"), "result": str(answer), **job}))
        script = ["--python", str(ROOT / "imagegs_blender" / "batch.py"), "--", str(data)]
        command = [program, "--background", "--factory-startup", good / "part0" / "000.blend", *script]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
        return ended.returncode, json.loads(answer.read_text()) if answer.exists() else {"error": ended.stderr}

    options = {"preset": "fast", "num_gaussians": 60, "even_if_not_smaller": True}
    code, result = run(options=options)
    assert (code, result["status"], result["reason"]) == (0, "done", None) and result["psnr"] > 20
    assert result["bytes_after"] == (tmp_path / "out.blend").stat().st_size
    assert [row["material"] for row in result["materials"]] == ["wall 0"]
    code, result = run(options=options)
    assert code == 1 and "exists already" in result["reason"]
    code, result = run(source=str(good / "part0" / "002.blend"), options=options, overwrite=True)
    assert code == 0 and [row["material"] for row in result["materials"]] == ["wall 2"]
    code, result = run(options={"bits": 3})
    assert code == 1 and "bits: not known here" in result["error"]
    code, result = run(options={"bpp": 0}, overwrite=True)
    assert code == 1 and result["reason"].startswith("bpp 0: choose a number above 0")
