"""Streams from strangers: nothing but one clear error, or numbers that all decoders can trust."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, given, settings

from tests.fuzz import checks, streams

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "600"))


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(streams.damaged())
def test_a_damaged_stream_is_refused_or_sound(data: bytes) -> None:
    checks.check_stream(data)


def test_whole_streams_are_taken() -> None:
    """The check can tell one from the other."""
    assert all(checks.check_stream(data) for data in streams.bases())
