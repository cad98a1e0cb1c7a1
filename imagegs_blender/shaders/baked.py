"""The decoder as ordinary images, decoded when a file opens or a LOD changes: the fastest to render.

A .blend holds none of them, unless it is to be self-contained (body.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import bpy
import numpy as np

from ..blend import border, derived, map_files
from ..blend.decoder import Decoder
from ..blend.properties import BAKED_ON, FLAT, MAP, MAP_AVERAGE
from ..core.decoding import lod, renderer, tables
from ..core.decoding.lod import Tail
from ..core.decoding.sparse import halvings
from ..core.decoding.tables import Tables
from ..core.errors import ImageGSError
from ..core.gaussians import Gaussians
from ..core.igs.stream import Stream
from ..core.textures import texture_stack
from ..core.textures.srgb import to_linear
from ..core.textures.texture_stack import ColorSpace, Depth, MapInfo
from .body import Parts
from .glsl import compute
from .nodes import node_group, udim
from .nodes.graph import Graph
from .nodes.projection import projected


@dataclass(frozen=True)
class Source:
    """What maps are decoded from: Gaussians and coarse levels, and tables for Blender's GPU where that can be reached."""

    gaussians: Gaussians
    tail: Tail
    tables: Tables | None

    @classmethod
    def of(cls, stream: Stream) -> Source:
        """Raises ImageGSError where there are more Gaussians than tables can address."""
        if compute.missing() is None:
            built = tables.build(stream.gaussians, stream.maps, fine=True)
            return cls(stream.gaussians, built.tail, built)
        return cls(stream.gaussians, lod.build(stream.gaussians, stream.maps), None)

    def limited(self, detail: int) -> Source:
        """One that shows no level finer than `detail`."""
        if not detail:
            return self
        limited = self.tables and tables.limited(self.tables, detail)
        return Source(self.gaussians, limited.tail if limited else lod.limited(self.tail, detail), limited)


def fill(parts: Parts, tree: bpy.types.ShaderNodeTree, maps: Sequence[MapInfo], source: Source) -> None:
    """Put one image node for each map into a group that has the sockets of a decoder and nothing else.

    The images are black until update().
    """
    decoder, inside = parts.decoder, None
    tiles, extension, projection = decoder.tiles, decoder.extension, decoder.projection
    graph = Graph(tree)
    with graph.frame("Baked maps"):
        vector = graph.inputs()["Vector"]
        if tiles:
            point, inside = udim.place(projected(vector, projection), tiles)
            vector, extension, projection = point.times_plus((1, -1, 0), (0, 1, 0)), "EXTEND", FLAT
        outputs = {}
        for info in maps:
            deep = info.depth is not Depth.U8
            image = parts.image(info.name, deep)
            space = ColorSpace.LINEAR if _is_linearized(info) else info.color_space
            border.set_color_space(image, border.SPACES[space])
            image.alpha_mode = "CHANNEL_PACKED"
            texels = graph.image(image, vector, info.name, extension, projection)
            texels.node.interpolation = "Linear"
            MAP.write(texels.node, info.name)
            outputs[info.name] = texels.rgb
            if "A" in info.channels:
                outputs[f"{info.name} Alpha"] = texels.a
        graph.output(node_group.ending_at(decoder, outputs, inside, maps, lod.average(source.tail)))
    graph.arrange()


