"""How decoders are built, and built in another way: the sockets stay, so every link to the group does too.

Here is all that makes what is derived from a stream: nodes, inner groups, images, scripts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import bpy
import numpy as np

from ..blend import border, properties, removal
from ..blend.decoder import Decoder, parsed, remember
from ..blend.properties import BAKED, KINDS, NODES, OSL
from ..blend.record import Record
from ..core.decoding import node_tables, tables
from ..core.decoding.lod import average
from ..core.decoding.node_tables import NodeTables
from ..core.decoding.tables import Tables
from ..core.errors import ImageGSError
from ..core.igs.stream import Stream
from ..core.textures import texture_stack
from ..core.textures.texture_stack import MapInfo
from ..core.textures.udim import Tiles
from . import baked, table_images
from .baked import Source
from .body import BODY_TREE, Parts, attach, detach, drop_blank, show
from .nodes import node_group, udim
from .osl import script_node


def create(
    name: str,
    stream: Stream,
    data: bytes,
    record: Record,
    tiles: Tiles | None = None,
    detail: int = 0,
    kind: str = NODES,
) -> Decoder:
    """A decoder of a kind, see node_group.shell; it holds no level of detail finer than `detail`.

    stream   what `data`, the bytes of a .igs file, hold
    record   how it was made; its extension and projection are the decoder's
    tiles    the UDIM tiles that the stack is joined from; with the extension "UDIM"
    Raises ImageGSError where OSL can't be used.
    """
    built = _tables(kind, stream, detail)
    if isinstance(built, Tables):
        script_node.prepare(built)  # before anything is made
    size = stream.gaussians.width, stream.gaussians.height
    decoder = _shell(name, stream.maps, size, record.extension, tiles, record.projection)
    _build_anew(decoder, stream.maps, built)
    decoder.store(data, record)
    remember(data, stream)
    properties.KIND.write(decoder.tree, kind)
    decoder.detail = detail
    if isinstance(built, Source):
        baked.update(decoder, built, stream.maps, 0.0)
    return decoder


def from_tables(
    name: str,
    maps: Sequence[MapInfo],
    built: NodeTables,
    extension: str = "REPEAT",
    tiles: Tiles | None = None,
    projection: str = properties.FLAT,
) -> Decoder:
    """A decoder of the kind NODES that has no stream yet; see node_group.shell."""
    decoder = _shell(name, maps, (built.width, built.height), extension, tiles, projection)
    _build_anew(decoder, maps, built)
    return decoder


def _shell(
    name: str,
    maps: Sequence[MapInfo],
    size: tuple[int, int],
    extension: str,
    tiles: Tiles | None,
    projection: str,
) -> Decoder:
    """A decoder that has nothing inside yet."""
    return Decoder(node_group.shell(name, maps, size, extension, tiles, projection))


def set_kind(decoder: Decoder, kind: str, level: float = 0.0, detail: int = 0, auto: bool = False) -> None:
    """Let a decoder decode in another way.

    NODES   shader nodes: EEVEE and Cycles
    OSL     a script: Cycles on the CPU only, with Open Shading Language switched on
    BAKED   ordinary images at a fixed LOD, `level`: the fastest to render, the most memory
    detail  the finest level of detail that it holds and shows
    auto    whether that kind may be changed again without anyone asking
    Raises ImageGSError for another word, a linked decoder, a stream that can't be read, or where OSL can't be used; the
    decoder is as it was.
    """
    if kind not in KINDS:
        raise ImageGSError(f"{decoder.name}: no decoder is called {kind}; choose one of {', '.join(KINDS)}")
    decoder.require_local()
    stream = decoder.stream
    built = _tables(kind, stream, detail)
    if isinstance(built, Tables):
        script_node.prepare(built)  # before anything is changed
    _build_anew(decoder, stream.maps, built)
    properties.KIND.write(decoder.tree, kind)
    properties.AUTO.write(decoder.tree, auto)
    properties.LEVEL.write(decoder.tree, level)
    decoder.detail = detail
    if isinstance(built, Source):
        baked.update(decoder, built, stream.maps, level)


def update(decoder: Decoder, detail: int = 0) -> None:
    """Build what a .blend does not hold: nodes, the pixels of tables and baked maps, files of scripts.

    detail   the finest level of detail that it is to hold and show
    Raises ImageGSError where that can't be done, as the decoder is linked and its file holds too little, and where its
    stream can't be read.
    """
    kind, stream = decoder.kind, decoder.stream
    built = _tables(kind, stream, detail)
    if _must_be_built(decoder, built):
        _build_anew(decoder, stream.maps, built)
    elif isinstance(built, NodeTables):
        table_images.update_images(decoder, built)
    elif isinstance(built, Tables):
        script_node.update(decoder, built)
    if isinstance(built, Source):
        baked.update(decoder, built, stream.maps, decoder.level)
    decoder.detail = detail


def _must_be_built(decoder: Decoder, built: Built) -> bool:
    """Whether the nodes of a decoder are missing, another's too, or for other tables."""
    layout = decoder.layout
    if decoder.linked:
        fits = isinstance(built, Source) or (layout is not None and layout.reads(built.layout))
        is_built = decoder.derived_images() or decoder.scripts()
        return not is_built or (not fits and bool(decoder.parts))
    fits = isinstance(built, Source) or layout == built.layout
    return decoder.body is None or decoder.body.users > 1 or not fits


