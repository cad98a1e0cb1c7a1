"""More room for a stack that does not look good."""

from __future__ import annotations

from dataclasses import replace

import bpy

from ..blend import amount, border
from ..blend.decoder import find
from ..core.errors import ImageGSError
from ..scene import cost
from ..scene.material_stack import Plan
from ..workflow import reach, summary
from ..workflow.compress import Outcome, planned
from .compress import IMAGEGS_OT_recompress, Press


class IMAGEGS_OT_reach_quality(Press, bpy.types.Operator):
    """Compress this again with the size that would look good, from the originals. Its materials keep that size"""

    bl_idname = "imagegs.reach_quality"
    bl_label = "Reach Good Quality"
    bl_options = {"REGISTER", "UNDO"}
    again = True

    decoder: bpy.props.StringProperty(name="Decoder", description="Name of its node group", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return IMAGEGS_OT_recompress.poll(context)

    def _plan(self, context: bpy.types.Context) -> Plan:
        wanted = tuple(self._wanted().items())
        plan = planned(self._materials(context), self.again)
        return replace(plan, stacks=tuple(replace(stack, amount=wanted) for stack in plan.stacks))

    def _materials(self, context: bpy.types.Context) -> list[bpy.types.Material]:
        return cost.materials_with(find(self.decoder))

    def _wanted(self) -> dict[str, float]:
        size = reach.size(summary.of(find(self.decoder)))
        if size is None:
            raise ImageGSError(f"{self.decoder}: the originals take no more than good quality would; restore them")
        return {"max_bytes": size}

    def _finish(self, outcome: Outcome) -> border.Result:
        for done in outcome.done:
            for name in done.stack.materials:
                remembered = amount.of(border.local_material(name))
                remembered.has_own, remembered.rate = True, "SIZE"
                remembered.max_kilobytes = dict(done.stack.amount)["max_bytes"] / 1000
        return super()._finish(outcome)


register, unregister = border.registered(IMAGEGS_OT_reach_quality)
