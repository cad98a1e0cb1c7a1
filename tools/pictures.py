"""The pictures of the extension's page on extensions.blender.org, into build/listing: python tools/pictures.py

    icon.png          256 x 256: a flower of 17 Gaussians
    featured.png      1920 x 1080: the sample scene, rendered from its compressed file (make demo); takes minutes
    screenshot_*.png  four of those that make gui-test leaves in build/gui

What the last two are made from must be there; where it is not, the others are still made, and the exit code is 1.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import zips
from PIL import Image, ImageDraw, ImageFont

COMPRESSED = zips.wheels.ROOT / "build" / "demo" / "sample_compressed.blend"
SCREENSHOTS = zips.wheels.ROOT / "build" / "gui"
RENDER = zips.wheels.ROOT / "tools" / "render_view.py"
SHOWN = {
    "3_compressed": "compressed", "4_lod": "level_of_detail", "5_split": "comparison", "7_ellipses": "gaussians",
}  # fmt: skip
"""Screenshots, and what they show."""

GAMMA = 2.2
TEAL, DARK, GOLD, TERRACOTTA, CREAM = "#11505c", "#0a2f37", "#e3b25a", "#c4623f", "#f3e7cf"


def main() -> int:
    zips.LISTED_OUTPUT.mkdir(parents=True, exist_ok=True)
    icon(256).save(zips.LISTED_OUTPUT / "icon.png")
    missing = []
    if COMPRESSED.is_file():
        featured().save(zips.LISTED_OUTPUT / "featured.png")
    else:
        missing.append(f"{COMPRESSED.relative_to(zips.wheels.ROOT)}: make demo")
    for name, shows in SHOWN.items():
        source = SCREENSHOTS / f"{name}.png"
        if source.is_file():
            shutil.copyfile(source, zips.LISTED_OUTPUT / f"screenshot_{shows}.png")
        else:
            missing.append(f"{source.relative_to(zips.wheels.ROOT)}: make gui-test")
    for path in sorted(zips.LISTED_OUTPUT.glob("*.png")):
        with Image.open(path) as picture:
            print(f"{path.relative_to(zips.wheels.ROOT)}  {picture.width} x {picture.height}")
    for line in missing:
        print(f"error: file not found: {line}", file=sys.stderr)
    return int(bool(missing))


@dataclass(frozen=True)
class Gaussian:
    """One of the icon's. Lengths are parts of its side; color is sRGB in hexadecimal digits.

    x, y     center, from the left and the top
    u, v     standard deviations along its two axes
    turn     of the first axis from x towards y, in radians
    weight   its share where it alone is at its center, against 1 of another
    """

    x: float
    y: float
    u: float
    v: float
    turn: float
    color: str
    weight: float

    def at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """weight exp(-d^2 / 2), with the distance d in standard deviations; shape of x and y."""
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        along, across = cos * (x - self.x) + sin * (y - self.y), cos * (y - self.y) - sin * (x - self.x)
        return self.weight * np.exp(-((along / self.u) ** 2 + (across / self.v) ** 2) / 2)

    def outline(self, deviations: float, points: int = 180) -> list[tuple[float, float]]:
        """The ellipse that is so many standard deviations from its center."""
        angle = np.linspace(0, 2 * np.pi, points)
        along, across = deviations * self.u * np.cos(angle), deviations * self.v * np.sin(angle)
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        return list(
            zip(self.x + cos * along - sin * across, self.y + sin * along + cos * across, strict=True),
        )


def flower() -> list[Gaussian]:
    """Eight petals, eight behind them, and a center."""
    found = []
    for i in range(16):
        turn = np.pi * i / 8
        far, u, v, color = (0.2, 0.085, 0.034, TERRACOTTA) if i % 2 else (0.245, 0.078, 0.031, GOLD)
        found.append(
            Gaussian(0.5 + far * np.cos(turn), 0.5 + far * np.sin(turn), u, v, turn, color, 0.9 if i % 2 else 1.0)
        )
    return [*found, Gaussian(0.5, 0.5, 0.05, 0.05, 0.0, CREAM, 6.0)]


def icon(side: int) -> Image.Image:
    """The flower as the codec would blend it: sum of weight and color over the sum of weights; teal is everywhere a little."""
    y, x = (np.mgrid[0:side, 0:side] + 0.5) / side
    everywhere = 0.09
    weights = np.full((side, side, 1), everywhere)
    colors = weights * _linear(TEAL)
    for gaussian in flower():
        weight = gaussian.at(x, y)[..., None]
        weights, colors = weights + weight, colors + weight * _linear(gaussian.color)
    pixels = np.rint(255 * (colors / weights) ** (1 / GAMMA)).astype(np.uint8)
    finer = 4
    large = (finer * side, finer * side)
    lines, corners = Image.new("L", large), Image.new("L", large)
    for gaussian in flower()[:16:2]:
        points = [(finer * side * px, finer * side * py) for px, py in gaussian.outline(2.3)]
        ImageDraw.Draw(lines).line(points, 200, round(finer * side / 180), "curve")
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, large[0] - 1, large[1] - 1), finer * side * 0.17, 255)
    drawn = Image.fromarray(pixels)
    drawn.paste(CREAM, (0, 0), lines.resize((side, side), Image.Resampling.LANCZOS))
    drawn.putalpha(corners.resize((side, side), Image.Resampling.LANCZOS))
    return drawn


def featured() -> Image.Image:
    """The sample scene with room at the left, where the name is."""
    view = COMPRESSED.parent / "featured.png"
    command = [sys.executable, RENDER, COMPRESSED, view, "--width", "1920", "--samples", "8", "--shift", "-0.17"]
    done = subprocess.run(command, cwd=zips.wheels.ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: the sample scene can't be rendered:\n{done.stdout}{done.stderr}")
    with Image.open(view) as rendered:
        return titled(rendered.convert("RGB"))


def titled(picture: Image.Image) -> Image.Image:
    """A picture of 1920 x 1080 whose left third darkens behind icon, name and tagline."""
    width, height = picture.size
    step = np.clip((np.arange(width) / width - 0.22) / 0.16, 0, 1)
    fade = 0.9 * (1 - step * step * (3 - 2 * step))
    shade = Image.fromarray(np.rint(255 * np.broadcast_to(fade, (height, width))).astype(np.uint8))
    picture.paste(DARK, (0, 0), shade)
    draw, left, mark = ImageDraw.Draw(picture), 90, icon(192)
    picture.paste(mark, (left, 190), mark)
    name, words = zips.manifest()["name"].split(), ("Texture stacks", "as 2D Gaussians,", "decoded per pixel")
    for row, word in enumerate(name):
        draw.text((left, 430 + 118 * row), word, CREAM, ImageFont.load_default(108))
    for row, line in enumerate(words):
        draw.text((left, 730 + 64 * row), line, GOLD, ImageFont.load_default(50))
    return picture


def _linear(color: str) -> np.ndarray:
    """(3,) of linear light."""
    return np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]) ** GAMMA


if __name__ == "__main__":
    sys.exit(main())
