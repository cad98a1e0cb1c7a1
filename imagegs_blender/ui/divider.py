"""The divider of the split comparison, dragged in the picture itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import bpy
from mathutils import Matrix

from ..blend import border
from ..workflow import comparison

_REACH = 10
"""Pixels to each side of the divider where the mouse takes it."""

_ARROWS = ((-16, 0, 0), (-5, 9, 0), (-5, -9, 0), (16, 0, 0), (5, -9, 0), (5, 9, 0))
"""Two triangles that point away from the divider, pixels."""


class IMAGEGS_GT_divider(bpy.types.Gizmo):
    """Drag to see more of the original, or more of what the Gaussians give"""

    bl_idname = "IMAGEGS_GT_divider"

    def setup(self) -> None:
        self.arrows = self.new_custom_shape("TRIS", _ARROWS)

    def draw(self, context: bpy.types.Context) -> None:
        middle = Matrix.Translation((_place(context), _region(context).height / 2, 0))
        self.draw_custom_shape(self.arrows, matrix=middle)

    def test_select(self, context: bpy.types.Context, location: Iterable[int]) -> int:
        x, _ = location
        return 0 if abs(x - _place(context)) <= _REACH else -1

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> border.Result:
        return {"RUNNING_MODAL"}

    def modal(
        self, context: bpy.types.Context, event: bpy.types.Event, tweak: set[Literal["PRECISE", "SNAP"]] | None
    ) -> border.Result:
        across, _ = _region(context).view2d.region_to_view(event.mouse_region_x, 0)
        border.ours(context.scene).imagegs_compare.divider = min(max(across, 0.0), 1.0)
        assert context.area is not None
        context.area.tag_redraw()
        return {"RUNNING_MODAL"}


class IMAGEGS_GGT_divider(bpy.types.GizmoGroup):
    bl_idname = "IMAGEGS_GGT_divider"
    bl_label = "Divider"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "WINDOW"
    bl_options = {"PERSISTENT", "SHOW_MODAL_ALL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        space = context.space_data
        image = space.image if isinstance(space, bpy.types.SpaceImageEditor) else None
        shown = image is not None and image.name == comparison.IMAGE and comparison.current is not None
        return shown and border.ours(context.scene).imagegs_compare.view == "SPLIT"

    def setup(self, context: bpy.types.Context) -> None:
        gizmo = self.gizmos.new(IMAGEGS_GT_divider.bl_idname)
        gizmo.color = gizmo.color_highlight = (1.0, 0.6, 0.1)
        gizmo.alpha, gizmo.alpha_highlight = 0.8, 1.0
        gizmo.use_draw_modal = True


def _place(context: bpy.types.Context) -> float:
    """The divider in the region, pixels from its left."""
    return _region(context).view2d.view_to_region(border.ours(context.scene).imagegs_compare.divider, 0, clip=False)[0]


def _region(context: bpy.types.Context) -> bpy.types.Region:
    """The region that the divider is drawn in."""
    assert context.region is not None
    return context.region


register, unregister = border.registered(IMAGEGS_GT_divider, IMAGEGS_GGT_divider)
