"""Names of files: whatever a map is called, its file is one that every system takes. And paths that no system takes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imagegs_blender.core import files
from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.files import file_name, unique


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("wood color", "wood color"),
        ("Farbe é", "Farbe é"),
        ("../../evil:1", "_.._evil_1"),
        ('a<b>c"d|e?f*g\\h', "a_b_c_d_e_f_g_h"),
        ("tab\tline\n", "tab_line_"),
        ("dots. . ", "dots"),
        ("...", "map"),
        ("", "map"),
        ("con", "_con"),
        ("LPT1.rough", "_LPT1.rough"),
        ("com\N{SUPERSCRIPT TWO}.png", "_com\N{SUPERSCRIPT TWO}.png"),
        ("CONIN$", "_CONIN$"),
        ("console", "console"),
    ],
)
def test_a_name_from_anywhere_becomes_a_file_name(name: str, safe: str) -> None:
    assert file_name(name) == safe


def test_a_long_name_is_cut_between_characters() -> None:
    cut = file_name("é" * 300)
    assert cut == "é" * (len(cut.encode()) // 2) and len(cut.encode()) <= 200


def test_a_name_that_is_taken_gets_a_number() -> None:
    taken: set[str] = set()
    assert [unique(name, taken) for name in ("Wood", "wood", "wood 2", "stone")] == [
        "Wood",
        "wood 2",
        "wood 2 2",
        "stone",
    ]


@pytest.mark.skipif(os.name != "posix", reason="other systems have other limits")
@pytest.mark.parametrize(("name", "reason"), [("a" * 256, "File name too long"), ("a\0b", "null")])
def test_a_path_that_the_system_does_not_take_is_named(tmp_path: Path, name: str, reason: str) -> None:
    for use in (files.is_file, files.is_folder, files.exists, files.check_writable):
        with pytest.raises(ImageGSError, match=reason):
            use(tmp_path / name)


def test_what_can_not_be_written_is_told_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in ("file", "nowhere"):
        with pytest.raises(ImageGSError, match=f"{folder}: folder not found"):
            files.write(tmp_path / folder / "a.json", b"x")
    files.write(tmp_path / f"a.{'b' * 240}", b"x")
    assert sorted(len(path.name) for path in tmp_path.iterdir()) == [4, 242]
