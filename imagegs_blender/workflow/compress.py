"""Compress the textures of materials: plan, read, fit, store, replace.

steps() does the work and stops between polls of the fit, so that the button can keep the window alive and batch.py
can print; compress() runs it in one go. The open file changes in the last step only, all at once.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import bpy

from ..blend import storage
from ..core.encoding.encode import Encoded, Progress
from ..core.errors import Cancelled, ImageGSError
from ..core.igs.stream import read as read_stream
from ..core.process import worker
from ..core.settings import FitSettings
from ..core.textures import texture_stack
from ..scene import cost, coverage, material_stack, pixels, replace
from ..scene.coverage import Importance
from ..scene.material_stack import Plan, StackPlan
from ..shaders import decoder
from . import limits, rebuild

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Update:
    """Where the work is: stack `index` (from 0) of `count`, whose `names` are these; index is count while decoders are built.

    progress is None while the fit has nothing new to say.
    """

    stack: str
    index: int
    count: int
    progress: Progress | None
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Done:
    """A stack that is compressed: report has codec.Encoded.report's keys, seconds includes reading and building."""

    stack: StackPlan
    group: str
    report: dict[str, Any]
    seconds: float


@dataclass(frozen=True)
class Failed:
    stack: StackPlan
    error: str


@dataclass
class Outcome:
    plan: Plan
    done: list[Done] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What is done, but does not render right everywhere: a line each."""


def compress(
    materials: Iterable[bpy.types.Material],
    settings: FitSettings,
    update: Callable[[Update], None] | None = None,
    importance: Importance | None = None,
    again: bool = False,
    worker_options: Mapping[str, Any] | None = None,
) -> Outcome:
    """Compress what can be compressed of these materials. A stack that fails leaves its materials as they were.

    The update callback is called several times a second; what it raises stops the work, leaves the file as it was,
    and is passed on. The other options are those of steps().
    """
    running = steps(materials, settings, importance, again, worker_options)
    while True:
        try:
            now = next(running)
        except StopIteration as end:
            return end.value
        if update is not None:
            try:
                update(now)
            except BaseException:
                running.close()
                raise
        if now.progress is None:
            time.sleep(POLL_SECONDS)


def steps(
    materials: Iterable[bpy.types.Material],
    settings: FitSettings,
    importance: Importance | None = None,
    again: bool = False,
    worker_options: Mapping[str, Any] | None = None,
) -> Generator[Update, None, Outcome]:
    """The work of compress(), one poll at a time. Closing the generator stops it and leaves the file as it was.

    importance       which texels count; default all
    again            compress what is compressed already anew, from the originals that it keeps
    worker_options   options of worker.Job
    """
    materials = list(materials)
    with replace.originals_shown(materials) if again else nullcontext():
        outcome = Outcome(material_stack.plan(materials))
    names = tuple(plan.name for plan in outcome.plan.stacks)
    results: list[_Result] = []
    for index, plan in enumerate(outcome.plan.stacks):
        start = time.perf_counter()
        with _caught(plan, outcome):
            job = yield from _started(plan, index, names, settings, importance, worker_options or {})
            try:
                while not job.done:
                    reports = job.poll()
                    yield Update(plan.name, index, len(names), reports[-1] if reports else None, names)
                encoded = job.result()
            finally:
                job.cancel()
            results.append(_Result(plan, encoded, start))
    try:
        for result in results:
            with _caught(result.plan, outcome):
                result.group = _decoder(result.plan, result.encoded, settings)
            yield Update(result.plan.name, len(names), len(names), None, names)
        if again and any(result.group for result in results):
            _restore(_named(outcome.plan), [result.group for result in results if result.group])
        for result in results:
            if result.group:
                with _caught(result.plan, outcome):
                    replace.replace(result.plan, storage.find(result.group))
                    seconds = time.perf_counter() - result.start
                    outcome.done.append(Done(result.plan, result.group, result.encoded.report, seconds))
        outcome.warnings += limits.too_many(_named(outcome.plan))
    finally:
        replace.remove_unused_decoders()
    return outcome


@dataclass
class _Result:
    """A finished fit on its way into the file; group is the name of its decoder once that is built."""

    plan: StackPlan
    encoded: Encoded
    start: float
    group: str | None = None


@contextmanager
def _caught(plan: StackPlan, outcome: Outcome) -> Iterator[None]:
    """What goes wrong with one stack is noted, and does not stop the others."""
    try:
        yield
    except ImageGSError as error:
        outcome.failed.append(Failed(plan, str(error)))
    except Cancelled:
        raise
    except Exception as error:  # a bug of ours must not cost the other materials; the traceback says where it is
        traceback.print_exc()
        outcome.failed.append(Failed(plan, f"internal error, please report it: {error!r}"))


def _started(
    plan: StackPlan,
    index: int,
    names: tuple[str, ...],
    settings: FitSettings,
    importance: Importance | None,
    options: Mapping[str, Any],
) -> Generator[Update, None, worker.Job]:
    """The fit of a stack, started: its maps are read one by one, and joined in a thread."""
    sources = []
    for map_plan in plan.maps:
        sources.append(pixels.read_map(map_plan))
        yield Update(plan.name, index, len(names), None, names)
    weights = coverage.prepare(plan, importance) if importance else None

    def prepare() -> worker.Job:
        job = worker.Job(texture_stack.build(sources, plan.wrap, weights() if weights else None), settings, **options)
        job.write()
        return job

    thread = ThreadPoolExecutor(1)
    prepared = thread.submit(prepare)
    try:
        while not prepared.done():
            yield Update(plan.name, index, len(names), None, names)
    except BaseException:
        prepared.add_done_callback(_discard)
        raise
    finally:
        thread.shutdown(wait=False)
    job = prepared.result()
    job.start()
    return job


def _discard(prepared: Future[worker.Job]) -> None:
    """A job that nobody waits for any more gives its files back."""
    if prepared.exception() is None:
        prepared.result().cancel()


def _decoder(plan: StackPlan, encoded: Encoded, settings: FitSettings) -> str:
    """Build the decoder from the stream, as a reader of the file would; returns its name."""
    name = f"Image-GS {plan.name}"
    stream, detail = read_stream(encoded.data), rebuild.wanted_detail()
    group = decoder.create(name, stream, plan.extension, plan.tiles, detail, plan.projection)
    before = {m.name: cost.image(m.image.find()) for m in plan.maps}
    record = {
        "settings": asdict(settings),
        "report": encoded.report,
        "extension": plan.extension,
        "originals": {
            m.name: {"image": m.image.name, "labels": m.labels, "alpha_linked": m.alpha_linked} | asdict(before[m.name])
            for m in plan.maps
        },
    }
    storage.store(group, encoded.data, record)
    return group.name


def _restore(materials: list[bpy.types.Material], waiting: list[str]) -> None:
    """Put originals back; decoders that wait for their place, and that nothing uses yet, stay."""
    groups = [storage.find(name) for name in waiting]
    for group in groups:
        group.use_fake_user = True
    replace.restore(materials)
    for group in groups:
        group.use_fake_user = False


def _named(plan: Plan) -> list[bpy.types.Material]:
    names = {name for stack_plan in plan.stacks for name in stack_plan.materials}
    return [material for material in bpy.data.materials if material.name in names and not material.library]
