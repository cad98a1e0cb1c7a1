"""A stack on its way from Blender to the process that fits it."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from ..core.errors import ImageGSError
from ..core.process.job import Job
from ..core.process.worker import Worker
from ..core.settings import RENDERED, FitSettings
from ..core.textures import cells, texture_stack
from ..core.textures.resample import resize
from ..scene import coverage, pixels
from ..scene.coverage import Importance
from ..scene.material_stack import StackPlan
from . import sensitivity
from .sensitivity import Sensitivity

SMALL, SMALLEST = 2048 * 2048, 512 * 512
"""Texels of a stack up to which it is read while another is fitted: of a larger one the memory counts, and the time does
not. And those up to which it is fitted then, too: the fit of a larger one keeps all cores busy by itself."""


class Reading:
    """Reads the maps of a stack one by one, joins them in a thread, and adds the job to a worker, a piece at a time.

    done            that is over, or can't be done: job() says
    is_small        it may be read while another stack is fitted
    worker          the one that does the job
    weighs          renders weigh its maps just now
    shown           what of the texture counts, as Record.shown, once the reading is done
    sensitivity     of a render to its maps, where one has weighed them
    weighed_alike   why none has, where one was to
    """

    def __init__(self, stack: StackPlan, settings: FitSettings, importance: Importance | None, worker: Worker) -> None:
        self.done, self.shown = False, ""
        self.sensitivity: Sensitivity | None = None
        self.weighed_alike, self.weighs = "", False
        self.is_small = stack.texels <= SMALL
        self._stack, self._settings, self._importance, self.worker = stack, settings, importance, worker
        self._pieces = self._read()
        self._job: Future[Job] = Future()

    def advance(self) -> bool:
        """Do the next piece; whether there was something to do but to wait."""
        if self.done:
            return False
        try:
            return next(self._pieces)
        except StopIteration:
            pass
        except Exception as error:  # it is this stack's, whose turn may come later
            self._job.set_exception(error)
        self.done = True
        return True

    def job(self) -> Job:
        """The job, which the worker has, once the reading is done; raises what went wrong."""
        return self._job.result(0)

    def close(self) -> None:
        """It is not wanted any more."""
        self._pieces.close()

    def _read(self) -> Generator[bool, None, None]:
        """What advance() says about each piece."""
        self.worker.start()  # it has much to import
        stack, sources = self._stack, []
        for map_plan in stack.maps:
            sources.append(pixels.read_map(map_plan))
            yield True
        if self._settings.weigh in RENDERED:
            yield from self._weigh()
        weights = coverage.prepare(stack, self._importance) if self._importance else None
        seen = self.sensitivity.texels if self.sensitivity else None

        def prepare() -> Job:
            weight = weights() if weights else None
            if weight is not None and not weight.all():
                self.shown = cells.to_text(weight)
            if seen is not None:
                counts = resize(seen, stack.largest.width, stack.largest.height, stack.wrap).clip(0.0, 1.0)
                weight = counts if weight is None else weight * counts
            return Job(texture_stack.build(sources, stack.wrap, weight), self._settings)

        thread = ThreadPoolExecutor(1)
        prepared = thread.submit(prepare)
        try:
            while not prepared.done():
                yield False
        except BaseException:
            prepared.add_done_callback(_discard)
            raise
        finally:
            thread.shutdown(wait=False)
        job = prepared.result()
        self.worker.add(job)
        self._job.set_result(job)

    def _weigh(self) -> Generator[bool, None, None]:
        """Let the maps count as much as a render says; alike where there is none."""
        self.weighs = True
        try:
            found = self.sensitivity = yield from sensitivity.measured(self._stack, self._settings.weigh)
        except ImageGSError as error:
            self.weighed_alike = str(error)
            self._settings = replace(self._settings, weigh="alike")
        else:
            self._settings = replace(self._settings, map_weights=found.weights() | dict(self._settings.map_weights))
        finally:
            self.weighs = False


def _discard(prepared: Future[Job]) -> None:
    """A job that nobody waits for any more gives its files back."""
    if prepared.exception() is None:
        prepared.result().discard()