def set_level(decoder: Decoder, level: float) -> None:
    """Decode the images of a BAKED decoder that is not linked at another LOD; no files for each step of a slider."""
    data, stream = decoder.data, decoder.stream
    if not decoder.linked and (decoder.body is None or decoder.body.users > 1):
        _build_anew(decoder, stream.maps, _source(data))
    properties.LEVEL.write(decoder.tree, level)
    baked.update(decoder, _source(data).limited(decoder.detail), stream.maps, level, to_files=False)


def pictures(decoder: Decoder, level: float) -> tuple[dict[str, np.ndarray], str]:
    """Every map's pixels in its own size and dtype at a LOD, by name, and what decoded them: "GPU" or "CPU"."""
    stream = decoder.stream
    gaussians = stream.gaussians
    planes, device = baked.decoded(_source(decoder.data), level, gaussians.width, gaussians.height)
    return texture_stack.images(planes, stream.maps, gaussians.wrap), device


def show_average(decoder: Decoder) -> None:
    """Let a decoder that is not built, or whose stream can't be read, give the average color of each map.

    Raises ImageGSError where nothing is known of it any more.
    """
    if decoder.body_node is not None:
        if not decoder.linked:
            detach(decoder)
    elif decoder.kind == BAKED:
        baked.show_average(decoder)
    elif decoder.kind == NODES and decoder.layout is None and decoder.average and (maps := decoder.maps):
        end = next(node for node in decoder.tree.nodes if node.bl_idname == "NodeGroupOutput")
        for link in [link for socket in end.inputs for link in border.links(socket)]:
            decoder.tree.links.remove(link)
        show(decoder, udim.outside(maps, np.array(decoder.average)))
    elif decoder.kind == OSL:
        script_node.update(decoder, tables.constant(*table_images.average_of(decoder)))
    else:
        table_images.show(decoder, node_tables.constant(*table_images.average_of(decoder)))


def pack(decoder: Decoder) -> None:
    """Store what a decoder reads in the .blend: it renders without the add-on. One that is Auto becomes one of Nodes.

    Raises ImageGSError for OSL, which reads files, and where the stream can't be read.
    """
    if decoder.is_auto:
        set_kind(decoder, NODES, detail=decoder.detail)
    if decoder.kind == OSL:
        raise ImageGSError(f"{decoder.name}: its decoder is OSL, which reads files; choose Nodes or Baked to pack it")
    if decoder.body is None or decoder.body.users > 1:
        update(decoder, decoder.detail)
    properties.SELF_CONTAINED.write(decoder.tree, True)
    for image in decoder.derived_images():
        image.pack()


