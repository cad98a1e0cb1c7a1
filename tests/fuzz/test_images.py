"""Image files from strangers: nothing but one clear error, or a picture."""

from __future__ import annotations

import os
import warnings

from hypothesis import HealthCheck, given, settings

from tests.fuzz import checks, images

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "600"))


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(images.damaged())
def test_a_damaged_image_is_refused_or_sound(given: tuple[bytes, str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what Pillow wonders about must not reach a person's console
        checks.check_image(given)


def test_whole_images_are_taken() -> None:
    """The check can tell one from the other."""
    assert all(checks.check_image(base) for base in images.bases())
