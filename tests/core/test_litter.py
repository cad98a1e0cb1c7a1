"""What a killed process left is removed by the next one; what belongs to somebody stays."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imagegs_blender.core import files, litter

HOLD = """
import sys, time
from pathlib import Path
from imagegs_blender.core import files
with files.replacing(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="which processes live is known on Linux")
def test_the_next_write_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    target = tmp_path / "a.igs"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(target)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "writing\n"
        (half,) = tmp_path.iterdir()
        litter.sweep.cache_clear()
        files.write(tmp_path / "b.igs", b"whole")
        assert half.exists(), "its process is at work"
        process.send_signal(signal.SIGKILL)
    assert half.exists()
    litter.sweep.cache_clear()
    files.write(tmp_path / "b.igs", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["b.igs"]


def test_what_others_own_stays_until_it_is_old(tmp_path: Path) -> None:
    """Files of other programs for good, and those of another computer for a day."""
    mine = tmp_path / f".{litter.name('.igs')}"
    foreign = tmp_path / re.sub(r"imagegs-[0-9a-f]{8}-", "imagegs-00000000-", mine.name)
    others = [tmp_path / name for name in ("imagegs-notes.txt", ".imagegs-1-2-3", "a.blend1")]
    for path in (mine, foreign, *others):
        path.write_bytes(b"x")
    litter.sweep.cache_clear()
    litter.sweep(tmp_path)
    assert all(path.exists() for path in (mine, foreign, *others))
    long_ago = time.time() - 2 * 24 * 3600
    for path in (mine, foreign, *others):
        os.utime(path, (long_ago, long_ago))
    litter.sweep.cache_clear()
    litter.sweep(tmp_path)
    assert not foreign.exists() and all(path.exists() for path in others)
