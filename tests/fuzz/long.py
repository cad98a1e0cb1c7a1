"""Fuzz for as long as you like, and print what was tried: python -m tests.fuzz.long --minutes 60 [--processes 2]

A failure is shrunk, printed, and written to build/fuzz: make a test of it. docs/reliability.md has the figures of the last run.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
import traceback
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from tests.fuzz import checks, images, streams

FOLDER = Path(__file__).resolve().parents[2] / "build" / "fuzz"
BATCH = 2000
DEEP = 16
"""Of so many streams, one that is taken is also written, decoded and made into tables."""


def read_only(data: bytes) -> bool:
    return checks.check_stream(data, deep=False)


def some(data: bytes) -> bool:
    return zlib.crc32(data) % DEEP != 0 or checks.check_stream(data)


CAMPAIGNS: dict[
    str, tuple[SearchStrategy[Any], Callable[[Any], bool], Callable[[Any], bool], Callable[[], Sequence[Any]]]
] = {
    "streams": (streams.damaged(), read_only, some, streams.bases),
    "images": (images.damaged(), checks.check_image, lambda given: True, images.bases),
}
"""What is tried, what must hold of it (and is timed), what else must hold where it is taken, and whole ones: they are checked
first, which loads all that a check needs."""


@dataclass
class Count:
    """tried, and of these taken; the slowest in seconds; and whether one failed."""

    tried: int = 0
    taken: int = 0
    slowest: float = 0.0
    failed: bool = False


def batch(name: str, number: int) -> Count:
    """BATCH examples of a campaign, chosen by a seed."""
    strategy, check, further, bases = CAMPAIGNS[name]
    assert all(check(base) for base in bases())
    count, last = Count(), [b""]

    def one(data: Any) -> None:
        last[0] = data
        started = time.perf_counter()
        taken = check(data)
        count.tried, count.taken = count.tried + 1, count.taken + taken
        count.slowest = max(count.slowest, time.perf_counter() - started)
        assert not taken or further(data)

    phases = [Phase.generate, Phase.shrink]
    options = settings(
        max_examples=BATCH, deadline=None, database=None, phases=phases, suppress_health_check=list(HealthCheck)
    )
    try:
        seed(number)(options(given(strategy)(one)))()
    except Exception:
        count.failed = True
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / f"{name}-{number}.bin").write_bytes(last[0] if isinstance(last[0], bytes) else repr(last[0]).encode())
        traceback.print_exc()
    return count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="for all campaigns together (%(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="at once (%(default)s)")
    parser.add_argument("--only", choices=CAMPAIGNS, help="one campaign")
    args = parser.parse_args()
    names, failed = [args.only] if args.only else list(CAMPAIGNS), False
    for name in names:
        total, number, end = Count(), int(time.time()), time.monotonic() + 60 * args.minutes / len(names)
        with ProcessPoolExecutor(args.processes) as pool:
            while time.monotonic() < end:
                numbers = range(number, number + args.processes)
                number += len(numbers)
                for count in pool.map(batch, [name] * len(numbers), numbers):
                    total.tried, total.taken = total.tried + count.tried, total.taken + count.taken
                    total.slowest, total.failed = max(total.slowest, count.slowest), total.failed or count.failed
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10
        print(
            f"{name}: {total.tried:,} tried, {total.taken:,} taken, the slowest {total.slowest:.2f} s, "
            f"peak memory of a process {peak:,.0f} MiB{', FAILED' if total.failed else ''}"
        )
        failed |= total.failed
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
