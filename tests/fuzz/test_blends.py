"""Custom properties of a .blend from a stranger: a damaged decoder fails alone, with one line, and the others are built."""

from __future__ import annotations

import os
from typing import Any

import bpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagegs_blender.blend import properties
from imagegs_blender.blend.decoder import Decoder
from imagegs_blender.workflow import rebuild
from tests.blend.samples import STREAM, made
from tests.fuzz import streams

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "600")) // 20

VALUES = st.one_of(
    st.sampled_from([
        "", "x", "NODES", "BAKED", "../../etc", "\u202e", 0, 1, -1, 7, 2**31 - 1, -(2**31), 1e308, float("nan"), float("inf"),
        b"", b"\x89IGS\r\n\x1a\n", STREAM[:40], [1, 2], [1.5], [float("nan")] * 3, [1] * 5000, {}, {"a": 1}, {"a": {"b": 2}},
    ]),
    streams.damaged(),
    st.binary(max_size=30),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "ignore").decode()),
)  # fmt: skip


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.sampled_from(properties.ALL), VALUES), min_size=1, max_size=3),
    st.sampled_from(properties.KINDS),
)
def test_a_damaged_decoder_fails_alone(changes: list[tuple[properties.Property[Any], Any]], kind: str) -> None:
    bpy.ops.wm.read_homefile(use_empty=True)
    damaged, whole = made(), made()
    tree = damaged.tree
    for prop, value in changes:
        for holder in (tree, *tree.nodes):
            if prop.is_on(holder) or holder is tree:
                holder[prop.key] = value
    image = bpy.data.images.new("pointer", 4, 4)
    tree["imagegs_parts"] = image if kind == properties.OSL else {"a": image}
    before = whole.is_whole(saved=False)
    messages = rebuild.rebuild_tables() + rebuild.rebuild_lost()
    assert all(message and "\n" not in message and "please report" not in message for message in messages), messages
    assert whole.is_whole(saved=False) and before
    assert Decoder(whole.tree).stream.codes.head.count > 0


def test_an_empty_file_and_a_group_without_anything() -> None:
    """Nothing to do is no trouble; what only looks like a decoder is said."""
    bpy.ops.wm.read_homefile(use_empty=True)
    assert rebuild.rebuild_tables() == []
    tree = bpy.data.node_groups.new("Stack", "ShaderNodeTree")
    tree["imagegs_decoder"] = "NODES"
    messages = rebuild.rebuild_tables()
    assert all("\n" not in message for message in messages)
