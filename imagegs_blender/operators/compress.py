"""Compress the textures of materials: plan, read, fit, store, replace.

steps() does the work and stops between polls of the fit, so that the button can keep the window alive and batch.py
can print; compress() runs it in one go.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Generator, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import bpy

from ..core import stack, tables, worker
from ..core.codec import Encoded, Progress
from ..core.errors import Cancelled, ImageGSError
from ..core.settings import DEFAULT_BPP, PRESETS, FitSettings
from ..core.stream import read as read_stream
from ..scene import material_stack, pixels, replace, storage
from ..scene.material_stack import Plan, StackPlan
from ..shaders import node_group
from . import selection

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Update:
    """Where the work is: stack `index` (from 0) of `count`. progress is None while the fit has nothing new to say."""

    stack: str
    index: int
    count: int
    progress: Progress | None


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


def compress(
    materials: Iterable[bpy.types.Material], settings: FitSettings, update: Callable[[Update], None] | None = None
) -> Outcome:
    """Compress what can be compressed of these materials. A stack that fails leaves its materials as they were.

    The update callback is called several times a second; what it raises stops the work, without a trace of the
    stack in progress, and is passed on.
    """
    running = steps(materials, settings)
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


def steps(materials: Iterable[bpy.types.Material], settings: FitSettings) -> Generator[Update, None, Outcome]:
    """The work of compress(), one poll at a time. Closing the generator stops the fit; finished stacks stay."""
    outcome = Outcome(material_stack.plan(materials))
    count = len(outcome.plan.stacks)
    for index, plan in enumerate(outcome.plan.stacks):
        start = time.perf_counter()
        try:
            job = worker.Job(stack.build(pixels.read(plan), plan.wrap), settings)
            job.start()
            try:
                while not job.done:
                    reports = job.poll()
                    yield Update(plan.name, index, count, reports[-1] if reports else None)
                encoded = job.result()
            finally:
                job.cancel()
            group = _put_in_place(plan, encoded, settings)
        except ImageGSError as error:
            outcome.failed.append(Failed(plan, str(error)))
            continue
        except Cancelled:
            raise
        except Exception as error:  # a bug of ours must not cost the other materials; the traceback says where it is
            traceback.print_exc()
            outcome.failed.append(Failed(plan, f"internal error, please report it: {error!r}"))
            continue
        outcome.done.append(Done(plan, group.name, encoded.report, time.perf_counter() - start))
    return outcome


def _put_in_place(plan: StackPlan, encoded: Encoded, settings: FitSettings) -> bpy.types.ShaderNodeTree:
    """Build the decoder from the stream, as a reader of the file would, and let it replace the image nodes."""
    decoded = read_stream(encoded.data)
    group = node_group.build(f"Image-GS {plan.name}", decoded.maps, tables.build(decoded.gaussians), plan.extension)
    storage.store(group, encoded.data, {"settings": asdict(settings), "report": encoded.report})
    try:
        replace.replace(plan, group)
    except ImageGSError:
        replace.remove_unused_decoders()
        raise
    return group


class IMAGEGS_OT_compress(bpy.types.Operator):
    """Compress the image textures of the selected objects' materials into 2D Gaussians"""

    bl_idname = "imagegs.compress"
    bl_label = "Compress Textures"
    bl_options = {"REGISTER", "UNDO"}

    preset: bpy.props.EnumProperty(
        name="Preset", items=[(name, name.title(), "") for name in PRESETS], default="balanced"
    )
    bpp: bpy.props.FloatProperty(
        name="Bits per Pixel",
        description="Size of a stack, all maps together, over the texels of its largest map",
        default=DEFAULT_BPP,
        min=0.01,
        max=64,
    )
    seed: bpy.props.IntProperty(name="Seed", default=0, min=0)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Compress in one go: scripts and background mode."""
        try:
            return self._finish(compress(selection.materials(context.selected_objects), self._settings()))
        except ImageGSError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Compress with the window alive; Escape stops the fit and keeps the stacks that are finished."""
        try:
            self._running = steps(selection.materials(context.selected_objects), self._settings())
        except ImageGSError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self._timer = context.window_manager.event_timer_add(POLL_SECONDS, window=context.window)
        context.window_manager.progress_begin(0, 1)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type == "ESC":
            self._stop(context)
            self.report({"WARNING"}, "stopped: the stack in progress was left as it was")
            return {"FINISHED"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        try:
            now = next(self._running)
        except StopIteration as end:
            self._stop(context)
            return self._finish(end.value)
        except BaseException:
            self._stop(context)
            raise
        if now.progress is not None:
            part = now.progress.step / max(1, now.progress.steps)
            context.window_manager.progress_update((now.index + part) / now.count)
            context.workspace.status_text_set(f"Image-GS: {now.stack}, {now.progress.phase} {part:.0%} (Escape stops)")
        return {"PASS_THROUGH"}

    def _settings(self) -> FitSettings:
        return FitSettings.preset(self.preset, bpp=self.bpp, seed=self.seed)

    def _stop(self, context: bpy.types.Context) -> None:
        self._running.close()
        context.window_manager.event_timer_remove(self._timer)
        context.window_manager.progress_end()
        context.workspace.status_text_set(None)

    def _finish(self, outcome: Outcome) -> set[str]:
        for failed in outcome.failed:
            self.report({"ERROR"}, f"{failed.stack.name}: {failed.error}")
        for skipped in outcome.plan.skipped:
            self.report({"INFO"}, f"left as it is: {skipped}")
        if not outcome.done:
            return {"CANCELLED"}
        size = sum(done.report["bytes"] for done in outcome.done)
        self.report({"INFO"}, f"{len(outcome.done)} texture stacks compressed to {size / 1000:.0f} kB")
        return {"FINISHED"}


def register() -> None:
    bpy.utils.register_class(IMAGEGS_OT_compress)


def unregister() -> None:
    bpy.utils.unregister_class(IMAGEGS_OT_compress)
