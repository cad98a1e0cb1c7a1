"""A decoder: the node group that stands for a compressed stack, and all that can be asked about it.

The group carries the stream as custom data through save, append, link and copy; Decoder is how the rest of the code sees
such a group. A stream and a record are the whole of it. Everything else is derived from them: nodes, images, scripts. It
stands in an inner group, the body, which shaders/decoder.py builds and no saved file holds (shaders/body.py says how).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeGuard

import bpy

from ..core.decoding.layout import Layout
from ..core.errors import ImageGSError
from ..core.igs import stream as igs
from ..core.textures.texture_stack import MapInfo
from ..core.textures.udim import Tiles
from . import border, derived, map_files, properties
from .properties import OSL
from .record import Record

_MESSAGE = "Compressed textures. Plain colors? Enable Image-GS Textures, then reopen the file"


class Decoder:
    """A node group of the open file that decodes a stack, be its stream lost.

    What it says is read from the group's custom properties at each call, so it is true after Undo, too. Properties raise
    ImageGSError, naming the group, where the file holds something impossible; `problems` has the messages.
    """

    def __init__(self, tree: bpy.types.ShaderNodeTree) -> None:
        self.tree = tree

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Decoder) and self.tree == other.tree

    def __hash__(self) -> int:
        return hash(self.tree)

    @property
    def name(self) -> str:
        """Of the group; users may change it."""
        return self.tree.name

    @property
    def short_name(self) -> str:
        """The name without what all decoders' names begin with."""
        return self.name.removeprefix("Image-GS ")

    @property
    def uid(self) -> int:
        """Tells it apart from all others of the session; Undo and renaming do not change it."""
        return self.tree.session_uid

    @property
    def linked(self) -> bool:
        """It is linked from another file, and can't be changed here."""
        return self.tree.library is not None

    def store(self, data: bytes, record: Record) -> None:
        """Put a stream, the bytes of a .igs file, and its record into the group."""
        properties.STREAM.write(self.tree, data)
        properties.STREAM_VERSION.write(self.tree, properties.VERSION)
        properties.RECORD.write(self.tree, record.to_json())
        self.tree.description = _MESSAGE  # shown where the pointer rests on the node, with or without the extension

    @property
    def data(self) -> bytes:
        """The .igs file. Raises ImageGSError where it was deleted or is of a newer version."""
        data = self._stored()
        if data is None:
            raise ImageGSError(
                f"{self.name}: its stream was deleted; restore the originals, or append the material again"
            )
        if properties.STREAM_VERSION.read(self.tree) > properties.VERSION:
            raise ImageGSError(f"{self.name}: compressed by a newer version of the add-on than this; update it")
        return data

    @property
    def stream_size(self) -> int:
        """Bytes of the .igs file, 0 where it was deleted."""
        return len(self._stored() or b"")

    def _stored(self) -> bytes | None:
        if properties.STREAM.is_on(self.tree):
            return properties.STREAM.read(self.tree)
        if self.shared is not None and properties.SHARED_STREAM.is_on(self.shared):
            return properties.SHARED_STREAM.read(self.shared)
        return None

    @property
    def shared(self) -> bpy.types.ShaderNodeTree | None:
        """The group that holds the stream for several decoders; None where the decoder has its own."""
        nodes = properties.SHARED.nodes(self.tree.nodes, bpy.types.ShaderNodeGroup)
        return nodes[0].node_tree if nodes else None

    def clear(self) -> None:
        """Remove the nodes that are derived from the stream; their groups and images stay in the file."""
        for node in [node for node in self.tree.nodes if not properties.SHARED.is_on(node)]:
            self.tree.nodes.remove(node)

    @property
    def stream(self) -> igs.Stream:
        """The .igs file, parsed: once as long as its bytes stay the same. Raises ImageGSError where it can't be read."""
        return parsed(self.data)

    @property
    def maps(self) -> tuple[MapInfo, ...]:
        """Its maps, read without the Gaussians; none where its stream can't be read."""
        try:
            return igs.read_maps(self.data)
        except ImageGSError:
            return ()

    def require_local(self) -> None:
        """Raise ImageGSError where it is linked, and so can't be changed."""
        if self.linked:
            assert self.tree.library is not None
            raise ImageGSError(f"{self.name}: it is linked from {self.tree.library.filepath}; make it local first")

    @property
    def record(self) -> Record:
        """How the stack was made, and what came of it; empty where that was deleted."""
        return Record.of(self.tree)

    @property
    def kind(self) -> str:
        """How it decodes, one of properties.KINDS."""
        return properties.KIND.read(self.tree)

    @property
    def is_auto(self) -> bool:
        """Its kind is chosen for the scene, by workflow/auto_kind.py."""
        return properties.AUTO.read(self.tree)

    @property
    def level(self) -> float:
        """The LOD at which a BAKED decoder's images are decoded."""
        return properties.LEVEL.read(self.tree)

    @property
    def detail(self) -> int:
        """The finest level of detail that it holds, 0 for full detail."""
        return properties.DETAIL.read(self.tree)

    @detail.setter
    def detail(self, detail: int) -> None:
        properties.DETAIL.write(self.tree, detail)

    @property
    def tiles(self) -> Tiles | None:
        """The UDIM tiles that it is made of; None where it is made of none."""
        return properties.TILES.read(self.tree) if properties.TILES.is_on(self.tree) else None

    @property
    def extension(self) -> str:
        """What it gives outside of 0..1, one of properties.EXTENSIONS."""
        return properties.EXTENSION.read(self.tree)

    @property
    def projection(self) -> str:
        """How it finds texture coordinates, one of properties.PROJECTIONS."""
        return properties.PROJECTION.read(self.tree)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the texture, or of one of its UDIM tiles, texels."""
        return properties.SIZE.read(self.tree)

    @property
    def layout(self) -> Layout | None:
        """The layout of the tables that its nodes were built for; None where another version of the add-on built them."""
        try:
            return Layout.parse(properties.LAYOUT.read(self.body or self.tree))
        except ImageGSError:
            return None

    @property
    def average(self) -> tuple[float, ...] | None:
        """The average of every plane; None where that was deleted."""
        return properties.AVERAGE.read(self.tree) if properties.AVERAGE.is_on(self.tree) else None

    @property
    def body_node(self) -> bpy.types.ShaderNodeGroup | None:
        """The group node that stands for all that is derived; None where a version before 2 built the decoder."""
        nodes = properties.BODY.nodes(self.tree.nodes, bpy.types.ShaderNodeGroup)
        return nodes[0] if nodes else None

    @property
    def body(self) -> bpy.types.ShaderNodeTree | None:
        """The group of that node; None while it is not built, as in a file that was just opened."""
        node = self.body_node
        return node.node_tree if node else None

    @property
    def parts(self) -> dict[str, bpy.types.ID]:
        """The blank datablocks that a linked decoder is built from, by name; see shaders/body.py."""
        return properties.PARTS.read(self.tree) if properties.PARTS.is_on(self.tree) else {}

    @property
    def self_contained(self) -> bool:
        """It is saved with all that it reads, so that it renders without the add-on."""
        return properties.SELF_CONTAINED.read(self.tree)

    @property
    def problems(self) -> list[str]:
        """What is impossible in its custom properties, one message each; empty for nearly all files."""
        messages: dict[str, None] = {}
        for ask in _QUESTIONS:
            try:
                ask(self)
            except ImageGSError as error:
                messages[str(error)] = None
        return list(messages)

    @property
    def is_sound(self) -> bool:
        """Nothing in its custom properties is impossible."""
        return not self.problems

    def trees(self) -> list[bpy.types.ShaderNodeTree]:
        """Its own tree and those of the groups inside it, each once, its own first."""
        trees = [self.tree]
        for tree in trees:  # grows
            groups = (node for node in tree.nodes if isinstance(node, bpy.types.ShaderNodeGroup))
            inner = (node.node_tree for node in groups if not properties.SHARED.is_on(node))
            trees += [t for t in dict.fromkeys(inner) if t and t not in trees]
        return trees

    def nodes(self) -> Iterator[bpy.types.Node]:
        """Its nodes, those of the groups inside it included."""
        for tree in self.trees():
            yield from tree.nodes

    def images(self) -> list[bpy.types.Image]:
        """Every image that its nodes hold, each once."""
        held = map(_image, self.nodes())
        return list(dict.fromkeys(image for image in held if image))

    def table_images(self) -> dict[str, bpy.types.Image]:
        """The images that hold decode tables, by table."""
        nodes = properties.TABLE.nodes(self.nodes(), bpy.types.ShaderNodeTexImage)
        return {properties.TABLE.read(node): image for node in nodes if (image := node.image)}

    def map_images(self) -> dict[str, bpy.types.Image]:
        """The images of a BAKED decoder, by map; empty where it is none."""
        return {properties.MAP.read(node): image for node in self.map_nodes() if (image := node.image)}

    def map_nodes(self) -> list[bpy.types.ShaderNodeTexImage]:
        """The nodes of a BAKED decoder that hold a decoded map."""
        return [node for node in properties.MAP.nodes(self.nodes(), bpy.types.ShaderNodeTexImage) if node.image]

    def scripts(self) -> list[bpy.types.ShaderNodeScript]:
        """The script nodes of an OSL decoder."""
        return properties.SCRIPT.nodes(self.nodes(), bpy.types.ShaderNodeScript)

    def derived_images(self) -> list[bpy.types.Image]:
        """The images whose texels are made from the stream; none for OSL, whose script is a file of the session."""
        return [*self.table_images().values(), *self.map_images().values()]

    def is_whole(self, saved: bool = False) -> bool:
        """Whether it has all that it reads; saved: in a form that a file keeps."""
        if self.kind == OSL:
            paths = [bpy.path.abspath(node.filepath, library=self.tree.library) for node in self.scripts()]
            return not saved and bool(paths) and all(Path(path).is_file() for path in paths)
        if saved and not self.self_contained:
            return False
        images = self.derived_images()
        return bool(images) and all(derived.is_kept(image) or (not saved and _is_held(image)) for image in images)


def _is_held(image: bpy.types.Image) -> bool:
    """Whether an image has its texels in memory, or in a file of ours."""
    return image.is_dirty or map_files.holds(image)


def _image(node: bpy.types.Node) -> bpy.types.Image | None:
    """The image that a node holds, whatever its kind."""
    return getattr(node, "image", None)


_QUESTIONS: tuple[Callable[[Decoder], object], ...] = (
    lambda decoder: decoder.stream_size,
    lambda decoder: decoder.record,
    lambda decoder: decoder.kind,
    lambda decoder: decoder.is_auto,
    lambda decoder: decoder.level,
    lambda decoder: decoder.detail,
    lambda decoder: decoder.size,
    lambda decoder: decoder.tiles,
    lambda decoder: decoder.extension,
    lambda decoder: decoder.projection,
    lambda decoder: decoder.average,
    lambda decoder: decoder.self_contained,
    lambda decoder: decoder.derived_images(),
    lambda decoder: decoder.parts,
)
"""All that a decoder's properties answer."""


