"""A short night of `make crash-test`."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("processes are looked for as Linux shows them", allow_module_level=True)

from tests.crash.overnight import overnight


def test_a_killed_batch_goes_on_to_the_same_end(tmp_path: Path) -> None:
    hits = overnight(tmp_path, kills=3, chance=random.Random(1), files=4, pause=6, timeout=40)
    assert sum(hits.values()) == 3
