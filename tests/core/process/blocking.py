"""A fit in a child process, waited for."""

from __future__ import annotations

import time
from collections.abc import Callable

from imagegs_blender.core.encoding.encode import Encoded, Progress
from imagegs_blender.core.process.job import Job
from imagegs_blender.core.process.worker import Worker
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.core.textures.texture_stack import TextureStack


def finish(worker: Worker, job: Job, progress: Callable[[Progress], None] | None = None) -> Encoded:
    """The result of a job that a worker has, once it is there."""
    while not job.done:
        worker.listen()
        for said in job.progress():
            if progress:
                progress(said)
        time.sleep(0.02)
    return job.result()


def fit(worker: Worker, stack: TextureStack, settings: FitSettings) -> Encoded:
    """The result of a new job of a worker."""
    job = Job(stack, settings)
    worker.add(job)
    return finish(worker, job)


def run(stack: TextureStack, settings: FitSettings, progress: Callable[[Progress], None] | None = None) -> Encoded:
    """The result of a job in a child of its own. What the progress callback raises ends the child and is passed on."""
    with Worker() as worker:
        job = Job(stack, settings)
        worker.add(job)
        return finish(worker, job, progress)
