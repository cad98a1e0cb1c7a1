"""More room for a stack that does not look good."""

from __future__ import annotations

from dataclasses import replace

import bpy

from ..blend import amount, border
from ..blend.decoder import Decoder, find
from ..core.errors import ImageGSError
from ..scene import cost
from ..scene.material_stack import Plan
from ..workflow import reach, selection, summary
from ..workflow.compress import Outcome, planned
from .compress import PressAgain


class IMAGEGS_OT_reach_quality(PressAgain, bpy.types.Operator):
    """Compress this again with the size that would look good, from the originals. Its materials keep that size"""

    bl_idname = "imagegs.reach_quality"
    bl_label = "Reach Good Quality"
    bl_options = {"REGISTER", "UNDO"}

    decoder: bpy.props.StringProperty(name="Decoder", description="Name of its node group", options={"SKIP_SAVE"})

    def _plan(self, context: bpy.types.Context) -> Plan:
        """The decoder's stack with the size that it needs; others of the same materials with the size that they have."""
        chosen = find(self.decoder)
        wanted = reach.size(summary.of(chosen))
        if wanted is None:
            raise ImageGSError(f"{self.decoder}: the originals take no more than good quality would; restore them")
        materials = self._materials(context)
        sizes = {decoder: decoder.stream_size for decoder in selection.decoders(materials) if decoder.is_sound}
        sizes[chosen] = self._wanted = wanted
        by_image = {image: size for decoder, size in sizes.items() for image in _images(decoder)}
        plan = planned(materials, self.again)
        amounts = [max(by_image.get(m.image.name, 0) for m in stack.maps) for stack in plan.stacks]
        stacks = zip(plan.stacks, amounts, strict=True)
        return replace(
            plan, stacks=tuple(replace(stack, amount=(("max_bytes", size),)) for stack, size in stacks if size)
        )

    def _materials(self, context: bpy.types.Context) -> list[bpy.types.Material]:
        return cost.materials_with(find(self.decoder))

    def _finish(self, outcome: Outcome) -> border.Result:
        for done in outcome.done:
            if dict(done.stack.amount)["max_bytes"] != self._wanted:
                continue
            for name in done.stack.materials:
                remembered = amount.of(border.local_material(name))
                remembered.has_own, remembered.rate, remembered.max_kilobytes = True, "SIZE", self._wanted / 1000
        return super()._finish(outcome)


def _images(decoder: Decoder) -> set[str]:
    """The names of the images that a decoder was made from."""
    return {original.image for original in decoder.record.originals.values()}


register, unregister = border.registered(IMAGEGS_OT_reach_quality)
