"""The big button: compress with the window alive, cancel, compress again with other settings."""

from __future__ import annotations

import time
from collections.abc import Iterable

import bpy

from ..core.errors import ImageGSError
from ..core.settings import PRESETS, FitSettings
from ..workflow import selection
from ..workflow.compress import POLL_SECONDS, Outcome, Update, compress, steps
from .messages import counted, say
from .preferences import device, worker_options

_REDRAWN = {"VIEW_3D": "UI", "NODE_EDITOR": "UI", "PROPERTIES": "WINDOW"}
"""Editors and the regions of them that show progress; a viewport itself may take long to draw."""


_SCRIPTS = {"HIDDEN", "SKIP_SAVE"}
"""Options of properties that scripts may pass; a person sets the scene's."""


class Run:
    """A compression that is under way."""

    def __init__(self, materials: Iterable[bpy.types.Material], settings: FitSettings, **options: object) -> None:
        self._steps = steps(materials, settings, **options)
        self._started = time.perf_counter()
        self.update: Update | None = None
        self.psnr: float | None = None
        self.phase = "reading textures"
        self.stopping = False

    def advance(self) -> Outcome | None:
        """Do the next piece; the outcome when that was the last."""
        try:
            now = next(self._steps)
        except StopIteration as end:
            return end.value
        if self.update is None or now.index != self.update.index:
            self.psnr, self.phase = None, "reading textures" if now.index < now.count else "building decoders"
        if now.progress is not None:
            self.psnr, self.phase = now.progress.psnr or self.psnr, now.progress.phase
        if now.progress is not None or self.update is None or now.index != self.update.index:
            self.update = now
        return None

    @property
    def part(self) -> float:
        """How much of the material in progress is done, 0..1."""
        progress = self.update and self.update.progress
        return progress.step / max(1, progress.steps) if progress else 0.0

    @property
    def whole(self) -> float:
        """How much of everything is done, 0..1."""
        if self.update is None:
            return 0.0
        return min((self.update.index + self.part) / max(1, self.update.count), 1.0)

    @property
    def seconds_left(self) -> float | None:
        """Judged by the pace so far; None while that says little."""
        elapsed = time.perf_counter() - self._started
        return elapsed / self.whole * (1 - self.whole) if self.whole > 0.02 else None

    def close(self) -> None:
        """Stop the work now and leave the file as it was."""
        self.stopping = True
        self._steps.close()


current: Run | None = None
"""The run in progress in this Blender; there is one at most."""

BUSY = "A compression is running: wait for it, or press Cancel"


