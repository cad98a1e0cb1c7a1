"""Fixtures that several rooms share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_exit_status = pytest.StashKey[int]()


def data_folder() -> Path:
    """Where real stacks, images and .blend files are: $IMAGEGS_DATA, else ../shared/data beside the repository."""
    root = Path(__file__).resolve().parent.parent
    return Path(os.environ.get("IMAGEGS_DATA") or root.parent / "shared" / "data")


@pytest.fixture(scope="session")
def data() -> Path:
    """The data_folder(); tests that ask for it are skipped where it is absent."""
    folder = data_folder()
    if not (folder / "MANIFEST.tsv").is_file():
        pytest.skip(f"no test data in {folder}: set IMAGEGS_DATA to the folder that holds MANIFEST.tsv")
    return folder


_LONGEST = (
    "test_installation.py", "test_real_files.py", "test_batches.py", "test_farm.py", "test_overnight.py", "test_wild.py",
)  # fmt: skip
"""Files whose tests take minutes. They come first, so that no process is left with one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in _LONGEST)


@pytest.fixture(scope="session", autouse=True)
def _nodes_unless_asked() -> Iterator[None]:
    """Most tests of decoders are about nodes: here no memory is free for images."""
    if "bpy" not in sys.modules:
        yield
        return
    from imagegs_blender.workflow import auto_kind

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auto_kind, "SHARE", 0.0)
        yield


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_exit_status] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """A process that opened a .blend with the bpy wheel can wait forever in bpy's destructors: leave without them."""
    if "bpy" in sys.modules:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash.get(_exit_status, 1))
