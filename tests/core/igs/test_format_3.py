"""Streams are what docs/format.md says: a reader written from that page alone, without anything of ours, finds the same codes."""

from __future__ import annotations

import numpy as np
import pytest

from imagegs_blender.core.igs import stream
from imagegs_blender.core.settings import QuantizeBits
from tests.core.igs import stranger
from tests.samples import uneven


@pytest.mark.parametrize("bits", [QuantizeBits(), QuantizeBits(9, 6, 6, 6), QuantizeBits(16, 4, 9, 4)])
@pytest.mark.parametrize(("count", "planes"), [(1, 1), (2, 3), (150, 6)])
def test_a_stranger_reads_the_same(count: int, planes: int, bits: QuantizeBits) -> None:
    data = stream.write(uneven(count, planes), (), bits)
    code = data[data.index(b"CODE") + 12 :]
    codes = stream.read(data).codes
    numbers = {"pos": bits.pos, "scale": bits.scale, "rot": bits.rot}
    for name, found in stranger.columns(code, count, planes, numbers).items():
        np.testing.assert_array_equal(found, getattr(codes, name), err_msg=name)