def is_decoder(tree: bpy.types.NodeTree | None) -> TypeGuard[bpy.types.ShaderNodeTree]:
    """Whether a node group is a decoder of ours, be its stream lost."""
    return tree is not None and (properties.STREAM.is_on(tree) or properties.RECORD.is_on(tree))


def share(decoders: Sequence[Decoder]) -> None:
    """Let decoders of one stream hold it once, in a group of its own; each of them has it."""
    group = border.new_tree(f".{decoders[0].name} stream")
    properties.SHARED_STREAM.write(group, decoders[0].data)
    for decoder in decoders:
        node = decoder.tree.nodes.new("ShaderNodeGroup")
        assert isinstance(node, bpy.types.ShaderNodeGroup)
        node.node_tree, node.label, node.hide, node.location = group, "Stream", True, (250, -200)
        properties.SHARED.write(node, True)
        properties.STREAM.remove(decoder.tree)


def one_each(decoders: Iterable[Decoder]) -> list[Decoder]:
    """These decoders, but of those that share a stream only the first."""
    return list({decoder.shared or decoder.tree: decoder for decoder in reversed(list(decoders))}.values())[::-1]


def is_decoder_node(node: bpy.types.Node) -> TypeGuard[bpy.types.ShaderNodeGroup]:
    """Whether a node is an instance of a decoder."""
    return isinstance(node, bpy.types.ShaderNodeGroup) and is_decoder(node.node_tree)


