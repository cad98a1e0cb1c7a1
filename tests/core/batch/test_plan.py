"""Which files a batch is about, and in which order."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from imagegs_blender.core.batch import blend_file, plan
from imagegs_blender.core.batch.plan import Item
from imagegs_blender.core.errors import ImageGSError


def items(folder: Path, **links: str) -> list[Item]:
    """Files that link others, in the order of the arguments: a="bc" links b and c, and what those link."""
    return [
        Item(folder / name, folder / "out" / name, name, tuple((folder / other).resolve() for other in linked))
        for name, linked in links.items()
    ]


def order(of: list[Item]) -> str:
    return "".join(item.key for item in of)


def test_libraries_come_first(tmp_path: Path) -> None:
    found = plan._ordered(items(tmp_path, a="cd", b="", c="d", d=""))
    assert order(found) == "dcab"
    assert {item.key: "".join(item.after) for item in found} == {"d": "", "c": "d", "a": "cd", "b": ""}
    assert not any(item.circle for item in found)


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    """Whoever comes first in its circle goes on linking the originals of those that come later."""
    found = plan._ordered(items(tmp_path, a="bc", b="ac", c="ab", x="x", y="a"))
    assert sorted(order(found)) == list("abcxy") and order(found).endswith("axy")
    for place, item in enumerate(found):
        assert set(item.after) <= {other.key for other in found[:place]}, "nobody waits for one that waits for it"
        later = {path.name for path in item.libraries} - set(item.after)
        assert {path.name for path in item.circle} == later, item.key


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shards_share_the_files_and_keep_links_together(tmp_path: Path, count: int) -> None:
    whole = plan._ordered(items(tmp_path, a="", b="a", c="", d="c", e="cd", f="", g=""))
    parts = [plan.shard(whole, number, count) for number in range(1, count + 1)]
    assert sorted("".join(map(order, parts))) == list("abcdefg")
    for part in parts:
        keys = {item.key for item in part}
        assert all(set(item.after) <= keys for item in part)
    assert plan.shard(whole, 1, count) == parts[0], "every machine divides alike"


def test_a_tree_is_read_but_its_output_and_what_is_hidden(tmp_path: Path) -> None:
    for name in ("b.blend", "a/c.BLEND", "a/d.blend1", "a/e.png", ".trash/f.blend", ".g.blend", "out/b.blend"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    if os.name == "posix":
        (tmp_path / "a" / "up").symlink_to(tmp_path)  # a circle of links
        os.mkfifo(tmp_path / "pipe.blend")
    (tmp_path / ".trash" / "none").mkdir()
    found, twice = plan.sources([str(tmp_path), str(tmp_path / "b.blend")], True, tmp_path / "out")
    assert [relative.as_posix() for _, relative in found] == ["b.blend", "a/c.BLEND"]
    assert twice == [str(tmp_path / "b.blend")]
    with pytest.raises(ImageGSError, match="is a folder; add -r"):
        plan.sources([str(tmp_path)], False, tmp_path / "out")
    with pytest.raises(ImageGSError, match=r"no \.blend file below it"):
        plan.sources([str(tmp_path / ".trash" / "none")], True, tmp_path / "out")


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    found = [(tmp_path / "1" / "a.blend", Path("a.blend")), (tmp_path / "2" / "A.blend", Path("A.blend"))]
    with pytest.raises(ImageGSError, match=r"both .*1.a\.blend and .*2.A\.blend have this name"):
        plan.items(found, tmp_path / "out", None)


def test_a_python_without_zstandard_says_what_it_cannot_know(monkeypatch: pytest.MonkeyPatch) -> None:
    assert blend_file.shortcoming() is None
    monkeypatch.setitem(sys.modules, "zstandard", None)
    assert "install it" in (blend_file.shortcoming() or "")
