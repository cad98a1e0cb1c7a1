"""The decoder's script as a file that Cycles loads: compiled for one stack, its tables inside as constants.

The OSL runtime turns a parameter that nothing is linked to into a constant of the compiled shader, so an array of one is
read as fast as memory, where a texture() call costs a microsecond. Compiled scripts (.oso) are text in which the
defaults of a parameter stand on its line: a script with arrays of two zeros is compiled, then the tables take their place.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ...core import files
from ...core.decoding import lod, tables
from ...core.decoding.reached import COVERED
from ...core.decoding.sheets import locate
from ...core.decoding.tables import Tables
from ...core.errors import ImageGSError
from ...core.gaussians import CUTOFF, EPS

SHORT = 1 << 16
"""Below so many Gaussians, two indices share an int."""


def write(built: Tables, folder: Path) -> Path:
    """Write the script that reads a stack's tables, compiled, to a folder that exists; its name is a digest of its content.

    Raises ImageGSError where it can't be written or does not compile.
    """
    arrays = _arrays(built)
    source = _source(built, arrays)
    digest = hashlib.sha256(source.encode())
    for values in arrays.values():
        digest.update(values.tobytes())
    path = folder / f"{digest.hexdigest()[:32]}.oso"
    if not path.exists():
        files.write(path, _filled(_compiled(source), arrays).encode())
    return path


def _arrays(built: Tables) -> dict[str, np.ndarray]:
    """Every table by the name of its parameter, flat, float32 or int32."""
    rows = tables.rows(built)
    index = tables.candidates(built)
    codes, ranges = _coded(rows[:, 6:])
    found = {
        "blocks": built.blocks.astype(np.int32),
        "cells": index if len(rows) > SHORT else index[..., ::2] | index[..., 1::2] << 16,
        "geometry": rows[:, :6],
        "features": codes[:, ::2] | codes[:, 1::2] << 16,
        "ranges": ranges,
        "levels": built.tail.levels.astype(np.int32),
    }
    for number, sheet in enumerate(built.tail.sheets):
        found[f"texels{number}"] = sheet if sheet.dtype == np.float32 else np.ascontiguousarray(sheet).view("<i4")
    return {name: np.ascontiguousarray(values).ravel() for name, values in found.items()}


def _coded(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes 0..65535 of features (n, C), C rounded up to even; and (C, 2) float32, code 0 and one step of each plane."""
    low = features.min(0)
    step = np.maximum(features.max(0) - low, 1e-6) / np.float32(65535)
    codes = np.rint((features - low) / step).astype(np.int32)
    return np.pad(codes, ((0, 0), (0, codes.shape[1] % 2))), np.stack([low, step], axis=1)


def _source(built: Tables, arrays: dict[str, np.ndarray]) -> str:
    text = (Path(__file__).parent / "imagegs.osl").read_text(encoding="utf-8")
    layout, tail = built.layout, built.tail
    planes, topk = layout.plane_count, layout.topk
    sheets = {name: values.dtype.kind == "f" for name, values in arrays.items() if name.startswith("texels")}
    add = []
    for plane in range(planes):
        sheet, channel = locate(plane, planes)
        name = f"texels{sheet}"
        value = f"{name}[4 * at + {channel}]" if sheets[name] else f"((({name}[at]) >> {8 * channel}) & 255) / 255.0"
        add.append(f"                out[{plane}] += w * {value};")
    threes = [[f"out[{p}]" if p < planes else "0" for p in range(i, i + 3)] for i in range(0, planes, 3)]
    largest = [f"k{i}" for i in range(max(1, topk))]
    index = (
        "cells[leaf + i]" if len(arrays["geometry"]) > 6 * SHORT else "(cells[(leaf + i) >> 1] >> 16 * (i & 1)) & 65535"
    )
    words: dict[str, Any] = {
        "SHEETS": "\n".join(f"    {'float' if deep else 'int'} {name}[2] = {{0, 0}}," for name, deep in sheets.items()),
        "ADD_SHEETS": "\n".join(add),
        "OUTPUTS": ",\n".join(f"    output color Planes{i} = 0" for i in range(len(threes))),
        "RESULTS": "\n".join(f"    Planes{i} = color({', '.join(three)});" for i, three in enumerate(threes)),
        "LARGEST": ", ".join(f"{k} = -1e30" for k in largest),
        "INSERT": "\n".join(f"            low = min({k}, next); {k} = max({k}, next); next = low;" for k in largest[:topk]),
        "LIMIT": f"max({largest[-1]}, -{CUTOFF})" if topk else f"-{CUTOFF}",
        "INDEX": index, "PER_INT": 1 if index.startswith("cells") else 2,
        "PLANES": planes, "CANDIDATES": layout.candidates, "TOPK": topk, "FIRST": layout.first, "LAST": layout.last,
        "DETAIL": tail.detail, "WIDTH": built.width, "HEIGHT": built.height,
        "COLUMNS": built.blocks.shape[1], "ROWS": built.blocks.shape[0],
        "LEAVES": tables.candidates(built).shape[1], "SHEET": tail.sheets[0].shape[1], "EPS": EPS,
        "HOLES": int(layout.holes), "COVERED": COVERED,
        "FADED": " * ".join(["share"] * lod.FADE),
    }  # fmt: skip
    return re.sub(r"@(\w+)@", lambda found: str(words[found[1]]), text)


def _compiled(source: str) -> str:
    from cycles import osl  # the add-on that is part of Blender

    messages: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "imagegs.osl"
        path.write_text(source, encoding="utf-8")
        ok, compiled = osl.osl_compile(str(path), lambda _, message: messages.append(message))
    try:
        if not ok:
            raise ImageGSError(
                f"decoder OSL: the script does not compile here: {'; '.join(messages)}; choose Nodes or Baked"
            )
        return Path(compiled).read_text(encoding="utf-8")
    finally:
        Path(compiled).unlink(missing_ok=True)


def _filled(compiled: str, arrays: dict[str, np.ndarray]) -> str:
    """A compiled script with the arrays in the place of its pairs of zeros."""
    for name, values in arrays.items():
        kind, form = ("float", "%.9g ") if values.dtype.kind == "f" else ("int", "%d ")
        before, found, after = compiled.partition(f"\nparam\t{kind}[2]\t{name}\t0 0\t")
        if not found:
            raise ImageGSError("decoder OSL: this Blender compiles scripts to something unknown; choose Nodes or Baked")
        numbers = form * len(values) % tuple(values.tolist())
        compiled = f"{before}\nparam\t{kind}[{len(values)}]\t{name}\t{numbers}\t{after}"
    return compiled
