"""What must work in a Blender that has the extension installed: a script for any Blender, which knows nothing of a checkout.

    blender --command extension install-file -r user_default -e imagegs_blender-...zip
    blender -b --python tests/installed.py -- FOLDER     (or, with the bpy wheel: python tests/installed.py FOLDER)

Prints one line of JSON: the seconds until the first step of the fit and until its end, and the CPU seconds of this
process and of the fit's. The first run after installing compiles the kernels. Fails with a traceback.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from types import ModuleType

import bpy
import numpy as np

NAME = "bl_ext.user_default.imagegs_blender"
BUNDLED = ("numba", "llvmlite", "constriction", "PIL")


def main(folder: Path) -> None:
    import addon_utils  # known once bpy is imported

    started = time.perf_counter()
    if NAME not in sys.modules:
        addon_utils.enable(NAME, default_set=True)
    assert addon_utils.check(NAME)[1], f"{NAME} is not enabled"
    enabled = time.perf_counter() - started
    check_places()
    first, total = compress(folder)
    reopen(folder)
    convert(folder)
    own = sum(os.times()[:2])
    seconds = {"enable": enabled, "first_step": first, "fit": total, "cpu": own, "cpu_fit": sum(os.times()[2:4])}
    print(json.dumps({name: round(value, 2) for name, value in seconds.items()}), flush=True)


def module(name: str) -> ModuleType:
    return importlib.import_module(f"{NAME}.{name}")


def check_places() -> None:
    """The package and every bundled wheel come from Blender's user folder, NumPy from Blender; the cache is in its place."""
    extensions = Path(bpy.utils.user_resource("EXTENSIONS")).resolve()
    assert Path(sys.modules[NAME].__file__).resolve().is_relative_to(extensions)
    for name in BUNDLED:
        found = Path(importlib.import_module(name).__file__).resolve()
        assert found.is_relative_to(extensions / ".local"), f"{name} is {found}"
    assert not Path(np.__file__).resolve().is_relative_to(extensions)
    assert Path(os.environ["NUMBA_CACHE_DIR"]).is_relative_to(Path(bpy.utils.extension_path_user(NAME)))
    assert "imagegs_blender" not in sys.modules, "a checkout is in sight"


def compress(folder: Path) -> tuple[float, float]:
    """Compress a 512 x 512 stack of two maps and save the file; seconds to the first step, and in all."""
    bpy.ops.wm.read_homefile(use_empty=True)  # factory settings would remove the bundled wheels
    material = bpy.data.materials.new("brick")
    if material.node_tree is None:
        material.use_nodes = True
    shader = material.node_tree.nodes["Principled BSDF"]
    for name, socket, space in (("color", "Base Color", "sRGB"), ("rough", "Roughness", "Non-Color")):
        node = material.node_tree.nodes.new("ShaderNodeTexImage")
        node.image = _picture(folder / f"{name}.png", space)
        material.node_tree.links.new(node.outputs["Color"], shader.inputs[socket])
    bpy.ops.mesh.primitive_plane_add()
    bpy.context.object.data.materials.append(material)

    reports: list[float] = []

    def update(now: object) -> None:
        if getattr(now, "progress", None) is not None and now.progress.step > 0:
            reports.append(time.perf_counter())

    settings = module("core.settings").FitSettings.preset("fast", num_gaussians=800)
    start = time.perf_counter()
    plan = module("workflow.compress").planned([material])
    outcome = module("workflow.run").compress(plan, settings, update)
    total = time.perf_counter() - start
    assert len(outcome.done) == 1, outcome.notices
    (done,) = outcome.done
    assert done.report.psnr["overall"] > 25, done.report
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "compressed.blend"), compress=True)
    bpy.ops.object.select_all(action="SELECT")
    assert bpy.ops.imagegs.restore() == {"FINISHED"}
    assert {node.image.name for node in material.node_tree.nodes if node.type == "TEX_IMAGE"} == {
        "color.png",
        "rough.png",
    }
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "original.blend"), compress=True)
    return reports[0] - start, total


def reopen(folder: Path) -> None:
    """A saved file opens with its tables filled by the handler."""
    bpy.ops.wm.open_mainfile(filepath=str(folder / "compressed.blend"))
    (decoder,) = module("blend.decoder").decoders()
    images = decoder.derived_images()
    assert images and any(np.any(np.array(image.pixels[:])) for image in images)


def convert(folder: Path) -> None:
    """blender --command imagegs: a self-contained copy, and its report."""
    source, target, report = (str(folder / name) for name in ("original.blend", "self-contained.blend", "report.json"))
    options = ["--preset", "fast", "--num-gaussians", "800", "--drop-originals", "--self-contained", "--report", report]
    assert module("batch").main([source, "--output", target, *options], "blender --command imagegs") == 0
    (file,) = json.loads(Path(report).read_text("utf-8"))["files"]
    assert [row["material"] for row in file["materials"]] == ["brick"] and not file["failed"]


def _picture(path: Path, space: str) -> bpy.types.Image:
    """A 512 x 512 picture of smooth shapes."""
    y, x = np.mgrid[0:512, 0:512] / 512
    planes = [0.5 + 0.4 * np.sin(2 * np.pi * (f * x + (4 - f) * y + 0.5 * np.sin(6 * x))) for f in (1, 2, 3)]
    texels = np.stack([*planes, np.ones_like(x)], axis=2).astype(np.float32)
    image = bpy.data.images.new(path.name, 512, 512)
    image.pixels.foreach_set(texels.ravel())
    image.filepath_raw, image.file_format = str(path), "PNG"
    image.save()
    image.colorspace_settings.name = space
    return image


if __name__ == "__main__":
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    try:
        main(Path(arguments[0]).resolve())
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # bpy's destructors can wait forever
