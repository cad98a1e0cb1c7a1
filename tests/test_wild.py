"""Every real file gets smaller, and none is harmed: each .blend of the data folder, converted as a user would.

It takes a quarter of an hour, so it runs where IMAGEGS_WILD is set, and prints a table of sizes; -k NAME tries one file.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import data_folder

if not os.environ.get("IMAGEGS_WILD"):
    pytest.skip("real files take long: set IMAGEGS_WILD=1 to convert them", allow_module_level=True)

ROOT = Path(__file__).resolve().parent.parent
NEAR = 30.0
"""dB between the pictures before and after, at least."""

Facts = dict[str, Any]


def _files() -> list[Any]:
    folder = data_folder() / "blend"
    files = sorted(folder.rglob("*.blend"), key=lambda file: file.stem)
    return [pytest.param(file, id=file.stem) for file in files] or [None]


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[dict[str, Facts]]:
    """A row for each file, printed in the end."""
    rows: dict[str, Facts] = {}
    yield rows
    head = f"{'file':32}{'before':>12}{'after':>12}{'ratio':>7}{'dB':>7}{'s':>8}{'CPU s':>8}  left as it is"
    lines = [head]
    for name, row in rows.items():
        nearness = f"{row['psnr']:.1f}" if row.get("psnr") else "-"
        numbers = f"{row['before']:12,}{row['after']:12,}{row['before'] / row['after']:7.2f}{nearness:>7}"
        lines.append(f"{name[:31]:32}{numbers}{row['seconds']:8.1f}{row['cpu']:8.1f}  {row['skipped']}")
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n" + "\n".join(lines))


class Converted:
    """A file, its compressed copy, and what both hold and show."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.source, self.folder, self.copy = source, folder, folder / "converted.blend"
        self.report: Facts = {}

    def convert(self) -> None:
        report = self.folder / "report.json"
        options = ["--upgrade", "--bpp", "1", "--drop-originals", "--preset", "fast", "--report", report]
        python("-m", "imagegs_blender.batch", self.source, "-o", self.copy, *options)
        (self.report,) = json.loads(report.read_text())["files"]

    def look(self, blend: Path, name: str, *options: str) -> Facts:
        python(ROOT / "tests" / "wild.py", blend, self.folder / name, *options)
        return json.loads((self.folder / f"{name}.json").read_text())

    def pictures(self) -> list[np.ndarray]:
        files = [self.folder / f"{name}.npy" for name in ("original", "converted")]
        return [np.load(file) for file in files if file.exists()]


@pytest.fixture(scope="module", params=_files())
def converted(
    request: pytest.FixtureRequest, table: dict[str, Facts], tmp_path_factory: pytest.TempPathFactory
) -> Converted:
    if request.param is None:
        pytest.skip("no .blend files: set IMAGEGS_DATA to the folder that holds blend/")
    result = Converted(request.param, tmp_path_factory.mktemp(request.param.stem))
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    result.convert()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    table[request.param.stem] = {
        "before": result.report["bytes_before"],
        "after": result.report["bytes_after"],
        "seconds": time.perf_counter() - start,
        "cpu": used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime,
        "skipped": len(result.report["skipped"]),
    }
    return result


@pytest.fixture(scope="module")
def facts(converted: Converted) -> tuple[Facts, Facts]:
    """What the original and the copy hold; the pictures are made as well."""
    return converted.look(converted.source, "original"), converted.look(converted.copy, "converted")


def test_no_file_gets_larger(converted: Converted) -> None:
    report = converted.report
    assert report["error"] is None and report["failed"] == []
    assert converted.copy.stat().st_size == report["bytes_after"] <= report["bytes_before"]


def test_nothing_but_materials_changes(facts: tuple[Facts, Facts]) -> None:
    before, after = facts
    for room in before.keys() - {"materials", "groups"}:
        assert after[room] == before[room], room


def test_it_looks_like_the_original(converted: Converted, facts: tuple[Facts, Facts], table: dict[str, Facts]) -> None:
    pictures = converted.pictures()
    if not pictures:
        pytest.skip("no camera")
    original, rebuilt = pictures
    assert np.ptp(original) > 0.05, "the picture shows nothing"
    nearness = float(-10 * np.log10(max(np.mean((original - rebuilt) ** 2), 1e-10)))
    table[converted.source.stem]["psnr"] = nearness
    assert nearness >= NEAR


def test_restore_puts_everything_back(converted: Converted, facts: tuple[Facts, Facts]) -> None:
    """After saving and opening again: every material and group as it was, node by node and link by link."""
    kept = converted.folder / "kept.blend"
    options = ["--upgrade", "--num-gaussians", "60", "--preset", "fast", "--quiet"]
    python("-m", "imagegs_blender.batch", converted.source, "-o", kept, *options)
    assert converted.look(kept, "restored", "--restore") == facts[0]


def python(*arguments: Any) -> None:
    command = [sys.executable, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
