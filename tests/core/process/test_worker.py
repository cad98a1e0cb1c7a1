"""A fit in a child process gives what a fit in this one gives, also after another fit; no child costs more than its fit."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from imagegs_blender.core.encoding import encode
from imagegs_blender.core.errors import Cancelled, ImageGSError
from imagegs_blender.core.process.job import Job
from imagegs_blender.core.process.worker import Worker
from imagegs_blender.core.settings import FitSettings
from tests.core.process import blocking
from tests.samples import picture_stack

ROOT = Path(__file__).resolve().parents[3]
QUICK = FitSettings.preset("fast", num_gaussians=80, max_steps=60)
ENDLESS = FitSettings.preset("high", num_gaussians=2000, max_steps=1_000_000)


def pid(worker: Worker) -> int:
    """Of the child."""
    assert worker._child is not None
    return worker._child._process.pid


def until_it_fits(worker: Worker, job: Job) -> None:
    """Wait for the first progress of a job."""
    while not job.progress():
        assert not job.done
        worker.listen()
        time.sleep(0.02)


def test_importance_survives_the_worker() -> None:
    importance = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    steered = dataclasses.replace(picture_stack(), importance=importance)
    settings = FitSettings.preset("fast", num_gaussians=40, max_steps=20, init_mode="mask")
    assert blocking.run(steered, settings).data == encode.encode(steered, settings).data


def test_jobs_in_one_child_give_the_bytes_of_a_fit_each_and_report_progress() -> None:
    """Whatever came before: other sizes, numbers of Gaussians, losses, a request that can't be met."""
    small, large = picture_stack(64), picture_stack(96)
    ssim = FitSettings.preset("fast", num_gaussians=50, max_steps=30, ssim=0.1, topk=10)
    reports: list[encode.Progress] = []
    with Worker() as worker:
        first = blocking.fit(worker, large, QUICK)
        child = pid(worker)
        jobs = [
            Job(small, ssim),
            Job(large, FitSettings.preset("fast", bpp=0.01)),
            Job(small, QUICK),
            Job(large, QUICK),
        ]
        for job in jobs:
            worker.add(job)
        other = blocking.finish(worker, jobs[0])
        with pytest.raises(ImageGSError, match="too small for one Gaussian"):
            blocking.finish(worker, jobs[1])
        third = blocking.finish(worker, jobs[2])
        again = blocking.finish(worker, jobs[3], reports.append)
        assert pid(worker) == child
    assert first.data == again.data == encode.encode(large, QUICK).data
    assert other.data == encode.encode(small, ssim).data
    assert third.data == encode.encode(small, QUICK).data
    assert reports[-1].step == reports[-1].steps == 60
    fitted = [report.psnr for report in reports if report.psnr is not None]
    assert fitted[-1] > fitted[0] and reports[-1].phase == "measuring"
    assert not any(job.folder.exists() for job in jobs)


def test_cancelling_ends_every_job_and_a_later_one_gets_a_new_child() -> None:
    with Worker() as worker:
        jobs = [Job(picture_stack(), ENDLESS), Job(picture_stack(), QUICK)]
        for job in jobs:
            worker.add(job)
        until_it_fits(worker, jobs[0])
        child = pid(worker)
        worker.cancel()
        assert not alive(child)
        for job in jobs:
            assert job.done and not job.folder.exists()
            with pytest.raises(Cancelled):
                job.result()
        assert blocking.fit(worker, picture_stack(), QUICK).data == encode.encode(picture_stack(), QUICK).data

    def stop(_: encode.Progress) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        blocking.run(picture_stack(), ENDLESS, stop)


def test_a_crash_is_one_clear_error_and_costs_one_fit() -> None:
    with Worker() as worker:
        broken, job = Job(picture_stack(), ENDLESS), Job(picture_stack(), QUICK)
        worker.add(broken)
        worker.add(job)
        until_it_fits(worker, broken)
        os.kill(pid(worker), signal.SIGKILL)
        with pytest.raises(ImageGSError, match="the fit's process was ended by signal 9; nothing was changed") as error:
            blocking.finish(worker, broken)
        assert "\n" not in str(error.value) and not broken.folder.exists()
        assert blocking.finish(worker, job).data == encode.encode(picture_stack(), QUICK).data
        missing = Job(picture_stack(), QUICK)
        (missing.folder / "planes.npy").unlink()
        worker.add(missing)
        with pytest.raises(ImageGSError, match=r"ended with code 1: FileNotFoundError.*; nothing was changed"):
            blocking.finish(worker, missing)
    with Worker("no-such-python") as worker, pytest.raises(ImageGSError, match="no-such-python: can't be started"):
        blocking.fit(worker, picture_stack(), QUICK)


def test_no_child_outlives_its_parent(tmp_path: Path) -> None:
    """Not even in the middle of a fit, where the parent is killed."""
    script = """
import time
from tests.core.process.test_worker import ENDLESS, Job, Worker, picture_stack, pid, until_it_fits
with Worker() as worker:
    job = Job(picture_stack(), ENDLESS)
    worker.add(job)
    until_it_fits(worker, job)
    print(pid(worker), flush=True)
    time.sleep(1000)
"""
    environment = os.environ | {"TMPDIR": str(tmp_path)}  # what a killed process leaves there
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
    deadline = time.monotonic() + 60
    while alive(child):
        assert time.monotonic() < deadline, "the child goes on"
        time.sleep(0.1)


def alive(process: int) -> bool:
    """Whether a process runs; one that has ended and waits to be asked for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
