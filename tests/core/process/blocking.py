"""A fit in a child process, waited for."""

from __future__ import annotations

import time
from collections.abc import Callable

from imagegs_blender.core.encoding.encode import Encoded, Progress
from imagegs_blender.core.process.worker import Job
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.core.textures.texture_stack import TextureStack


def run(stack: TextureStack, settings: FitSettings, progress: Callable[[Progress], None] | None = None) -> Encoded:
    """The result of a Job. What the progress callback raises ends the child and is passed on."""
    job = Job(stack, settings)
    job.start()
    try:
        while not job.done:
            for said in job.poll():
                if progress:
                    progress(said)
            time.sleep(0.05)
        return job.result()
    finally:
        job.cancel()
