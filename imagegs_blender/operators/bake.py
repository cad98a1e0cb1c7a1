"""Write decoded maps as image files, for programs that know no shader decoders."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..blend import border
from ..core.errors import ImageGSError
from ..workflow import selection
from ..workflow.bake import bake, use
from .messages import counted, say


class IMAGEGS_OT_bake(bpy.types.Operator):
    """Write the decoded textures of the chosen materials as PNG or EXR files, for game engines or glTF"""

    bl_idname = "imagegs.bake"
    bl_label = "Bake to Images"
    bl_options = {"REGISTER", "UNDO"}

    directory: bpy.props.StringProperty(name="Folder", description="Where the files go", subtype="DIR_PATH")
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    kind: bpy.props.EnumProperty(
        name="Format",
        items=[
            ("AUTO", "As the Original", "PNG for 8 and 16 bits, EXR for float"),
            ("PNG", "PNG", "Float maps become 16-bit PNG"),
            ("EXR", "EXR", "Every map as OpenEXR"),
        ],
    )
    use_in_materials: bpy.props.BoolProperty(
        name="Use in Materials",
        description="Put the files into the materials in the place of the decoders, as exporters such as glTF need",
        default=False,
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return selection.poll_decoders(cls, context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> border.Result:
        border.window_manager(context).fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> border.Result:
        if not self.directory:
            self.report({"ERROR"}, say("No folder was chosen: choose where the files go"))
            return {"CANCELLED"}
        folder = Path(bpy.path.abspath(self.directory))
        count = 0
        try:
            taken: set[str] = set()
            decoders = selection.chosen_decoders(context)
            baked = {decoder: bake(decoder, folder, self.kind, taken) for decoder in decoders}
        except ImageGSError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        for decoder, files in baked.items():
            count += len(files)
            if self.use_in_materials:
                use(decoder, files)
        self.report(
            {"INFO"},
            say("{images} written to {folder}").format(images=counted(count, "image", "images"), folder=folder),
        )
        return {"FINISHED"}


register, unregister = border.registered(IMAGEGS_OT_bake)