def unpack(decoder: Decoder) -> None:
    """The opposite of pack(): a saved file holds the stream only."""
    properties.SELF_CONTAINED.write(decoder.tree, False)


Built = NodeTables | Tables | Source
"""What decoders read or are decoded from: of Nodes, of OSL, of Baked."""


def _tables(kind: str, stream: Stream, detail: int) -> Built:
    """What a decoder of a kind reads."""
    if kind == NODES:
        return node_tables.build(stream.gaussians, stream.maps, detail=detail)
    if kind == BAKED:
        return Source.of(stream).limited(detail)
    return tables.build(stream.gaussians, stream.maps, detail=detail)


@lru_cache(maxsize=4)
def _source(data: bytes) -> Source:
    """What maps of a .igs file are decoded from, kept for the next call."""
    return Source.of(parsed(data))


def _build_anew(decoder: Decoder, maps: Sequence[MapInfo], built: Built) -> None:
    """Build the nodes of a kind in the place of those that a decoder has."""
    planes = average(built.tail)
    if decoder.linked:
        decoder.clear()
        _fill(Parts(decoder), decoder.tree, maps, built)
        show(decoder, udim.outside(maps, planes))
    else:
        _clear(decoder)
        alike = _alike(decoder, maps, built) if isinstance(built, NodeTables) else None
        parts = Parts(decoder, _pattern(alike) if alike else None)
        body = parts.tree(BODY_TREE)
        if alike:
            _latest[alike] = body.session_uid
        node_group.interface(body, maps)
        _fill(parts, body, maps, built)
        attach(decoder, body, udim.outside(maps, planes))
        drop_blank(decoder)
    if not isinstance(built, Source):
        properties.LAYOUT.write(decoder.body or decoder.tree, str(built.layout))
    if decoder.linked:
        properties.AVERAGE.write(decoder.tree, [float(value) for value in planes])
    else:
        for stale in (properties.AVERAGE, properties.LAYOUT):  # version 1 kept them here
            stale.remove(decoder.tree)
        properties.STREAM_VERSION.write(decoder.tree, properties.VERSION)


def _fill(parts: Parts, tree: bpy.types.ShaderNodeTree, maps: Sequence[MapInfo], built: Built) -> None:
    """Put what decodes into a group that has the sockets of a decoder and nothing else, or is a copy of another's."""
    if isinstance(built, NodeTables):
        node_group.fill(parts, tree, maps, built)
    elif isinstance(built, Tables):
        script_node.fill(parts, tree, maps, built)
    else:
        baked.fill(parts, tree, maps, built)


_latest: dict[tuple, int] = {}
"""The uid of the body that was built last, for each of what _alike() gives."""


def _alike(decoder: Decoder, maps: Sequence[MapInfo], built: NodeTables) -> tuple:
    """What decides which nodes a body has; the rest are numbers, names and images."""
    forms = tuple(
        (m.channels, m.color_space, *((c.kind, c.plane, c.plane_y, (c.low, c.high) == (0, 1)) for c in m.sources))
        for m in maps
    )
    return str(built.layout), decoder.extension, decoder.projection, decoder.tiles is None, forms


def _pattern(alike: tuple) -> bpy.types.ShaderNodeTree | None:
    """A body that was built alike in this file, if there is one."""
    uid = _latest.get(alike)
    trees = (tree for tree in bpy.data.node_groups if tree.session_uid == uid and not removal.is_left(tree))
    return next((tree for tree in trees if isinstance(tree, bpy.types.ShaderNodeTree)), None)


def _clear(decoder: Decoder) -> None:
    """Remove the nodes of a decoder and what only they use: images and inner groups."""
    inner, images = decoder.trees()[1:], decoder.images()
    decoder.clear()
    removal.remove([*inner, *images])
