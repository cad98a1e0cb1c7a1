"""The stream is the same bytes wherever its node group goes, and what a file says wrongly is said by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import pytest

from imagegs_blender.blend import properties
from imagegs_blender.blend.decoder import Decoder, decoders, find
from imagegs_blender.blend.record import Link, Original, OriginalMap, Record
from imagegs_blender.core.encoding.report import FitReport
from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.igs import stream
from imagegs_blender.core.textures.udim import Tiles

from .samples import STREAM, made

DATA = bytes(range(256)) * 5000
RECORD = Record(
    {"bpp": 0.5}, FitReport(psnr={"overall": 30.25}), "CLIP", {"bark": OriginalMap("bark.png", ("color",))}, "TUBE"
)


@pytest.fixture(autouse=True)
def empty_file() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)


def test_bytes_survive_storing_twice_copying_saving_and_appending(tmp_path: Path) -> None:
    group = bpy.data.node_groups.new("decoder", "ShaderNodeTree")
    Decoder(group).store(b"other \0 bytes", Record())
    Decoder(group).store(DATA, RECORD)
    group.use_fake_user = True
    copied = group.copy()
    assert Decoder(group).data == Decoder(copied).data == DATA
    path = tmp_path / "library.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=True)
    for link in (True, False):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        assert not decoders()
        with bpy.data.libraries.load(str(path), link=link) as (_, chosen):
            chosen.node_groups = ["decoder"]
        (found,) = decoders()
        assert found.data == DATA and found.record == RECORD and found.linked == link


def test_a_stream_is_parsed_once_until_its_bytes_change(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    read = stream.read
    monkeypatch.setattr(stream, "read", lambda data: calls.append(len(data)) or read(data))
    decoder = made()
    calls.clear()
    assert decoder.stream is decoder.stream and find("Stack").stream is decoder.stream and not calls
    fewer = stream.write(decoder.stream.gaussians.take(range(100)), decoder.stream.maps)
    decoder.store(fewer, decoder.record)
    assert len(decoder.stream.codes) == len(find("Stack").stream.codes) == 100 and calls == [len(fewer)]


DAMAGED: list[tuple[str, Any]] = [
    ("imagegs_stream", "text"),
    ("imagegs_stream", 7),
    ("imagegs_version", "new"),
    ("imagegs_version", -1),
    ("imagegs_record", 3),
    ("imagegs_record", "{"),
    ("imagegs_record", "[]"),
    ("imagegs_record", '{"report": {"psnr": 30}}'),
    ("imagegs_record", '{"report": {"psnr": {"overall": "good"}}}'),
    ("imagegs_record", '{"originals": {"bark": {"image": 1}}}'),
    ("imagegs_record", '{"extension": "SPHERE"}'),
    ("imagegs_record", '{"projection": "MIRROR"}'),
    ("imagegs_record", "[" * 100_000),
    ("imagegs_decoder", "MAGIC"),
    ("imagegs_decoder", 1.5),
    ("imagegs_level", "fine"),
    ("imagegs_level", float("nan")),
    ("imagegs_detail", 99),
    ("imagegs_detail", [1, 2]),
    ("imagegs_self_contained", "yes"),
    ("imagegs_size", [64]),
    ("imagegs_size", [0, 64]),
    ("imagegs_tiles", [64, 64]),
    ("imagegs_tiles", [64, 64, 1]),
    ("imagegs_tiles", "1001"),
    ("imagegs_extension", "SPHERE"),
    ("imagegs_projection", "MIRROR"),
    ("imagegs_projection", 1),
    ("imagegs_average", "gray"),
    ("imagegs_average", [float("inf")] * 7),
]


@pytest.mark.parametrize(("key", "value"), DAMAGED, ids=lambda value: repr(value)[:30])
def test_what_a_property_can_not_be_is_said_by_tree_and_key(key: str, value: Any) -> None:
    decoder = made()
    assert decoder.problems == []
    decoder.tree[key] = value
    if key == "imagegs_version":
        with pytest.raises(ImageGSError, match="Stack: its custom property imagegs_version"):
            _ = decoder.data
    else:
        (problem,) = decoder.problems
        assert problem.startswith(f"Stack: its custom property {key} is ")


def test_damaged_nodes_are_said_by_node() -> None:
    decoder = made()
    node = next(node for node in decoder.nodes() if properties.TABLE.is_on(node))
    node["imagegs_table"] = 5
    (problem,) = decoder.problems
    assert problem.startswith(
        f"{node.id_data.name}, node {node.name}: its custom property imagegs_table is 5, not text"
    )
    tree = bpy.data.materials.new("bark").node_tree or bpy.data.node_groups.new("bark", "ShaderNodeTree")
    image = tree.nodes.new("ShaderNodeTexImage")
    for text in (
        "",
        "{}",
        '{"decoder": "a", "map": "b", "links": [1]}',
        '{"decoder": "a", "map": "b", "location": "xy"}',
    ):
        image["imagegs_original"] = text
        with pytest.raises(ImageGSError, match="node Image Texture: its custom property imagegs_original is damaged"):
            Original.of(image)
    link = Link("a", "Color", "b", "Base Color", False)
    original = Original("decoder", "bark", (link,), link, None, (1.0, 2.0), True, False)
    original.write(image)
    assert Original.of(image) == original


def test_records_of_earlier_versions_have_defaults() -> None:
    assert Record.from_json("{}") == Record()
    assert Record.from_json(RECORD.to_json()) == RECORD
    old = '{"settings": {}, "report": {"psnr": {"overall": null}, "num_gaussians": 600, "seconds": 0.0}, "future": 1}'
    assert Record.from_json(old).report.num_gaussians == 600 and Record.from_json(old).originals == {}
    group = bpy.data.node_groups.new("decoder", "ShaderNodeTree")
    assert (
        Decoder(group).record == Record() and Decoder(group).kind == properties.NODES and Decoder(group).tiles is None
    )


def test_former_keys_are_read_and_replaced() -> None:
    tree = bpy.data.node_groups.new("decoder", "ShaderNodeTree")
    node = tree.nodes.new("ShaderNodeTexImage")
    node["imagegs_average"], node["imagegs_detail"] = (0.25, 0.5, 0.75, 1.0), True
    assert properties.MAP_AVERAGE.read(node) == (0.25, 0.5, 0.75, 1.0) and properties.FINEST.read(node)
    properties.MAP_AVERAGE.write(node, (1.0, 1.0, 1.0, 1.0))
    assert "imagegs_average" not in node and properties.MAP_AVERAGE.read(node)[0] == 1.0


def test_every_property_is_on_its_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "blend.md").read_text(encoding="utf-8")
    for each in properties.ALL:
        rows = [line for line in page.splitlines() if line.startswith(f"| `{each.key}` |")]
        assert any(f"| {each.since} |" in row for row in rows), each.key
    assert len({each.key for each in properties.ALL}) == len(properties.ALL)
    assert f"version {properties.VERSION}" in page.splitlines()[0]


def test_tiles_and_words() -> None:
    tiles = Tiles((1001, 1002, 1012), 64, 32)
    decoder = made(STREAM, "UDIM", tiles)
    assert decoder.tiles == tiles and decoder.size == (64, 32) and decoder.extension == "UDIM"
    with pytest.raises(ValueError, match=r"^$"):
        properties.KIND.write(decoder.tree, "MAGIC")
