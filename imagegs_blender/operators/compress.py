"""The big button: compress with the window alive, cancel, compress again with other settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bpy

from ..blend import border
from ..blend.properties import KINDS
from ..core.errors import ImageGSError
from ..core.settings import PRESETS, FitSettings
from ..core.textures.texture_stack import OVERALL
from ..scene.material_stack import Plan
from ..workflow import pace, run, selection, uv_changes
from ..workflow.compress import Outcome, planned
from ..workflow.notices import Severity
from .messages import counted, say
from .preferences import where, worker_options
from .settings import IMAGEGS_PG_settings

_REDRAWN = {"VIEW_3D": "UI", "NODE_EDITOR": "UI", "PROPERTIES": "WINDOW"}
"""Editors and the regions of them that show progress; a viewport itself may take long to draw."""


_SCRIPTS = {"HIDDEN", "SKIP_SAVE"}
"""Options of properties that scripts may pass; a person sets the scene's."""


BUSY = "A compression is running: wait for it, or press Cancel"


if TYPE_CHECKING:
    _Base = bpy.types.Operator
else:
    _Base = object  # the buttons are the operators


class Press(_Base):
    """What compressing for the first time and again have in common."""

    again = False

    preset: bpy.props.EnumProperty(
        name="Preset", items=[(name, name.title(), "") for name in PRESETS], default="balanced", options=_SCRIPTS
    )
    bpp: bpy.props.FloatProperty(name="Bits per Pixel", default=1.0, min=0.01, max=64, options=_SCRIPTS)
    seed: bpy.props.IntProperty(name="Seed", default=0, min=0, options=_SCRIPTS)
    even_if_not_smaller: bpy.props.BoolProperty(name="Even If Not Smaller", default=False, options=_SCRIPTS)
    kind: bpy.props.EnumProperty(
        name="Decoder", items=[(kind, kind.title(), "") for kind in ("AUTO", *KINDS)], default="AUTO", options=_SCRIPTS
    )

    def execute(self, context: bpy.types.Context) -> border.Result:
        """Compress in one go: scripts and background mode."""
        try:
            plan = self._plan(context)
            return self._finish(run.compress(plan, self._settings(context), **self._options(context)))
        except ImageGSError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> border.Result:
        """Compress with the window alive."""
        if run.current is not None:
            self.report({"WARNING"}, say(BUSY))
            return {"CANCELLED"}
        try:
            plan = self._plan(context)
            self._run = run.start(plan, self._settings(context), **self._options(context))
        except ImageGSError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self._timer = border.window_manager(context).event_timer_add(run.POLL_SECONDS, window=context.window)
        border.window_manager(context).modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> border.Result:
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
        run.end()
        border.window_manager(context).event_timer_remove(self._timer)
        _redraw(context)

    def _plan(self, context: bpy.types.Context) -> Plan:
        """What is to be compressed; a rate that a script passes is for all materials."""
        return planned(self._materials(context), self.again, not self.properties.is_property_set("bpp"))

    def _materials(self, context: bpy.types.Context) -> list[bpy.types.Material]:
        materials = selection.chosen(context)
        if not materials:
            raise ImageGSError(selection.NOTHING[selection.scope(context)])
        return materials

    def _settings(self, context: bpy.types.Context) -> FitSettings:
        """The scene's settings, or what a script passed."""
        chosen: IMAGEGS_PG_settings = border.ours(context.scene).imagegs
        given = {name: getattr(self, name) for name in ("bpp", "seed") if self.properties.is_property_set(name)}
        if not self.properties.is_property_set("preset") and not given:
            return chosen.fit_settings()
        preset = self.preset if self.properties.is_property_set("preset") else chosen.preset
        return FitSettings.preset(preset, weigh=chosen.weigh.lower(), **where(), **{"seed": chosen.seed} | given)

    def _options(self, context: bpy.types.Context) -> dict[str, Any]:
        chosen: IMAGEGS_PG_settings = border.ours(context.scene).imagegs
        return {
            "importance": chosen.weighting(),
            "again": self.again,
            "only_smaller": not (self.again or self.even_if_not_smaller or chosen.even_if_not_smaller),
            "kind": None if self.kind == "AUTO" else self.kind,
            "worker_options": worker_options(),
        }

    def _finish(self, outcome: Outcome) -> border.Result:
        uv_changes.refresh()
        pace.learn(outcome.done, self._settings(bpy.context))
        for severity in (Severity.ERROR, Severity.WARNING):
            for notice in outcome.of(severity):
                word: Any = severity.name  # in the words of Blender's reports
                self.report({word}, str(notice))
        left = outcome.plan.left_out()
        for line in left:
            self.report({"INFO"}, say("Left as it is: {what}").format(what=line))
        if not outcome.done:
            if not outcome.of(Severity.ERROR):
                reason = left[0] if left else say("no image textures were found")
                self.report({"WARNING"}, say("Nothing was compressed: {reason}").format(reason=reason))
            return {"CANCELLED"}
        size = sum(done.report.bytes or 0 for done in outcome.done)
        qualities = (done.report.psnr[OVERALL] for done in outcome.done)
        worst = min(quality for quality in qualities if quality is not None)
        stacks = counted(len(outcome.done), "texture stack", "texture stacks")
        text = say("Compressed {stacks} to {size:.0f} KB, {quality:.1f} dB or more")
        text = text.format(stacks=stacks, size=size / 1000, quality=worst)
        rendered = [done.rendered for done in outcome.done if done.rendered is not None]
        if rendered:
            text += say("; about {quality:.1f} dB or more in a render").format(quality=min(rendered))
        self.report({"INFO"}, text)
        return {"FINISHED"}


class IMAGEGS_OT_compress(Press, bpy.types.Operator):
    """Turn the image textures of the chosen materials into small sets of 2D Gaussians. Undo brings them back"""

    bl_idname = "imagegs.compress"
    bl_label = "Compress Materials"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if run.current is not None:
            cls.poll_message_set(BUSY)
            return False
        materials = selection.chosen(context)
        if not materials:
            cls.poll_message_set(selection.NOTHING[selection.scope(context)])
            return False
        if selection.is_all_compressed(materials):
            cls.poll_message_set("Everything is compressed: Recompress does it again, with the settings below")
            return False
        return True


class PressAgain(Press):
    """Compressing again, from the originals."""

    again = True

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if run.current is not None:
            cls.poll_message_set(BUSY)
            return False
        return selection.poll_originals(cls, context)


class IMAGEGS_OT_recompress(PressAgain, bpy.types.Operator):
    """Compress the chosen materials anew, from their kept originals, with the settings above"""

    bl_idname = "imagegs.recompress"
    bl_label = "Recompress"
    bl_options = {"REGISTER", "UNDO"}


class IMAGEGS_OT_cancel(bpy.types.Operator):
    """Stop compressing and leave everything as it was"""

    bl_idname = "imagegs.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if run.current is None:
            cls.poll_message_set("Nothing is being compressed")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> border.Result:
        assert run.current is not None  # poll
        run.current.close()
        return {"FINISHED"}


def _redraw(context: bpy.types.Context) -> None:
    for window in border.window_manager(context).windows:
        for area in window.screen.areas:
            for region in area.regions:
                if region.type == _REDRAWN.get(area.type):
                    region.tag_redraw()


register, unregister = border.registered(IMAGEGS_OT_compress, IMAGEGS_OT_recompress, IMAGEGS_OT_cancel)
