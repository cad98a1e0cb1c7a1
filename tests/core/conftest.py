"""The command line, run in this process, and a picture for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from imagegs_blender.core.cli import main
from imagegs_blender.core.textures import image_files
from imagegs_blender.core.textures.texture_stack import Depth
from tests.samples import picture


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        return json.loads(self.out)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A picture of 64 x 64 texels as a file."""
    path = tmp_path / "source.png"
    image_files.write(path, picture(64), Depth.U8, "RGB")
    return path


@pytest.fixture
def imagegs(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run a command in this process."""

    def run(*argv: object) -> Result:
        capsys.readouterr()
        code = main.main([str(a) for a in argv])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run
