"""The layout of tables is text in users' files: it is what it was, and nothing else is taken for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imagegs_blender.core.decoding import tables
from imagegs_blender.core.decoding.layout import Layout
from imagegs_blender.core.decoding.sheets import locate, sheet_count
from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.textures.texture_stack import Depth
from tests.samples import MAPS, stack

LAYOUT = Layout(candidates=12, topk=4, deep=(False, False, True), first=3, last=11, per_texel=2)


def test_text_there_and_back() -> None:
    assert str(LAYOUT) == "5 M12 K4 C001 L3-11 P2"
    plain = replace(LAYOUT, candidates=128, topk=0, deep=(False,), first=1, last=1, per_texel=1)
    assert str(plain) == "5 M128 K0 C0 L1-1 P1"
    holed = replace(LAYOUT, holes=True)
    assert str(holed) == "5 M12 K4 C001 L3-11 P2 H"
    assert holed.reads(LAYOUT) and LAYOUT.reads(holed) and not holed.reads(plain)
    for layout in (LAYOUT, plain, holed, tables.build(stack(4, True), MAPS).layout):
        assert Layout.parse(str(layout)) == layout


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "4 M12 K4 C001 L3-11 P2", "6 M12 K4 C001 L3-11 P2",  # nothing, other versions
        "5 M12 K4 C001 L3-11 P2 ", "5 M12 K4 C001 L3-11 P2H", "5 M12 K4 C L3-11 P2", "5 M12 K4 C001 L3 P2",
        "5 M12 K4 C002 L3-11 P2",
        "5 M0 K4 C001 L3-11 P2", "5 M13 K4 C001 L3-11 P2", "5 M12 K17 C001 L3-11 P2", "5 M12 K4 C001 L0-11 P2",
        "5 M12 K4 C001 L4-3 P2", "5 M12 K4 C001 L3-11 P3", "5 M12 K4 C001 L3-999999999 P2", f"5 M12 K4 C{33 * '0'} L3-11 P2",
    ],
)  # fmt: skip
def test_anything_else_is_one_clear_error(text: str) -> None:
    with pytest.raises(ImageGSError, match="layout of decode tables"):
        Layout.parse(text)


def test_channels_have_places_of_their_own() -> None:
    """High byte first; every channel in the RGB of a sheet as long as there is one."""
    assert LAYOUT.channels == [(0,), (1,), (2, 3)] and LAYOUT.channel_count == 4 and LAYOUT.feature_sheets == 1
    for count in range(1, 65):
        places = [locate(channel, count) for channel in range(count)]
        assert len(set(places)) == count and max(sheet for sheet, _ in places) < sheet_count(count)
        assert [lane == 3 for _, lane in places] == [channel >= 3 * sheet_count(count) for channel in range(count)]


def test_constant_and_limited_tables_keep_the_layout() -> None:
    maps = tuple(replace(info, depth=Depth.U16) for info in MAPS)
    built = tables.build(stack(4, True), maps)
    assert all(built.layout.deep) and (built.layout.first, built.layout.last) == (built.tail.first, built.tail.last)
    small = tables.limited(built, built.layout.last)
    assert small.layout == built.layout and small.tail.last == built.tail.last and small.nbytes < built.nbytes / 10