class _Press:
    """What compressing for the first time and again have in common."""

    again = False

    preset: bpy.props.EnumProperty(
        name="Preset", items=[(name, name.title(), "") for name in PRESETS], default="balanced", options=_SCRIPTS
    )
    bpp: bpy.props.FloatProperty(name="Bits per Pixel", default=1.0, min=0.01, max=64, options=_SCRIPTS)
    seed: bpy.props.IntProperty(name="Seed", default=0, min=0, options=_SCRIPTS)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Compress in one go: scripts and background mode."""
        try:
            materials = self._materials(context)
            return self._finish(compress(materials, self._settings(context), **self._options(context)))
        except ImageGSError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Compress with the window alive."""
        global current
        if current is not None:
            self.report({"WARNING"}, say(BUSY))
            return {"CANCELLED"}
        try:
            current = Run(self._materials(context), self._settings(context), **self._options(context))
        except ImageGSError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self._run = current
        self._timer = context.window_manager.event_timer_add(POLL_SECONDS, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type == "ESC" and event.value == "PRESS":
            self._run.close()
        elif event.type != "TIMER" and not self._run.stopping:
            return {"PASS_THROUGH"}
        if self._run.stopping:
            self.cancel(context)
            self.report({"WARNING"}, say("Image-GS: cancelled, everything is as it was"))
            return {"CANCELLED"}
        try:
            outcome = self._run.advance()
        except BaseException as error:
            self.cancel(context)
            if isinstance(error, ImageGSError):
                self.report({"ERROR"}, str(error))
                return {"CANCELLED"}
            raise
        if outcome is not None:
            self.cancel(context)
            return self._finish(outcome)
        _redraw(context)
        return {"PASS_THROUGH"}

    def cancel(self, context: bpy.types.Context) -> None:
        """End the run; Blender calls this too, where it opens another file or quits meanwhile."""
        global current
        self._run.close()
        current = None
        context.window_manager.event_timer_remove(self._timer)
        _redraw(context)

    def _materials(self, context: bpy.types.Context) -> list[bpy.types.Material]:
        found = selection.materials(context.selected_objects)
        if not found:
            raise ImageGSError("no materials are selected: select objects that have materials")
        return found

    def _settings(self, context: bpy.types.Context) -> FitSettings:
        """The scene's settings, or what a script passed."""
        chosen = context.scene.imagegs
        given = {name: getattr(self, name) for name in ("bpp", "seed") if self.properties.is_property_set(name)}
        if not self.properties.is_property_set("preset") and not given:
            return chosen.fit_settings()
        preset = self.preset if self.properties.is_property_set("preset") else chosen.preset
        return FitSettings.preset(preset, device=device(), **{"seed": chosen.seed} | given)

    def _options(self, context: bpy.types.Context) -> dict[str, object]:
        importance = context.scene.imagegs.weighting()
        return {"importance": importance, "again": self.again, "worker_options": worker_options()}

    def _finish(self, outcome: Outcome) -> set[str]:
        for failed in outcome.failed:
            self.report({"ERROR"}, f"{failed.stack.name}: {failed.error}")
        for warning in outcome.warnings:
            self.report({"WARNING"}, warning)
        for line in outcome.plan.left_out():
            self.report({"INFO"}, say("Left as it is: {what}").format(what=line))
        if not outcome.done:
            if not outcome.failed:
                reason = f"{outcome.plan.skipped[0]}" if outcome.plan.skipped else say("no image textures were found")
                self.report({"WARNING"}, say("Nothing was compressed: {reason}").format(reason=reason))
            return {"CANCELLED"}
        for done in outcome.done:
            if "warning" in done.report:
                self.report({"WARNING"}, f"{done.stack.name}: {done.report['warning']}")
        size = sum(done.report["bytes"] for done in outcome.done)
        worst = min(done.report["psnr"]["overall"] for done in outcome.done)
        stacks = counted(len(outcome.done), "texture stack", "texture stacks")
        text = say("Compressed {stacks} to {size:.0f} KB, {quality:.1f} dB or more")
        self.report({"INFO"}, text.format(stacks=stacks, size=size / 1000, quality=worst))
        return {"FINISHED"}


class IMAGEGS_OT_compress(_Press, bpy.types.Operator):
    """Turn the image textures of the selected objects' materials into small sets of 2D Gaussians. Undo brings them back"""

    bl_idname = "imagegs.compress"
    bl_label = "Compress Selected Materials"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if current is not None:
            cls.poll_message_set(BUSY)
            return False
        if not selection.materials(context.selected_objects):
            cls.poll_message_set("Select objects that have materials")
            return False
        return True


class IMAGEGS_OT_recompress(_Press, bpy.types.Operator):
    """Compress the selected objects' materials anew, from their kept originals, with the settings above"""

    bl_idname = "imagegs.recompress"
    bl_label = "Recompress"
    bl_options = {"REGISTER", "UNDO"}
    again = True

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if current is not None:
            cls.poll_message_set(BUSY)
            return False
        return selection.poll_originals(cls, context)


class IMAGEGS_OT_cancel(bpy.types.Operator):
    """Stop compressing and leave everything as it was"""

    bl_idname = "imagegs.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if current is None:
            cls.poll_message_set("Nothing is being compressed")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        current.close()
        return {"FINISHED"}


def _redraw(context: bpy.types.Context) -> None:
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions:
                if region.type == _REDRAWN.get(area.type):
                    region.tag_redraw()


@bpy.app.handlers.persistent
def _stop(*_: object) -> None:
    """Another file is about to be opened."""
    global current
    if current is not None:
        current.close()
        current = None


_CLASSES = (IMAGEGS_OT_compress, IMAGEGS_OT_recompress, IMAGEGS_OT_cancel)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.app.handlers.load_pre.append(_stop)


def unregister() -> None:
    _stop()
    bpy.app.handlers.load_pre.remove(_stop)
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
