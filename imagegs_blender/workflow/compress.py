"""Compress the textures of materials: read, fit, build, replace.

steps() does the work and stops between polls of the fit, so that a button can keep the window alive and batch.py can
print; run.py drives it. The open file changes in the last step only, all at once.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import bpy

from ..blend import border
from ..blend.decoder import Decoder, find, share
from ..blend.properties import AUTO
from ..blend.record import OriginalMap, Record
from ..core.encoding.encode import Encoded, Progress
from ..core.encoding.report import FitReport
from ..core.errors import Cancelled, ImageGSError
from ..core.process.worker import Worker
from ..core.settings import FitSettings
from ..scene import cost, material_stack, replace
from ..scene.coverage import Importance
from ..scene.material_stack import Plan, Sampling, StackPlan
from ..shaders import decoder as builder
from . import auto_kind, limits, selection, worth
from .max_detail import wanted_detail
from .notices import Notice, Severity
from .reading import SMALLEST, Reading


class Phase(Enum):
    """What is being done. All stacks are read and fitted, one after the other, before the first decoder is built."""

    READING = "reading textures"
    WEIGHING = "weighing maps by a render"
    PREPARING = "preparing for this computer (once)"
    FITTING = "fitting"
    BUILDING = "building decoders"


@dataclass(frozen=True)
class Update:
    """Where the work is.

    names      of all stacks
    index      of the stack in progress, from 0
    progress   of its fit; None while that has nothing new to say
    waiting    there is nothing to do here but to wait
    part       how much of PREPARING is done, 0..1
    """

    names: tuple[str, ...]
    index: int
    phase: Phase
    progress: Progress | None = None
    waiting: bool = False
    part: float = 0.0

    @property
    def stack(self) -> str:
        """The name of the stack in progress."""
        return self.names[self.index]

    @property
    def fitted(self) -> int:
        """Stacks whose fit is finished."""
        return len(self.names) if self.phase is Phase.BUILDING else self.index


@dataclass(frozen=True)
class Done:
    """A stack that is compressed.

    decoders  their names, one for each sampling
    seconds   of its turn: reading, fitting, building
    rendered  PSNR of a render of it, dB, roughly; None where none weighed its maps
    """

    stack: StackPlan
    decoders: tuple[str, ...]
    report: FitReport
    seconds: float
    rendered: float | None = None


@dataclass
class Outcome:
    """What came of a compression, and what there is to tell about it."""

    plan: Plan
    done: list[Done] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    def of(self, severity: Severity) -> list[Notice]:
        """The notices of a severity."""
        return [notice for notice in self.notices if notice.severity is severity]


def planned(materials: Iterable[bpy.types.Material], again: bool = False, own_amounts: bool = True) -> Plan:
    """What compressing these materials means.

    again         from the originals that they keep, where they are compressed
    own_amounts   materials that have a size or quality of their own get it
    """
    materials = list(materials)
    with replace.originals_shown(materials) if again else nullcontext():
        return material_stack.plan(materials, own_amounts)


def steps(
    plan: Plan,
    settings: FitSettings,
    importance: Importance | None = None,
    again: bool = False,
    only_smaller: bool = False,
    kind: str | None = None,
    worker_options: Mapping[str, Any] | None = None,
) -> Generator[Update, None, Outcome]:
    """Compress what is planned, one poll at a time. A stack that fails leaves its materials as they were.

    Closing the generator stops the work and leaves the file as it was.
    importance       which texels count; default all
    again            the plan is of compressed materials' originals: the new decoders take the place of the old
    only_smaller     stacks that would take no less of the file, or turn out to, stay as they are
    kind             of the decoders, one of properties.KINDS; None: Auto, or as those were whose place they take
    worker_options   options of worker.Worker
    """
    outcome = Outcome(worth.sifted(plan, settings) if only_smaller else plan)
    plan = outcome.plan
    names = tuple(stack.name for stack in plan.stacks)
    fits: list[_Fit] = []
    options = worker_options or {}
    alone = settings.time_budget is not None or bool(options.get("python"))  # another Python is there for a GPU
    has_begun = False
    with ExitStack() as ending:
        workers = [ending.enter_context(Worker(**options)) for _ in range(1 if alone else 2)]
        readings = []
        for index, stack in enumerate(plan.stacks):
            worker = workers[index % len(workers) if stack.texels <= SMALLEST else 0]
            readings.append(Reading(stack, stack.settings(settings), importance, worker))
            ending.callback(readings[-1].close)
        for index, (stack, reading) in enumerate(zip(plan.stacks, readings, strict=True)):
            start = time.perf_counter()
            with _caught(stack, outcome):
                while not reading.done:
                    waiting = not reading.advance()
                    yield Update(names, index, Phase.WEIGHING if reading.weighs else Phase.READING, waiting=waiting)
                job = reading.job()
                ahead = next((other for other in readings[index + 1 : index + 2] if other.is_small), None)
                while not job.done:
                    for worker in workers:
                        worker.listen()
                    reports = job.progress()
                    has_begun |= bool(reports)  # before that, a child may be preparing what the other needs, too
                    waiting = not (ahead and has_begun and ahead.advance())
                    preparing = reading.worker.preparing
                    if preparing is not None:
                        yield Update(names, index, Phase.PREPARING, waiting=waiting, part=preparing)
                        continue
                    yield Update(names, index, Phase.FITTING, reports[-1] if reports else None, waiting)
                encoded = job.result()
                reason = worth.loss(stack, len(encoded.data)) if only_smaller else None
                if reading.weighed_alike:
                    text = f"{reading.weighed_alike}; all maps count alike"
                    outcome.notices.append(Notice(Severity.WARNING, stack.name, text, stack.materials))
                if reason is not None:
                    outcome.plan = worth.without(outcome.plan, stack, reason)
                else:
                    weighed = reading.sensitivity
                    rendered = weighed.psnr(encoded.report.psnr) if weighed else None
                    seconds = time.perf_counter() - start
                    fits.append(_Fit(index, stack, encoded, seconds, reading.shown, rendered))
    outcome.notices += [
        Notice(
            Severity.INFO,
            ", ".join(filter(None, (skipped.material, skipped.image))),
            skipped.reason,
            (skipped.material,),
        )
        for skipped in outcome.plan.skipped
    ]
    replaced = selection.decoders(_materials(plan)) if again else []
    kind = kind or _chosen_kind(replaced)
    auto = kind is None
    try:
        if kind is None:
            maps = (fit.encoded.stream.maps for fit in fits)
            kind = auto_kind.decide(border.scene(bpy.context), maps, replaced)
        for fit in fits:
            start = time.perf_counter()
            with _caught(fit.stack, outcome):
                fit.decoders = _decoders(fit, fit.stack.settings(settings), kind, auto)
            fit.seconds += time.perf_counter() - start
            yield Update(names, fit.index, Phase.BUILDING)
        built = [fit for fit in fits if fit.decoders]
        if again and built:
            _restore(_materials(plan), [name for fit in built for name in fit.decoders.values()])
            for fit in built:
                fit.decoders = {
                    sampling: _named(name, _name(fit.stack, sampling)) for sampling, name in fit.decoders.items()
                }
        for fit in built:
            with _caught(fit.stack, outcome):
                replace.replace(fit.stack, {sampling: find(name) for sampling, name in fit.decoders.items()})
                their_names = tuple(fit.decoders.values())
                outcome.done.append(Done(fit.stack, their_names, fit.encoded.report, fit.seconds, fit.rendered))
                if fit.encoded.report.warning:
                    outcome.notices.append(Notice(Severity.WARNING, fit.stack.name, fit.encoded.report.warning))
        outcome.notices += limits.too_many(_materials(plan))
    finally:
        replace.remove_unused_decoders()
    return outcome


@dataclass
class _Fit:
    """A finished fit on its way into the file; decoders are the names of its decoders once they are built.

    seconds   from its turn on: reading (but for what was read ahead), fitting, building
    shown     what of the texture counted, as Record.shown
    rendered  as Done.rendered
    """

    index: int
    stack: StackPlan
    encoded: Encoded
    seconds: float
    shown: str
    rendered: float | None = None
    decoders: dict[Sampling, str] = field(default_factory=dict)


@contextmanager
def _caught(stack: StackPlan, outcome: Outcome) -> Iterator[None]:
    """What goes wrong with one stack is noted, and does not stop the others."""
    try:
        yield
    except ImageGSError as error:
        text = str(error)
    except Cancelled:
        raise
    except Exception as error:  # a bug of ours must not cost the other materials; the traceback says where it is
        traceback.print_exc()
        text = f"internal error, please report it: {error!r}"
    else:
        return
    outcome.notices.append(Notice(Severity.ERROR, stack.name, text, stack.materials))


def _chosen_kind(replaced: Iterable[Decoder]) -> str | None:
    """The kind that a person chose for all of these that are not Auto; None where there is none, or several."""
    kinds = {decoder.kind for decoder in replaced if decoder.is_sound and not decoder.is_auto}
    return kinds.pop() if len(kinds) == 1 else None


def _decoders(fit: _Fit, settings: FitSettings, kind: str, auto: bool) -> dict[Sampling, str]:
    """Build a decoder for each sampling from the stream, as a reader of the file would; returns their names."""
    stack, encoded = fit.stack, fit.encoded
    before = {m.name: cost.image(m.image.find()) for m in stack.maps}
    originals = {
        m.name: OriginalMap(m.image.name, m.labels, m.alpha_linked, before[m.name].disk, before[m.name].memory)
        for m in stack.maps
    }
    decoders: dict[Sampling, Decoder] = {}
    for sampling in stack.samplings:
        record = Record(
            settings.changed(), encoded.report, sampling.extension, originals, sampling.projection, fit.shown
        )
        name = _name(stack, sampling)
        decoder = builder.create(name, encoded.stream, encoded.data, record, stack.tiles, wanted_detail(), kind)
        AUTO.write(decoder.tree, auto)
        decoders[sampling] = decoder
    if len(decoders) > 1:
        share(list(decoders.values()))
    return {sampling: decoder.name for sampling, decoder in decoders.items()}


def _name(stack: StackPlan, sampling: Sampling) -> str:
    """The name of a stack's decoder, as far as it is free."""
    return f"Image-GS {stack.name}{'' if sampling == stack.samplings[0] else f' {sampling}'}"


def _named(name: str, wanted: str) -> str:
    """Give a decoder the name that the one before it had; returns the name that it has then."""
    tree = find(name).tree
    tree.name = wanted
    return tree.name


def _restore(materials: list[bpy.types.Material], waiting: list[str]) -> None:
    """Put originals back; decoders that wait for their place, and that nothing uses yet, stay."""
    groups = [find(name).tree for name in waiting]
    for group in groups:
        group.use_fake_user = True
    replace.restore(materials)
    for group in groups:
        group.use_fake_user = False


def _materials(plan: Plan) -> list[bpy.types.Material]:
    names = {name for stack in plan.stacks for name in stack.materials}
    return [material for material in bpy.data.materials if material.name in names and material.library is None]
