"""What compression did to the stacks of the file, in words and numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import bpy

from ..blend.decoder import Decoder, one_each
from ..core.textures.texture_stack import OVERALL
from ..scene import cost
from ..scene.cost import Cost
from . import selection


@dataclass(frozen=True)
class Summary:
    """One compressed stack.

    before, after   what its originals cost, and what it costs itself
    psnr            of all maps, dB; None where there was no original to compare with
    maps            (name, labels of what it feeds, PSNR in dB, degrees between normals), None where unknown
    problem         why there is no more to say, where its custom properties are damaged
    """

    name: str
    before: Cost
    after: Cost
    psnr: float | None
    maps: tuple[tuple[str, str, float | None, float | None], ...]
    gaussians: int
    seconds: float
    problem: str | None = None

    @property
    def ratio(self) -> float:
        """How many times smaller on disk."""
        return self.before.disk / max(1, self.after.disk)


def of(decoder: Decoder) -> Summary:
    """The summary of a decoder, from the record that it carries."""
    if not decoder.is_sound:
        return Summary(decoder.name, _NOTHING, _NOTHING, None, (), 0, 0.0, decoder.problems[0])
    record = decoder.record
    before = sum((Cost(original.disk, original.memory) for original in record.originals.values()), _NOTHING)
    maps = []
    for name in record.map_names:
        original = record.originals.get(name)
        feeds = "/".join(original.labels) if original else ""
        maps.append((name, feeds, record.report.psnr[name], record.report.normal_angle.get(name)))
    report = record.report
    after = cost.decoder(decoder)
    return Summary(decoder.name, before, after, report.psnr[OVERALL], tuple(maps), report.num_gaussians, report.seconds)


_NOTHING = Cost(0, 0)


def size(number: float) -> str:
    """Bytes for people, powers of 1000."""
    if number >= 999.5e6:
        return f"{number / 1e9:.1f} GB"
    return f"{number / 1e6:.1f} MB" if number >= 999_500 else f"{number / 1000:.0f} KB"


def decibels(value: float | None) -> str:
    """A PSNR for people; None where there was no original to compare with."""
    return "not compared" if value is None else f"{value:.2f} dB"


def text(decoders: Iterable[Decoder]) -> str:
    """What compression did to these stacks, as lines of text."""
    lines = []
    for s in map(of, one_each(decoders)):
        if s.problem:
            lines.append(s.problem)
            continue
        lines.append(
            f"{s.name}: {size(s.before.disk)} -> {size(s.after.disk)} on disk ({s.ratio:.1f} times smaller), "
            f"{size(s.before.memory)} -> {size(s.after.memory)} in memory, {decibels(s.psnr)}, "
            f"{s.gaussians:,} Gaussians, {s.seconds:.0f} s"
        )
        for name, feeds, value, angle in s.maps:
            degrees = f", normals {angle:.2f} degrees" if angle is not None else ""
            lines.append(f"    {name} ({feeds}): {decibels(value)}{degrees}")
    return "\n".join(lines)


def saved(decoders: Iterable[Decoder]) -> int:
    """Bytes on disk that decoders take less than what they replace, where that is known."""
    return sum(max(0, s.before.disk - s.after.disk) for s in map(of, one_each(decoders)))


def memory_text(scene: bpy.types.Scene) -> str:
    """The texture memory of a scene as lines of text, the costliest images first."""
    images, decoders, costliest = scene_memory(scene)
    head = f"Texture memory of {scene.name}: images {size(images.memory)}, decoders {size(decoders.memory)}"
    return "\n".join([head, *(f"    {image.name}: {size(each.memory)}" for image, each in costliest)])


def scene_memory(scene: bpy.types.Scene) -> tuple[Cost, Cost, list[tuple[bpy.types.Image, Cost]]]:
    """Cost of all image textures of the scene's materials, of its decoders, and the costliest images first."""
    images, decoders = cost.shown(selection.materials(scene.objects))
    costs = sorted(((image, cost.image(image)) for image in images), key=lambda pair: -pair[1].memory)
    of_decoders = sum((cost.decoder(decoder) for decoder in decoders if decoder.is_sound), _NOTHING)
    return cost.images(images), of_decoders, costs
