"""Many streams of few bytes in one file: the first are built, the others say why they aren't, and a coarser Max Detail helps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import bpy
import numpy as np
import pytest

import imagegs_blender
from imagegs_blender.blend.decoder import decoders
from imagegs_blender.core.gaussians import Gaussians
from imagegs_blender.core.igs import stream
from imagegs_blender.core.textures.texture_stack import Channel, ColorSpace, Depth, MapInfo, Role
from imagegs_blender.workflow import allowance, rebuild
from tests.blend.samples import STREAM, made

SIDE = 2048


def few_bytes() -> bytes:
    """A stream of 4 planes of SIDE x SIDE texels in a dozen Gaussians."""
    rng, count = np.random.default_rng(0), 12
    gaussians = Gaussians(
        mean=rng.random((count, 2), np.float32),
        scale=np.full((count, 2), 60, np.float32),
        rotation=np.zeros(count, np.float32),
        feature=rng.random((count, 4), np.float32),
        bias=np.zeros(count, np.float32),
        width=SIDE,
        height=SIDE,
        wrap=True,
        topk=4,
        gamma=1.0,
    )
    sources = tuple(Channel("plane", plane) for plane in range(4))
    return stream.write(
        gaussians, [MapInfo("color", Role.COLOR, ColorSpace.RAW, Depth.U8, "RGBA", SIDE, SIDE, sources)]
    )


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    imagegs_blender.register()
    yield
    imagegs_blender.unregister()


def test_the_first_are_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = few_bytes()
    beyond = 4 * SIDE**2 - allowance.PER_BYTE * len(data)
    assert beyond > 0
    monkeypatch.setattr(allowance, "FEW_VALUES", int(1.5 * beyond))
    for name in ("0 few", "1 few", "2 few", "whole"):
        tree = made(STREAM if name == "whole" else data).tree
        tree.name, tree.use_fake_user = name, True
    path = str(tmp_path / "strangers.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    text = "its bytes are too few for its texels, beside others in this file; choose a coarser Max Detail"
    assert rebuild.problems() == [f"{number} few: {text} (it shows its average color)" for number in (1, 2)]
    assert [decoder.is_whole() for decoder in decoders()] == [True, False, False, True]

    bpy.context.scene.imagegs_max_detail = "1/2"
    assert all(decoder.is_whole() for decoder in decoders()) and not rebuild.problems()
