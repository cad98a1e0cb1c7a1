"""Fixtures that several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of real stacks, images and .blend files: $IMAGEGS_DATA, else ../shared/data beside the repository."""
    root = Path(__file__).resolve().parent.parent
    folder = Path(os.environ.get("IMAGEGS_DATA") or root.parent / "shared" / "data")
    if not (folder / "MANIFEST.tsv").is_file():
        pytest.skip(f"no test data in {folder}: set IMAGEGS_DATA to the folder that holds MANIFEST.tsv")
    return folder
