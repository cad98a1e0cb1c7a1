"""A fit in its own process gives what a fit in this one gives."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from imagegs_blender.core.encoding import encode
from imagegs_blender.core.errors import Cancelled, ImageGSError
from imagegs_blender.core.process import worker
from imagegs_blender.core.settings import FitSettings
from tests.core.process import blocking
from tests.samples import picture_stack


def test_importance_survives_the_worker() -> None:
    importance = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    steered = dataclasses.replace(picture_stack(), importance=importance)
    settings = FitSettings.preset("fast", num_gaussians=40, max_steps=20, init_mode="mask")
    assert blocking.run(steered, settings).data == encode.encode(steered, settings).data


def test_worker_gives_the_same_bytes_and_reports_progress() -> None:
    settings = FitSettings.preset("fast", num_gaussians=80, max_steps=60)
    reports: list[encode.Progress] = []
    encoded = blocking.run(picture_stack(96), settings, reports.append)
    assert encoded.data == encode.encode(picture_stack(96), settings).data
    assert reports[-1].step == reports[-1].steps == 60
    assert reports[-1].psnr > reports[0].psnr


def test_worker_errors_and_cancel() -> None:
    with pytest.raises(ImageGSError, match="too small for one Gaussian"):
        blocking.run(picture_stack(96), FitSettings.preset("fast", bpp=0.01))

    def stop(_: encode.Progress) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        blocking.run(picture_stack(96), FitSettings.preset("high", num_gaussians=2000), stop)
    job = worker.Job(picture_stack(96), FitSettings.preset("high", num_gaussians=2000))
    job.start()
    job.cancel()
    assert job.done
    with pytest.raises(Cancelled):
        job.result()


def test_worker_that_dies_is_one_clear_error() -> None:
    job = worker.Job(picture_stack(96), FitSettings.preset("high", num_gaussians=2000))
    job.start()
    assert job._process is not None
    job._process.kill()
    with pytest.raises(ImageGSError, match="nothing was changed"):
        job.result()
    missing = worker.Job(picture_stack(96), FitSettings.preset("fast", num_gaussians=10), python="no-such-python")
    with pytest.raises(ImageGSError, match="no-such-python: can't be started"):
        missing.start()
