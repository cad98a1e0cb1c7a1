"""The journal: what is read of it after a power cut, by another version, and with others at work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from imagegs_blender.core.batch import journal, summary
from imagegs_blender.core.batch.journal import Journal
from imagegs_blender.core.cli import main
from imagegs_blender.core.errors import ImageGSError


def entry(key: str, status: str = "done", ended: str = "2026-01-01T00:00:00.000+00:00", **more: Any) -> dict[str, Any]:
    sizes = {"bytes_before": 3000, "bytes_after": 1000, "psnr": 33.25} if status == "done" else {}
    empty = dict.fromkeys(("bytes_before", "bytes_after", "psnr", "reason"))
    return {"key": key, "status": status, "ended": ended, "seconds": 1.5, **empty, **sizes, **more}


def write(folder: Path, *entries: dict[str, Any], shard: tuple[int, int] | None = None) -> Path:
    with Journal(folder, shard) as written:
        for one in entries:
            written.write(one)
    return folder / journal.name(shard)


@pytest.mark.parametrize("rest", [b'{"journal": 1, "key": "b.bl', b"\0" * 300, b'{"journal": 1}', b"{"])
def test_a_line_cut_by_a_power_cut_costs_that_line(tmp_path: Path, rest: bytes) -> None:
    path = write(tmp_path, entry("a.blend"))
    whole = path.read_bytes()
    path.write_bytes(whole + rest)
    assert journal.read(tmp_path).keys() == {"a.blend"}
    write(tmp_path, entry("c.blend"))
    assert path.read_bytes().startswith(whole) and path.read_bytes().count(b"\n") == 2, "what was left is taken off"
    assert journal.read(tmp_path).keys() == {"a.blend", "c.blend"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"journal": 2, "key": "a"}', "line 2 is of version 2, this program knows 1"),
        ('{"key": "a"}', "line 2 is none of a journal"),
        ("[1]", "line 2 is none of a journal"),
        ("garbage", "line 2 is none of a journal"),
        ('{"journal": 1, "key": "a", "status": "perfect", "ended": ""}', "line 2 lacks its key, status or time"),
    ],
)
def test_other_lines_are_refused_by_their_number(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path, entry("a.blend"))
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ImageGSError, match=message):
        journal.read(tmp_path)


def test_a_second_batch_in_the_folder_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path):
        with pytest.raises(ImageGSError, match="another batch is at work in this folder"):
            Journal(tmp_path)
        Journal(tmp_path, (1, 2)).__exit__(None, None, None)  # another shard is welcome
    with Journal(tmp_path):
        pass


def test_shards_are_read_together_and_the_latest_line_counts(tmp_path: Path) -> None:
    write(tmp_path, entry("a.blend", "crashed", "2026-01-02T00:00:00.000+00:00"), entry("b.blend"), shard=(1, 2))
    write(tmp_path, entry("a.blend", ended="2026-01-03T00:00:00.000+00:00"), shard=(2, 2))
    write(tmp_path, entry("a.blend", "failed", "2026-01-01T00:00:00.000+00:00"))
    assert {key: line["status"] for key, line in journal.read(tmp_path).items()} == {
        "a.blend": "done",
        "b.blend": "done",
    }


def test_the_report_is_a_table_and_a_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, entry("z.blend"), entry("rooms/a.blend", "timed out", reason="took longer than 5 s"))
    assert main.main(["batch-report", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "file           status     bytes before  bytes after  PSNR  seconds  reason",
        "rooms/a.blend  timed out                                       1.5  took longer than 5 s",
        "z.blend        done              3,000        1,000  33.2      1.5",
        "2 files: 1 done, 1 timed out",
        "done: 1,000 bytes, were 3,000 with textures packed (3.0 times smaller)",
    ]
    assert main.main(["batch-report", str(tmp_path), "--problems", "--check"]) == 1
    out, error = capsys.readouterr()
    assert "z.blend" not in out and error.count("\n") == 1 and "1 of 2 files were not converted" in error
    assert main.main(["batch-report", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [line["key"] for line in told["files"]] == ["rooms/a.blend", "z.blend"]
    assert told["summary"] == summary.totals(journal.read(tmp_path).values())


@pytest.mark.parametrize(("folder", "message"), [("none", "folder not found"), (".", "no journal of a batch")])
def test_without_a_journal_the_report_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: str, message: str
) -> None:
    assert main.main(["batch-report", str(tmp_path / folder)]) == 1
    assert message in capsys.readouterr().err
