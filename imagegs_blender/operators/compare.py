"""Original and decoded texels side by side in an Image Editor."""

from __future__ import annotations

from collections.abc import Callable

import bpy

from ..blend import border
from ..blend.decoder import decoders
from ..core.errors import ImageGSError
from ..workflow import comparison, selection
from ..workflow.comparison import VIEW_ITEMS

_names: list[tuple[str, str, str]] = []


def _stacks(self: bpy.types.PropertyGroup, context: bpy.types.Context | None) -> list[tuple[str, str, str]]:
    global _names  # Blender needs the strings of an enum to stay alive
    _names = [
        (f"{decoder.name}\n{name}", f"{name} ({decoder.short_name})", "")
        for decoder in decoders()
        if decoder.is_sound
        for name in decoder.record.map_names
    ]
    return _names or [("", "Nothing is compressed", "")]


def _show(settings: IMAGEGS_PG_compare, change: Callable[[], object] | None = None) -> None:
    """Show what was chosen, after a change of what is compared; the panel says where that is impossible."""
    try:
        if change is not None:
            change()
        if comparison.current is not None:
            image = bpy.data.images.get((comparison.IMAGE, None))
            before = tuple(image.size) if image is not None else None
            if tuple(comparison.show(settings).size) != before:
                _fit_soon()
        comparison.problem = None
    except ImageGSError as error:
        comparison.problem = str(error)


def _changed_map(self: IMAGEGS_PG_compare, context: bpy.types.Context) -> None:
    if self.map:
        decoder, name = self.map.split("\n")
        _show(self, lambda: comparison.load(decoder, name, self.lod))


def _changed_lod(self: IMAGEGS_PG_compare, context: bpy.types.Context) -> None:
    if comparison.current is not None:
        _show(self, lambda: comparison.set_level(self.lod))


def _changed_view(self: IMAGEGS_PG_compare, context: bpy.types.Context) -> None:
    _show(self)


class IMAGEGS_PG_compare(bpy.types.PropertyGroup):
    """What the comparison shows."""

    map: bpy.props.EnumProperty(name="Map", description="The map to compare", items=_stacks, update=_changed_map)
    view: bpy.props.EnumProperty(name="View", items=VIEW_ITEMS, default="SPLIT", update=_changed_view)
    divider: bpy.props.FloatProperty(
        name="Divider", description="Where original ends and decoded begins; drag it",
        default=0.5, min=0.0, max=1.0, subtype="FACTOR", update=_changed_view,
    )  # fmt: skip
    lod: bpy.props.FloatProperty(
        name="LOD", description="Level of detail of what is decoded: 0 is full detail, each level halves the resolution",
        default=0.0, min=0.0, soft_max=8.0, max=16.0, precision=1, update=_changed_lod,
    )  # fmt: skip
    gain: bpy.props.FloatProperty(
        name="Times", description="Differences are multiplied by this", default=8.0, min=1.0, max=64.0,
        update=_changed_view,
    )  # fmt: skip


class IMAGEGS_OT_compare(bpy.types.Operator):
    """Show original and decoded textures of the chosen materials side by side in an Image Editor"""

    bl_idname = "imagegs.compare"
    bl_label = "Compare in Image Editor"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return selection.poll_decoders(cls, context)

    def execute(self, context: bpy.types.Context) -> border.Result:
        decoder = selection.chosen_decoders(context)[0]
        settings: IMAGEGS_PG_compare = border.ours(context.scene).imagegs_compare
        try:
            name = decoder.stream.maps[0].name
            pair = comparison.load(decoder.name, name, settings.lod)
            if pair.original is None and settings.view not in ("DECODED", "ELLIPSES"):
                settings.view = "DECODED"
            settings.map = f"{decoder.name}\n{name}"
            image = comparison.show(settings)
            comparison.problem = None
        except ImageGSError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if not bpy.app.background:
            _open_editor(context, image)
        return {"FINISHED"}


def _open_editor(context: bpy.types.Context, image: bpy.types.Image) -> None:
    """Show the image in an Image Editor of this window, or in a window of its own where there is none."""
    assert context.screen is not None
    area = next((area for area in context.screen.areas if area.type == "IMAGE_EDITOR"), None)
    if area is None:
        bpy.ops.wm.window_new()
        area = border.window_manager(context).windows[-1].screen.areas[0]
        area.type = "IMAGE_EDITOR"
    space = area.spaces.active
    assert isinstance(space, bpy.types.SpaceImageEditor)
    space.image = image
    space.show_region_ui = True
    area.tag_redraw()
    _fit_soon()


def _fit_soon() -> None:
    """After the next drawing, which is when Blender knows how large the editor and the picture are."""
    global _looks
    _looks = 20
    if not bpy.app.background and not bpy.app.timers.is_registered(_fit):
        bpy.app.timers.register(_fit, first_interval=_BETWEEN)


_BETWEEN = 0.2
"""Seconds until the next look whether the editor has been drawn; a busy computer takes several."""

_looks = 0
"""How often is still looked."""


def _fit() -> float | None:
    """Let every Image Editor that shows the comparison show all of it, and its tab; later, where it is not drawn yet."""
    global _looks
    _looks -= 1
    waits = False
    for window in border.window_manager(bpy.context).windows:
        for area in window.screen.areas:
            space = area.spaces.active
            if not isinstance(space, bpy.types.SpaceImageEditor) or not space.image:
                continue
            if space.image.name != comparison.IMAGE:
                continue
            for region in area.regions:
                if region.type == "UI" and region.width > 1:  # it has no tabs otherwise
                    border.show_tab(region, "Image-GS")
                elif region.type == "UI":
                    waits = waits or space.show_region_ui
                elif region.type == "WINDOW":
                    with bpy.context.temp_override(window=window, area=area, region=region):
                        bpy.ops.image.view_all(fit_view=True)
    return _BETWEEN if waits and _looks > 0 else None


_CLASSES = (IMAGEGS_PG_compare, IMAGEGS_OT_compare)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    border.Scene.imagegs_compare = bpy.props.PointerProperty(type=IMAGEGS_PG_compare)


def unregister() -> None:
    if bpy.app.timers.is_registered(_fit):
        bpy.app.timers.unregister(_fit)
    del border.Scene.imagegs_compare
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
