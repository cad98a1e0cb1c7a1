"""How much of the textures of real files is compressed, and why the rest is not: megapixels, by reason.

    python benchmarks/compressible.py FOLDER [--files] [--json FILE]

Every .blend below FOLDER is planned as batch.py would plan it, and what is planned is read, in a process of its own: a
crash costs one file. Nothing is fitted or written. Each image in an image node of a used material counts once per file.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

Row = tuple[str, float, str]
"""Image, megapixels, and the reason why it is left; "" where it is compressed."""

NOT_CONNECTED = "not connected to the output"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", action="store_true", help="a line for each image of each file, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows of every file")
    args = parser.parse_args()
    files = sorted(args.folder.rglob("*.blend"))
    if not files:
        print(f"error: {args.folder}: no .blend files below; name another folder", file=sys.stderr)
        return 1
    rows: dict[str, list[Row]] = {}
    failed: dict[str, str] = {}
    for file in files:
        name = str(file.relative_to(args.folder))
        found = _in_process(file)
        if isinstance(found, str):
            failed[name] = found
            print(f"{name}: {found}", flush=True)
        else:
            rows[name] = found
            if args.files:
                print(
                    "\n".join([name, *(f"  {size:8.2f}  {image}: {why or 'compressed'}" for image, size, why in found)])
                )
    print(_table([row for found in rows.values() for row in found], len(rows)))
    if failed:
        print(f"\n{len(failed)} of {len(files)} files could not be looked at: {', '.join(failed)}")
    if args.json:
        args.json.write_text(json.dumps({"files": rows, "failed": failed}, indent=1))
    return int(bool(failed))


def _in_process(file: Path) -> list[Row] | str:
    """The rows of a file, or what went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "rows.json")
        command = [sys.executable, __file__, "--look", str(file.resolve()), str(result)]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=600)
        except subprocess.TimeoutExpired:
            return "took more than ten minutes"
        if not result.exists():
            said = run.stderr.strip().splitlines()
            return f"ended with code {run.returncode}{': ' + said[-1] if said else ''}"
        return [(image, size, why) for image, size, why in json.loads(result.read_text())]


def _table(rows: list[Row], files: int) -> str:
    """Markdown: images and megapixels, compressed and left, the largest first."""
    images: dict[str, int] = defaultdict(int)
    sizes: dict[str, float] = defaultdict(float)
    for _, size, why in rows:
        images[why] += 1
        sizes[why] += size
    total = sum(sizes.values()) or 1.0
    lines = [f"\n| {files} files | images | megapixels | share |", "|---|---:|---:|---:|"]
    for why in sorted(sizes, key=lambda why: (why != "", -sizes[why], why)):
        name = f"left: {why}" if why else "compressed"
        lines.append(f"| {name} | {images[why]} | {sizes[why]:.1f} | {sizes[why] / total:.0%} |")
    lines.append(f"| all | {len(rows)} | {sum(sizes.values()):.1f} | 100% |")
    return "\n".join(lines)


def look(file: str, result: str) -> None:
    """Write the rows of a file; runs in a process of its own."""
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # the package of this checkout
    import bpy

    import imagegs_blender

    imagegs_blender.register()
    bpy.ops.wm.open_mainfile(filepath=file, load_ui=False)
    rows = list(_rows())
    Path(result).write_text(json.dumps(rows))
    sys.stdout.flush()
    os._exit(0)  # bpy's destructors can wait forever


def _rows() -> Iterator[Row]:
    import bpy

    from imagegs_blender.core.errors import ImageGSError
    from imagegs_blender.scene import material_stack, pixels

    materials = [m for m in bpy.data.materials if m.users and not m.is_grease_pencil]
    images = {}
    for material in materials:
        for image in _images(material):
            images.setdefault(image, set()).add(material.name)
    plan = material_stack.plan(materials)
    planned, unreadable = set(), {}
    for map_plan in (m for stack in plan.stacks for m in stack.maps):
        image = map_plan.image.find()
        planned.add(image)
        try:
            pixels.read_map(map_plan)
        except ImageGSError as error:
            unreadable[image] = _reason(str(error).removeprefix(f"{image.name}: "))
    reasons = {(skipped.material, skipped.image): _reason(skipped.reason) for skipped in plan.skipped}
    for image, users in images.items():
        own = [reasons[user, image.name] for user in sorted(users) if (user, image.name) in reasons]
        general = [reasons[user, None] for user in sorted(users) if (user, None) in reasons]
        if image in unreadable:
            why = unreadable[image]
        elif image in planned:
            why = f"compressed in part, {own[0]}" if own else ""
        else:
            why = (own or [text for text in general if text != "no image textures"] or [NOT_CONNECTED])[0]
        yield image.name, image.size[0] * image.size[1] / 1e6, why


def _images(material: object) -> Iterator[object]:
    """The images in the image nodes of a material and of the groups in it, decoders left out."""
    from imagegs_blender.scene.walk import is_decoder_node

    stack, seen = [material.node_tree] if material.node_tree else [], set()
    while stack:
        tree = stack.pop()
        if tree in seen:
            continue
        seen.add(tree)
        for node in tree.nodes:
            if node.bl_idname in ("ShaderNodeTexImage", "ShaderNodeTexEnvironment") and node.image:
                yield node.image
            elif getattr(node, "node_tree", None) and not is_decoder_node(node):
                stack.append(node.node_tree)


def _reason(text: str) -> str:
    """A reason without what is particular to one file: names, paths and numbers."""
    for known in ("not a readable image", "damaged or truncated", "used inside the linked node group"):
        if known in text:
            return known
    if text.startswith("linked from"):
        return "linked from another file"
    if "texels; compressed are" in text:
        return "too small or too large"
    return re.sub(r"\d+", "N", re.split("[:;]", text)[0]).strip()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--look"]:
        look(*sys.argv[2:])
    sys.exit(main())
