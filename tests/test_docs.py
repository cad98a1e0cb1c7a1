"""The pages stay true to the tree: every link leads somewhere, every file that is named exists, and the index is complete."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
FILE = re.compile(r"`((?:[\w.-]+/)*[\w.-]+\.(?:py|sh|cu|cuh|osl|glsl|md|toml|sha256|igs))`")
ELSEWHERE = {"result.igs", "default.yaml", "FILE.igs", "constants.cuh"}
"""Files that a page names and that are not in the tree: outputs, examples, Image-GS's own, generated ones."""


def text_of(page: Path) -> str:
    """A page without its blocks of code, in which nothing is a link."""
    return re.sub(r"(?ms)^```.*?^```$", "", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as hosts of repositories make them."""
    titles = re.findall(r"(?m)^#+ (.+)$", text_of(page))
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def links(page: Path) -> Iterator[str]:
    """The targets of a page's links and pictures within the tree."""
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if "://" not in target:
            yield target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_exist(page: Path) -> None:
    """A path counts from the root, from the package or from core; a bare name may be anywhere."""
    folders = ("imagegs_blender", "tests", "tools", "benchmarks", "docs")
    names = {path.name for folder in folders for path in (ROOT / folder).rglob("*")}
    for name in FILE.findall(text_of(page)):
        places = (ROOT / name, ROOT / "imagegs_blender" / name, ROOT / "imagegs_blender" / "core" / "devices" / name)
        known = name in ELSEWHERE or (name in names if "/" not in name else any(place.exists() for place in places))
        assert known or (ROOT / name).exists(), name


def test_the_index_names_every_page() -> None:
    index = {target.partition("#")[0] for target in links(ROOT / "docs" / "README.md")}
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"} <= index
