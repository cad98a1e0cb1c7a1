"""Fits in another Python than the running one: what it lacks is one clear error, and with the right packages it works."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.process import looking
from imagegs_blender.core.process.worker import Worker
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.core.textures import texture_stack
from imagegs_blender.core.version import version
from tests.core.process import blocking


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A Python of its own that has no packages, and the folder for its packages."""
    folder = tmp_path_factory.mktemp("python")
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    program = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    where = subprocess.run(
        [program, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return str(program), Path(where.stdout.strip())


@pytest.mark.skipif(os.name != "posix", reason="these programs are POSIX's")
@pytest.mark.parametrize("answer", ["", "5", "{}", '{"lines": 1, "adapters": []}', "no JSON"])
def test_a_program_that_is_no_python_is_refused(tmp_path: Path, answer: str) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o700)
    for other in ("/bin/true", "/bin/echo", str(program)):
        with pytest.raises(ImageGSError, match=f"^{other}: .*choose a Python's program file$"):
            looking.devices(other)


def test_another_python_runs_fits_if_it_is_of_this_version(python: tuple[str, Path]) -> None:
    program, packages = python
    pixels = np.linspace(0, 1, 32 * 32, dtype=np.float32).reshape(32, 32, 1)
    textures = texture_stack.build([
        texture_stack.SourceMap("a", texture_stack.Role.DATA, texture_stack.ColorSpace.RAW, texture_stack.Depth.F32, "L", pixels)
    ])  # fmt: skip
    settings = FitSettings.preset("fast", num_gaussians=5, max_steps=5, device="cpu")

    def failure() -> list[str]:
        said = []
        with pytest.raises(ImageGSError) as asked:
            looking.devices(program)
        said.append(str(asked.value))
        with pytest.raises(ImageGSError) as fitted, Worker(program) as worker:
            blocking.fit(worker, textures, settings)
        return [*said, str(fitted.value)]

    assert failure() == [f"{program}: No module named 'numpy'; in it, pip install \"imagegs-blender[cuda]\""] * 2
    (packages / "packages.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")), "utf-8")
    about = packages / "imagegs_blender-9.9.9.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: imagegs-blender\nVersion: 9.9.9\n", "utf-8")
    wanted = f'in it, pip install "imagegs-blender[cuda]=={version()}"'
    assert failure() == [f"{program}: has imagegs-blender 9.9.9, this is {version()}; {wanted}"] * 2
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: imagegs-blender\nVersion: {version()}\n", "utf-8")
    assert looking.devices(program).lines[0].startswith("cpu: ")
    with Worker(program) as worker:
        assert blocking.fit(worker, textures, settings).report.device == "cpu"
