"""What a .blend says in JSON: of a decoder, how its stack was made; of a replaced node, where it was linked.

JSON comes from a file, so what is read is checked here, once: a reader of Record or Original meets no surprise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import bpy

from ..core.encoding.report import FitReport
from ..core.errors import ImageGSError
from ..core.textures import cells
from ..core.textures.texture_stack import OVERALL
from . import border, properties


@dataclass(frozen=True)
class OriginalMap:
    """The image that a map of a stack was made from.

    image          its name in the file
    labels         what it fed, for printing: ("roughness", "metallic")
    alpha_linked   its Alpha output was in use, so its colors were taken straight, not premultiplied
    disk, memory   bytes that it cost: of the file or packed data, and of the texels as renderers hold them
    """

    image: str
    labels: tuple[str, ...] = ()
    alpha_linked: bool = False
    disk: int = 0
    memory: int = 0


@dataclass(frozen=True)
class Record:
    """How a decoder's stack was made, and what came of it.

    settings    the fit's settings that differ from FitSettings' defaults, by name; empty for an imported .igs file
    report      what the fit said at its end
    extension   how the original nodes continued the image outside 0..1
    projection  how they found texture coordinates
    originals   by map; empty for an imported .igs file
    shown       the parts of the texture that counted (core/textures/cells.py); "" where all did
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    report: FitReport = field(default_factory=FitReport)
    extension: str = "REPEAT"
    originals: Mapping[str, OriginalMap] = field(default_factory=dict)
    projection: str = properties.FLAT
    shown: str = ""

    @property
    def map_names(self) -> list[str]:
        """The maps that the report speaks of."""
        return [name for name in self.report.psnr if name != OVERALL]

    def to_json(self) -> str:
        """The text that a .blend holds, without what is empty."""
        document = {
            "settings": dict(self.settings),
            "report": self.report.to_json(),
            "extension": self.extension,
            "projection": self.projection,
            "originals": {name: asdict(original) for name, original in self.originals.items()},
            "shown": self.shown,
        }
        return json.dumps(
            {key: value for key, value in document.items() if value}, sort_keys=True, separators=(",", ":")
        )

    @classmethod
    def from_json(cls, text: str) -> Record:
        """The record that to_json() made, of this version or an earlier one: what is missing has its default.

        Raises ValueError where it is anything else.
        """
        document = _object(json.loads(text))
        report = _object(document.get("report", {}))
        for key in ("psnr", "ssim", "normal_angle"):
            _require(all(_is_number(value) for value in _object(report.get(key, {})).values()))
        _require(
            all(_is_number(report.get(key)) for key in ("bytes", "bpp", "bppc", "num_gaussians", "steps", "seconds"))
        )
        report = {"psnr": {OVERALL: None}} | report
        report["psnr"] = {OVERALL: None} | report["psnr"]
        _require(report.get("warning") is None or isinstance(report["warning"], str))
        extension, projection = document.get("extension", "REPEAT"), document.get("projection", properties.FLAT)
        _require(extension in properties.EXTENSIONS and projection in properties.PROJECTIONS)
        originals = {name: _original_map(entry) for name, entry in _object(document.get("originals", {})).items()}
        fit, shown = FitReport.from_json(report), _text(document.get("shown", ""))
        if shown:
            cells.from_text(shown)
        return cls(_object(document.get("settings", {})), fit, extension, originals, projection, shown)

    @classmethod
    def of(cls, tree: bpy.types.ShaderNodeTree) -> Record:
        """A decoder's record; of nothing where it was deleted. Raises ImageGSError where it is damaged."""
        if not properties.RECORD.is_on(tree):
            return cls()
        try:
            return cls.from_json(properties.RECORD.read(tree))
        except (ValueError, TypeError, RecursionError) as error:
            raise _damaged(tree.name, properties.RECORD.key) from error


@dataclass(frozen=True)
class Link:
    """A link of a node tree: the names of its nodes, the identifiers of its sockets."""

    from_node: str
    from_socket: str
    to_node: str
    to_socket: str
    muted: bool

    @classmethod
    def of(cls, link: bpy.types.NodeLink) -> Link:
        """A link of an open file."""
        (start, end), source, target = border.nodes(link), border.source(link), border.target(link)
        return cls(start.name, source.identifier, end.name, target.identifier, link.is_muted)

    @classmethod
    def from_json(cls, document: Any) -> Link:
        """What dataclasses.asdict() made of one. Raises ValueError where it is anything else."""
        entry = _object(document)
        a, b, c, d = (_text(entry.get(key)) for key in ("from_node", "from_socket", "to_node", "to_socket"))
        return cls(a, b, c, d, bool(entry.get("muted")))


@dataclass(frozen=True)
class Original:
    """What an Image Texture node was before a decoder took its place: enough to put every link back.

    decoder    the name of the node that took its place
    map        the map that shows its image
    links      those that began at its outputs
    vector     the one that ended at its Vector input, if any
    parent     the name of its frame, if any
    location   in that frame
    """

    decoder: str
    map: str
    links: tuple[Link, ...]
    vector: Link | None
    parent: str | None
    location: tuple[float, float]
    hide: bool
    select: bool

    @classmethod
    def of(cls, node: bpy.types.Node) -> Original:
        """What is written on a replaced node. Raises ImageGSError where it is damaged."""
        try:
            return cls.from_json(properties.ORIGINAL.read(node))
        except (ValueError, TypeError, RecursionError) as error:
            raise _damaged(f"{border.owner(node).name}, node {node.name}", properties.ORIGINAL.key) from error

    def write(self, node: bpy.types.Node) -> None:
        """Write it on the node that it is about."""
        properties.ORIGINAL.write(node, json.dumps(asdict(self)))

    @classmethod
    def from_json(cls, text: str) -> Original:
        """What write() wrote. Raises ValueError or TypeError where it is anything else."""
        entry = _object(json.loads(text))
        links, vector, parent = entry.get("links", []), entry.get("vector"), entry.get("parent")
        _require(isinstance(links, list) and (parent is None or isinstance(parent, str)))
        x, y = entry.get("location", (0.0, 0.0))
        _require(_is_number(x) and _is_number(y))
        return cls(
            _text(entry.get("decoder")),
            _text(entry.get("map")),
            tuple(map(Link.from_json, links)),
            None if vector is None else Link.from_json(vector),
            parent,
            (float(x), float(y)),
            bool(entry.get("hide")),
            bool(entry.get("select")),
        )


def _original_map(document: Any) -> OriginalMap:
    entry = _object(document)
    labels, disk, memory = entry.get("labels", []), entry.get("disk", 0), entry.get("memory", 0)
    _require(isinstance(labels, list) and all(isinstance(label, str) for label in labels))
    _require(_is_number(disk) and disk >= 0 and _is_number(memory) and memory >= 0)
    return OriginalMap(
        _text(entry.get("image")), tuple(labels), bool(entry.get("alpha_linked")), int(disk), int(memory)
    )


def _damaged(name: str, key: str) -> ImageGSError:
    return ImageGSError(f"{name}: its custom property {key} is damaged; append the material again")


def _object(value: Any) -> dict[str, Any]:
    _require(isinstance(value, dict))
    return value


def _text(value: Any) -> str:
    _require(isinstance(value, str))
    return value


def _is_number(value: Any) -> bool:
    """Whether a JSON value is a number, or null: unknown."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _require(condition: bool) -> None:
    if not condition:
        raise ValueError