def decoder_nodes(tree: bpy.types.NodeTree) -> Iterator[bpy.types.ShaderNodeGroup]:
    """The instances of decoders in a tree."""
    return (node for node in tree.nodes if is_decoder_node(node))


def decoders() -> list[Decoder]:
    """Every decoder of the open file by name, linked ones included."""
    return sorted(map(Decoder, filter(is_decoder, bpy.data.node_groups)), key=lambda decoder: decoder.name)


def find(name: str) -> Decoder:
    """A decoder of the open file by name. Raises ImageGSError where it is gone."""
    tree = bpy.data.node_groups.get((name, None))
    if not is_decoder(tree):
        raise ImageGSError(f"{name}: the decoder was removed or renamed meanwhile; compress again")
    return Decoder(tree)


_streams: dict[bytes, igs.Stream] = {}
"""Streams parsed lately, by their bytes."""

_MOST_STREAMS = 8
"""So many are kept: those that a person works with at a time."""


def parsed(data: bytes) -> igs.Stream:
    """A .igs file, parsed: once, where it was among the last few. Raises ImageGSError where it can't be read."""
    if data not in _streams:
        remember(data, igs.read(data))
    return _streams[data]


def remember(data: bytes, stream: igs.Stream) -> None:
    """Spare parsed() the work: these bytes are this stream."""
    while len(_streams) >= _MOST_STREAMS:
        del _streams[next(iter(_streams))]
    _streams[data] = stream
