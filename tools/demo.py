"""`make demo`: compress a .blend, render the same view before and after, and say what it cost.

BLEND=scene.blend in the environment names the file; without it the sample scene is built first. Everything that is
written goes to build/demo.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "demo"
GAIN = 8


def main() -> int:
    start = time.perf_counter()
    OUT.mkdir(parents=True, exist_ok=True)
    named = os.environ.get("BLEND")
    if named:
        blend = Path(named).resolve()
    else:
        blend = OUT / "sample" / "sample.blend"
        _say("Building the sample scene: Cycles bakes 14 textures")
        _blender([ROOT / "tools" / "sample_scene.py", blend])

    compressed, report, picture = OUT / f"{blend.stem}_compressed.blend", OUT / "report.json", OUT / "comparison.png"
    for path in (compressed, report, picture):
        path.unlink(missing_ok=True)
    _say(f"Compressing the materials of {blend.name}")
    options = ["--preset", "fast", "--upgrade", "--decoder", "nodes", "--drop-originals"]
    options += ["--output", compressed, "--report", report]
    code = subprocess.run([sys.executable, "-m", "imagegs_blender.batch", blend, *options], cwd=ROOT).returncode
    if not compressed.is_file():
        return code or 1

    before, after = OUT / "before.png", OUT / "after.png"
    _say("Rendering the view before")
    _blender([ROOT / "tools" / "render_view.py", blend, before])
    _say("Rendering the view after, decoding Gaussians per pixel")
    _blender([ROOT / "tools" / "render_view.py", compressed, after])
    _compare(before, after, picture)
    _say(f"Done in {time.perf_counter() - start:.0f} s; see")
    for path in (compressed, report, picture):
        print(f"  {path.relative_to(ROOT)}")
    return code


def _say(text: str) -> None:
    print(f"\n== {text}", flush=True)


def _blender(command: list[Any]) -> None:
    """Run a script that imports bpy; of Blender's own chatter none is shown, only our own lines, which are indented."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("  "):
            print(line, end="", flush=True)
    if process.wait() != 0:
        sys.exit(f"\n{''.join(lines[-40:])}\nerror: {Path(command[0]).name} failed; its last lines are above")
    print(f"  done in {time.perf_counter() - start:.0f} s", flush=True)


def _compare(before: Path, after: Path, out: Path) -> None:
    """before | after | their absolute difference, amplified; with a label under each."""
    first, second = (np.asarray(Image.open(path).convert("RGB"), np.int16) for path in (before, after))
    difference = np.minimum(np.abs(first - second) * GAIN, 255)
    height, width, _ = first.shape
    gap, strip = 8, 34
    sheet = Image.new("RGB", (3 * width + 2 * gap, height + strip), (24, 24, 24))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=20)
    for i, (pixels, text) in enumerate(
        [(first, "before: textures"), (second, "after: 2D Gaussians"), (difference, f"difference x {GAIN}")]
    ):
        left = i * (width + gap)
        sheet.paste(Image.fromarray(pixels.astype(np.uint8)), (left, 0))
        draw.text((left + 10, height + strip / 2), text, (235, 235, 235), font, anchor="lm")
    sheet.save(out)


if __name__ == "__main__":
    sys.exit(main())
