"""A decoder of the stack in tests.samples."""

from __future__ import annotations

from imagegs_blender.blend.decoder import Decoder
from imagegs_blender.blend.record import Record
from imagegs_blender.core.encoding.report import FitReport
from imagegs_blender.core.igs import stream
from imagegs_blender.core.textures.udim import Tiles
from imagegs_blender.shaders import decoder
from tests.samples import MAPS, stack

STREAM = stream.write(stack(4, True), MAPS)


def made(data: bytes = STREAM, extension: str = "REPEAT", tiles: Tiles | None = None) -> Decoder:
    """A decoder "Stack" of shader nodes."""
    found = stream.read(data)
    return decoder.create("Stack", found, data, Record(report=report(data), extension=extension), tiles)


def report(data: bytes = STREAM) -> FitReport:
    return FitReport.of_stream(stream.read(data), len(data))
