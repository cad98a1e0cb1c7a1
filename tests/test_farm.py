"""Many machines: a Dask cluster in processes of this one, a job type of Flamenco in Node.js, a job of OpenJD by its own tool."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy
import pytest

from imagegs_blender.blend.decoder import decoders
from tests import blender, library
from tests.test_batches import QUICK, batch, contents, hidden, lines

ROOT = Path(__file__).resolve().parent.parent
FARM = ROOT / "farm"
OPENJD = Path(sys.executable).with_name("openjd")
pytestmark = pytest.mark.skipif(
    os.name != "posix", reason="processes are killed by signals, and Blender's part is a shell's"
)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three files, of which the last two link the first, and two more beside them."""
    folder = tmp_path_factory.mktemp("good")
    library.make(folder, 3)
    for name in ("a.blend", "b.blend"):
        shutil.copyfile(folder / "part0" / "000.blend", folder / "part0" / name)
    return folder


Starter = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Starter]:
    """Starts processes, which end with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def one(*words: Any, **environment: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", *map(str, words)], cwd=ROOT, env={**os.environ, **environment},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        started.append(process)
        return process

    yield one
    for process in reversed(started):
        process.kill()
        process.wait()


def scheduler(start: Starter, folder: Path) -> str:
    """The address of a scheduler that has begun to listen."""
    file = folder / "scheduler.json"
    start(
        "dask",
        "scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-dashboard",
        "--no-show",
        "--scheduler-file",
        file,
    )
    while not file.exists():
        time.sleep(0.2)
    return json.loads(file.read_text())["address"]


def worker(start: Starter, address: str, folder: Path, **environment: str) -> subprocess.Popen[bytes]:
    options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", folder, "--death-timeout", "60"]
    return start("dask", "worker", address, *options, **environment)


def workers(address: str, count: int) -> None:
    """Wait for so many workers."""
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=60)


def streams(folder: Path, name: str) -> list[bytes]:
    """The streams in a converted file: the rest of a .blend holds addresses and random names of nodes, of Blender itself."""
    bpy.ops.wm.open_mainfile(filepath=str(folder / name))
    return sorted(decoder.data for decoder in decoders())


def test_dask_loses_a_worker_and_no_file(good: Path, tmp_path: Path, start: Starter) -> None:
    alone, out = tmp_path / "alone", tmp_path / "out"
    assert batch("-r", good, "-o", alone, *QUICK, "--quiet").returncode == 0
    before = contents(good)
    address = scheduler(start, tmp_path)
    three = [worker(start, address, tmp_path) for _ in range(3)]
    workers(address, 3)
    command = [sys.executable, "-m", "imagegs_blender.batch", "-r", good, "-o", out, *QUICK, "--scheduler", address]
    with subprocess.Popen(
        [*map(str, command), "--progress", "json"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        while not list(out.rglob(".imagegs-batch-*")):  # a file is being saved by one of them
            assert run.poll() is None, run.stderr and run.stderr.read()
            time.sleep(0.05)
        three[0].kill()
        said, errors = run.communicate(timeout=300)
    assert run.returncode == 0, errors
    done = [line["key"] for line in lines(out)]
    assert sorted(done) == [f"part0/{name}.blend" for name in ("000", "001", "002", "a", "b")], "each of them once"
    assert {line["status"] for line in lines(out)} == {"done"} and hidden(out) == []
    for name in done:
        assert streams(out, name) == streams(alone, name) != [], name
    assert contents(good) == before
    assert json.loads(said.splitlines()[-1])["statuses"] == {"done": 5}


def test_without_a_scheduler_it_is_one_line_within_seconds(good: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    for wrong in (address, "nonsense://x", "nowhere.invalid:1"):
        run = batch("-r", good, "-o", tmp_path / "out", *QUICK, "--scheduler", wrong, timeout=60)
        assert run.returncode == 1 and run.stderr.count("\n") == 1, run.stderr
        assert f"{wrong}: no Dask scheduler answers" in run.stderr or f"{wrong}: is no address" in run.stderr


def test_workers_of_another_version_are_refused_in_one_line(good: Path, tmp_path: Path, start: Starter) -> None:
    """They have a copy of the package with another number."""
    other = tmp_path / "other"
    shutil.copytree(ROOT / "imagegs_blender", other / "imagegs_blender", ignore=shutil.ignore_patterns("__pycache__"))
    manifest = (ROOT / "blender_manifest.toml").read_text("utf-8")
    (other / "imagegs_blender" / "blender_manifest.toml").write_text(
        manifest.replace('\nversion = "', '\nversion = "9.'), "utf-8"
    )
    address = scheduler(start, tmp_path)
    process = worker(start, address, tmp_path, PYTHONPATH=str(other), PYTHONSAFEPATH="1")
    workers(address, 1)
    command = ["-r", good, "-o", tmp_path / "out", *QUICK, "--scheduler", address]
    run = batch(*command, timeout=60)
    assert run.returncode == 1 and run.stderr.count("\n") == 1, run.stderr
    assert "has imagegs-blender 9." in run.stderr and "pip install imagegs-blender==" in run.stderr
    process.send_signal(signal.SIGKILL)
    assert list((tmp_path / "out").iterdir()) == []


NODE = shutil.which("node")
FLAMENCO = """
// What Flamenco's job compiler gives a script: its documented functions, and tasks as its author.go makes them.
const fs = require("fs"), vm = require("vm");
const [script, settings] = process.argv.slice(1);
class Task {
    constructor(name, type) {
        if (!name.trim() || !type.trim()) throw "author.Task(name, type): both are required";
        Object.assign(this, { name: name.trim(), type: type.trim(), commands: [], dependencies: [] });
    }
    addCommand(command) { this.commands.push(command); }
    addDependency(task) { this.dependencies.push(task.name); }
}
const author = { Task: (name, type) => new Task(name, type), Command: (name, parameters) => ({ name, parameters }) };
const shellSplit = text => (text.match(/"[^"]*"|\\S+/g) || []).map(word => word.replace(/"/g, ""));
const context = vm.createContext({ author, shellSplit, print: () => {} });
vm.runInContext(fs.readFileSync(script, "utf8") + "\\nthis.JOB_TYPE = JOB_TYPE; this.compileJob = compileJob;", context);
const job = { settings: JSON.parse(settings), tasks: [], addTask(task) { this.tasks.push(task); } };
try {
    context.compileJob(job);
    console.log(JSON.stringify({ type: context.JOB_TYPE, tasks: job.tasks }));
} catch (error) {
    console.log(JSON.stringify({ error: String(error) }));
}
"""


def flamenco(**settings: Any) -> dict[str, Any]:
    if NODE is None:
        pytest.skip("Node.js is not installed")
    command = [NODE, "-e", FLAMENCO, str(FARM / "imagegs_batch.js"), json.dumps(settings)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


KINDS = {"string", "int32", "float", "bool"}
SUBTYPES = {"file_path", "dir_path", "file_name", "hashed_file_path"}


def test_flamencos_job_type_makes_a_task_for_each_part_and_a_report() -> None:
    told = flamenco(
        input_folder="/in", output_folder="/out", parts=3, options='--bpp 1.0 --materials "red brick"', script=""
    )
    for setting in told["type"]["settings"]:
        assert setting["type"] in KINDS and setting.get("subtype", "dir_path") in SUBTYPES, setting
        assert "default" in setting or setting.get("required"), setting
    *parts, report = told["tasks"]
    assert [task["name"] for task in parts] == ["part-1-of-3", "part-2-of-3", "part-3-of-3"]
    assert {task["type"] for task in told["tasks"]} == {"blender"}
    common = ["-b", "--command", "imagegs", "--recursive", "/in", "--output", "/out", "--shard"]
    for number, task in enumerate(parts, 1):
        words = [*common, f"{number}/3", "--retry", "--no-fail", "--bpp", "1.0", "--materials", "red brick"]
        assert task["commands"] == [{"name": "exec", "parameters": {"exe": "{blender}", "args": words}}]
        assert task["dependencies"] == []
    assert report["dependencies"] == [task["name"] for task in parts]
    assert report["commands"][0]["parameters"]["args"] == [
        "-b",
        "--command",
        "imagegs",
        "batch-report",
        "/out",
        "--check",
    ]
    assert flamenco(input_folder="/in", output_folder="/out", parts=0, options="", script="")["error"].startswith(
        "Parts: 0"
    )


def test_flamencos_tasks_convert_the_files(good: Path, tmp_path: Path) -> None:
    program, out, source = blender.install(tmp_path), tmp_path / "out", shutil.copytree(good, tmp_path / "in")
    (source / "broken.blend").write_bytes(b"")
    script = str(ROOT / "imagegs_blender" / "batch.py")
    settings = {"input_folder": str(source), "output_folder": str(out), "parts": 2, "options": " ".join(QUICK)}
    ended = []
    for task in flamenco(**settings, script=script)["tasks"]:
        for command in task["commands"]:
            words = [
                str(program) if word == "{blender}" else word
                for word in (command["parameters"]["exe"], *command["parameters"]["args"])
            ]
            ended.append(subprocess.run(words, capture_output=True, text=True, timeout=300))
    assert [run.returncode for run in ended] == [0, 0, 1], [run.stderr for run in ended]
    assert "6 files: 5 done, 1 failed" in ended[-1].stdout and "1 of 6 files were not converted" in ended[-1].stderr
    assert len(list(out.rglob("*.blend"))) == 5


def test_open_job_description_checks_and_runs_the_template(good: Path, tmp_path: Path) -> None:
    template, source = str(FARM / "imagegs_batch.yaml"), shutil.copytree(good, tmp_path / "in")
    checked = subprocess.run([OPENJD, "check", template], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    parameters = tmp_path / "parameters.json"
    given = {
        "InputFolder": str(source), "OutputFolder": str(tmp_path / "out"), "Parts": 2,
        "Options": " ".join(QUICK[:2]) + "\n" + " ".join(QUICK[2:]),
        "Script": str(ROOT / "imagegs_blender" / "batch.py"), "Blender": str(blender.install(tmp_path)),
    }  # fmt: skip
    parameters.write_text(json.dumps(given))

    def run() -> tuple[int, list[str]]:
        command = [OPENJD, "run", template, "--step", "Convert", "-p", f"file://{parameters}"]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400)
        said = [line.partition("\t")[2] for line in (ended.stdout + ended.stderr).splitlines()]
        return ended.returncode, [line for line in said if line.startswith("openjd_")]

    code, said = run()
    assert code == 0 and len(list((tmp_path / "out").rglob("*.blend"))) == 5, said
    assert [line for line in said if "100" in line] == ["openjd_progress: 100.0"] * 2
    assert "openjd_status: 4 of 4 files" in said and "openjd_status: 1 of 1 files" in said
    (source / "broken.blend").write_bytes(b"")
    code, said = run()
    assert code != 0 and any(line.startswith("openjd_fail: 1 of ") for line in said), said
