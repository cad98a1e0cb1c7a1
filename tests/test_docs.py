"""The pages stay true to the tree: links lead somewhere, named files exist, commands are understood, the index is complete."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagegs_blender.core.cli import main

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
FILE = re.compile(r"`((?:[\w.-]+/)*[\w.-]+\.(?:py|sh|cu|cuh|osl|glsl|md|toml|sha256|igs))`")
ELSEWHERE = {"result.igs", "default.yaml", "FILE.igs", "constants.cuh"}
"""Files that a page names and that are not in the tree: outputs, examples, Image-GS's own, generated ones."""


FOREIGN = {
    "--addons", "--background", "--command", "--enable", "--factory-startup", "--name", "--nthreads", "--online-mode",
    "--python", "--repo", "--repo-dir", "--step", "--url",
}  # fmt: skip
"""Options of Blender, Dask and openjd that pages name."""


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


def blocks(page: Path) -> Iterator[str]:
    """The lines of a page's blocks of code, without comments; a line that goes on counts as one."""
    for block in re.findall(r"(?ms)^```sh$(.*?)^```$|((?:^    \S.*\n)+)", page.read_text("utf-8")):
        for line in "".join(block).replace("\\\n", " ").splitlines():
            yield line.strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_understood(page: Path) -> None:
    """imagegs as its own parser understands it; of scripts and of the batch, every option is in the file."""
    for line in blocks(page):
        if found := re.match(r"(?:\S+/)?imagegs (?:fit|render|info|compare|batch-report) ", line):
            words = shlex.split(line, comments=True)[1:]
            assert main.parser().parse_args(words), found
        elif found := re.search(
            r"python ((?:benchmarks|tools)/\w+\.py)|imagegs_blender[./]batch|--command imagegs", line
        ):
            text = (ROOT / (found[1] or "imagegs_blender/workflow/batch_options.py")).read_text("utf-8")
            for option in set(re.findall(r" --([a-z-]+)", line)) - {option[2:] for option in FOREIGN} - {"help"}:
                assert re.search(rf"[\"-]{option}\"", text), f"{line}: --{option}"


def test_options_in_the_text_exist() -> None:
    """Those of Image-GS have underscores; all others are ours, of a command, a script, or the batch."""
    folders = (ROOT / "imagegs_blender", ROOT / "benchmarks", ROOT / "tools")
    sources = "\n".join(path.read_text("utf-8") for folder in folders for path in folder.rglob("*.py"))
    for page in PAGES:
        for span in re.findall(r"`([^`\n]+)`", text_of(page)):
            for option in re.findall(r"(?<!\S)--([a-z][\w-]*)", span):
                known = "_" in option or f"--{option}" in FOREIGN or re.search(rf"[\"-]{option}\"", sources)
                assert known, f"{page.name}: --{option}"


def test_the_index_names_every_page() -> None:
    index = {target.partition("#")[0] for target in links(ROOT / "docs" / "README.md")}
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"} <= index
