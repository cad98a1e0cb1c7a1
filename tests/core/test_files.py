"""Names of files: whatever a map is called, its file is one that every system takes."""

from __future__ import annotations

import pytest

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