def update(
    decoder: Decoder,
    source: Source,
    maps: Sequence[MapInfo],
    level: float,
    to_files: bool = True,
) -> None:
    """Decode every map at a LOD, in the size of that mip level, into the images of a decoder. What is sparse is smaller.

    to_files   where the scene has a texture cache to read them; else, and where it has not, images are packed
    On the GPU where one can be reached, else on the processor; the property BAKED_ON says which it was. Raises ImageGSError where
    the decoder has no image for a map.
    """
    nodes = {MAP.read(node): node for node in decoder.map_nodes()}
    missing = [info.name for info in maps if info.name not in nodes]
    if missing:
        raise ImageGSError(
            f"{decoder.name}: the image of its map {missing[0]} was deleted; choose Nodes, then Baked again"
        )
    gaussians, tail = source.gaussians, source.tail
    level = max(level, tail.detail)
    found = _files(decoder, maps, level) if to_files else {}
    if found and len(found) == len(maps) and map_files.are_there(found.values()):
        for name, path in found.items():
            map_files.show(_image(nodes[name]), path)
        return
    whole = max(int(min(max(level, 0.0), tail.last)), halvings(gaussians))
    small = [replace(m, width=max(1, m.width >> whole), height=max(1, m.height >> whole)) for m in maps]
    size = max(1, gaussians.width >> whole), max(1, gaussians.height >> whole)
    planes, device = decoded(source, level, *size)
    if not decoder.linked:
        BAKED_ON.write(decoder.tree, device)
    for info, pixels in zip(small, texture_stack.images(planes, small, gaussians.wrap).values(), strict=True):
        node, rgba = nodes[info.name], _rgba(pixels, info)
        if info.name in found:
            map_files.write(found[info.name], derived.png(rgba[::-1]))
            map_files.show(_image(node), found[info.name])
        else:
            derived.put(_image(node), rgba[::-1])
        if not decoder.linked:
            mean = rgba.mean(0, dtype=np.float32).mean(0)
            MAP_AVERAGE.write(node, [float(value) for value in mean / (255 if rgba.dtype == np.uint8 else 1)])


def is_as_wanted(decoder: Decoder) -> bool:
    """Whether the maps are files where the scene's texture cache would read them, and packed where not."""
    found = _files(decoder, decoder.maps, decoder.level)
    images = decoder.map_images()
    return all(map_files.holds(images[name]) == (name in found) for name in images)


def _files(decoder: Decoder, maps: Sequence[MapInfo], level: float) -> dict[str, Path]:
    """The files of its maps, by name; none where they are to be packed."""
    if decoder.self_contained or not map_files.wanted(bpy.context.scene):
        return {}
    return map_files.paths(decoder.data, maps, level)


def _image(node: bpy.types.ShaderNodeTexImage) -> bpy.types.Image:
    assert node.image is not None
    return node.image


def decoded(source: Source, level: float, width: int, height: int) -> tuple[np.ndarray, str]:
    """lod.planes, and what decoded them: "GPU" where Blender's own can be reached, else what a person prefers."""
    if source.tables is not None:
        return compute.planes(source.tables, level, width, height), "GPU"
    return renderer.as_preferred(lambda: lod.planes(source.gaussians, source.tail, level, width, height))


def show_average(decoder: Decoder) -> None:
    """Fill the images of a decoder with the average color of each map, known from when it was decoded last."""
    for node in decoder.map_nodes():
        assert node.image is not None
        rgba = np.tile(np.array(MAP_AVERAGE.read(node), np.float32), (4, 4, 1))
        derived.put(node.image, rgba if node.image.is_float else np.rint(255 * rgba.clip(0, 1)).astype(np.uint8))


def _rgba(pixels: np.ndarray, info: MapInfo) -> np.ndarray:
    """(h, w, 4) as an image of Blender holds a map, uint8 or float32, row 0 at the top."""
    if pixels.dtype == np.uint16:
        pixels = pixels / np.float32(65535)
    kind, one = (np.uint8, 255) if pixels.dtype == np.uint8 else (np.float32, 1)
    letters = {letter: pixels[..., i] for i, letter in enumerate(info.channels)}
    gray = letters.get("L", 0)
    rgba = np.empty((*pixels.shape[:2], 4), kind)
    for i, letter in enumerate("RGB"):
        rgba[..., i] = letters.get(letter, gray)
    if _is_linearized(info):
        rgba[..., :3] = to_linear(rgba[..., :3])
    rgba[..., 3] = letters.get("A", one)
    return rgba


def _is_linearized(info: MapInfo) -> bool:
    """Float images hold linear color: every engine takes their values as they are, whatever their color space says."""
    return info.depth is not Depth.U8 and info.color_space is ColorSpace.SRGB
