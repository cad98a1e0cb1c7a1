"""What compression did to the stacks of the file, in words and numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import bpy

from ..blend import storage
from ..scene import cost as memory
from ..scene.cost import Cost
from . import selection


@dataclass(frozen=True)
class Summary:
    """One compressed stack. maps: (name, what it feeds, PSNR in dB, degrees between normals), None where unknown."""

    name: str
    before: Cost
    after: Cost
    psnr: float | None
    maps: tuple[tuple[str, str, float | None, float | None], ...]
    gaussians: int
    seconds: float

    @property
    def ratio(self) -> float:
        """How many times smaller on disk."""
        return self.before.disk / max(1, self.after.disk)


def of(group: bpy.types.ShaderNodeTree) -> Summary:
    """The summary of a decoder, from the record that it carries."""
    record = storage.record(group)
    report, originals = record["report"], record.get("originals", {})
    before = sum((Cost(entry["disk"], entry["memory"]) for entry in originals.values()), Cost(0, 0))
    angles = report.get("normal_angle", {})
    maps = tuple(
        (name, "/".join(originals.get(name, {}).get("labels", ())), value, angles.get(name))
        for name, value in report["psnr"].items()
        if name != "overall"
    )
    return Summary(
        group.name, before, memory.decoder(group), report["psnr"]["overall"], maps, report["num_gaussians"],
        report["seconds"],
    )  # fmt: skip


def size(number: float) -> str:
    """Bytes for people, powers of 1000."""
    return f"{number / 1e6:.1f} MB" if number >= 999_500 else f"{number / 1000:.0f} KB"


def decibels(value: float | None) -> str:
    """A PSNR for people; None where there was no original to compare with."""
    return "not compared" if value is None else f"{value:.2f} dB"


def text(groups: Iterable[bpy.types.ShaderNodeTree]) -> str:
    """The report as lines of text."""
    lines = []
    for group in groups:
        s = of(group)
        lines += [
            f"{s.name}: {size(s.before.disk)} -> {size(s.after.disk)} on disk ({s.ratio:.1f} times smaller), "
            f"{size(s.before.memory)} -> {size(s.after.memory)} in memory, {decibels(s.psnr)}, "
            f"{s.gaussians:,} Gaussians, {s.seconds:.0f} s"
        ]
        for name, feeds, value, angle in s.maps:
            degrees = f", normals {angle:.2f} degrees" if angle is not None else ""
            lines.append(f"    {name} ({feeds}): {decibels(value)}{degrees}")
    return "\n".join(lines)


def saved(groups: Iterable[bpy.types.ShaderNodeTree]) -> int:
    """Bytes on disk that decoders take less than what they replace, where that is known."""
    return sum(max(0, s.before.disk - s.after.disk) for s in map(of, groups))


def memory_text(scene: bpy.types.Scene) -> str:
    """The texture memory of a scene as lines of text, the costliest images first."""
    images, decoders, costliest = scene_memory(scene)
    head = f"Texture memory of {scene.name}: images {size(images.memory)}, decoders {size(decoders.memory)}"
    return "\n".join([head, *(f"    {image.name}: {size(cost.memory)}" for image, cost in costliest)])


def scene_memory(scene: bpy.types.Scene) -> tuple[Cost, Cost, Any]:
    """Cost of all image textures of the scene's materials, of its decoders, and the costliest images first."""
    images, groups = memory.shown(selection.materials(scene.objects))
    by_cost = sorted(images, key=lambda image: -memory.image(image).memory)
    decoders = sum((memory.decoder(group) for group in groups), Cost(0, 0))
    return memory.images(images), decoders, [(image, memory.image(image)) for image in by_cost]
