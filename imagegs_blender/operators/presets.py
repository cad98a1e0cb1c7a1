"""Named settings, as Blender's other presets: save, choose, remove. The batch takes the same files (--preset-file)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bl_operators.presets import AddPresetBase

from ..blend import border
from ..core.errors import ImageGSError
from ..workflow import preset_file
from .messages import say

_FOLDER = "imagegs"


class IMAGEGS_MT_presets(bpy.types.Menu):
    """Choose a saved preset"""

    bl_label = "Presets"
    preset_subdir = _FOLDER
    preset_operator = "imagegs.preset_apply"

    def draw(self, context: bpy.types.Context) -> None:
        menus: Any = bpy.types.Menu  # the annotations know no presets
        menus.draw_preset(self, context)


class IMAGEGS_OT_preset_add(AddPresetBase, bpy.types.Operator):  # type: ignore[misc]  # it has no types
    """Save the settings under a name, or remove the preset that was chosen last"""

    bl_idname = "imagegs.preset_add"
    bl_label = "Save Image-GS Preset"
    preset_menu = "IMAGEGS_MT_presets"
    preset_subdir = _FOLDER
    preset_defines = [f"{preset_file.OBJECT} = bpy.context.scene.imagegs"]
    preset_values = [f"{preset_file.OBJECT}.{name}" for name in preset_file.NAMES]


class IMAGEGS_OT_preset_apply(bpy.types.Operator):
    """Take the settings of a preset"""

    bl_idname = "imagegs.preset_apply"
    bl_label = "Apply Image-GS Preset"
    bl_options = {"REGISTER", "UNDO"}

    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    menu_idname: bpy.props.StringProperty(options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> border.Result:
        path = Path(self.filepath)
        try:
            values, unknown = preset_file.read(path)
        except ImageGSError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        settings: Any = border.ours(context.scene).imagegs
        for name, value in values.items():
            try:
                setattr(settings, name, value)
            except TypeError:
                unknown.append(name)
        if unknown:
            text = say("{preset} was made by another version: {names} left as before")
            self.report({"WARNING"}, text.format(preset=path.stem, names=", ".join(unknown)))
        menu: Any = getattr(bpy.types, self.menu_idname, None)
        if menu is not None:
            menu.bl_label = bpy.path.display_name(path.name, title_case=False)
        return {"FINISHED"}


register, unregister = border.registered(IMAGEGS_MT_presets, IMAGEGS_OT_preset_add, IMAGEGS_OT_preset_apply)
