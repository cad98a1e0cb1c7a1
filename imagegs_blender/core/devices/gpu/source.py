"""The WGSL text of a kernel: its files in wgsl/, and in front of them the numbers of the definition, written once, in Python."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ...gaussians import CUTOFF, EPS
from ...ssim import SSIM_C1, SSIM_C2, SSIM_RADIUS, window
from ..cpu.blocks import BLOCK
from ..optimizer import BETA1, BETA2, TINY
from ..plan import GROUPS
from ..reference import MOST_SHARE

PARTS = 8
"""Threads that share an entry's gradient. No GPU's subgroups are smaller, but for some that are told apart (adapters.py)."""

ROW_THREADS = 64
RANK_THREADS = 128
SCAN_THREADS = 256
SCAN_CHUNK = 4 * SCAN_THREADS
TOTAL_THREADS = 256
AT_ONCE = 4
"""Entries of a list that a loop looks at in one turn: WebGPU counts turns, which takes time."""

GROUPS_ACROSS = 32768
"""Workgroups along the first dimension of a launch: WebGPU allows 65,535."""

_BLOCK_BYTES = (16 + 12 + 16) * BLOCK * BLOCK
"""Workgroup memory beside slopes: `staged` of blend.wgsl, `left` and `hits` of entries.wgsl."""

_FILES = {
    "neighbors": ("neighbors",),
    "project": ("steepness", "splats"),
    "count": ("lists",),
    "list": ("lists",),
    "chunk_sums": ("scan",),
    "scan": ("scan",),
    "rank": ("rank",),
    "fused": ("staged", "blend", "parts", "entries", "target", "fused"),
    "forward": ("staged", "blend", "forward"),
    "keep": ("staged", "blend", "forward"),
    "backward": ("staged", "blend", "parts", "entries", "backward"),
    "measure": ("staged", "blend", "target", "curve", "density"),
    "gather": ("staged", "curve", "gather"),
    "inspect": ("pack",),
    "pack": ("pack",),
    "pick": ("pick",),
    "removal": ("staged", "blend", "parts", "entries", "target", "removal"),
    "look": ("target", "ssim", "look"),
    "slope": ("target", "ssim", "slope"),
    "collect": ("collect",),
    "adam": ("steepness", "adam"),
    "totals": ("totals",),
}
_ENTRY_POINTS = {"count": "list", "keep": "forward"}

_EACH = re.compile(r"^(\s*)each\((\w), (\w+)\):? (.*)$")
_BINDING = re.compile(r"@group\(1\) @binding\((\d+)\) var<storage, (read_write|read)>")
_HERE = Path(__file__).resolve().parent / "wgsl"


@dataclass(frozen=True)
class Variant:
    """What kernels are compiled for.

    planes     C, 1..32
    topk       K, 0..16
    depth      bits of a number of the target: 8, 16 or 32
    subgroups  sums over neighboring threads go through the subgroup, else through workgroup memory
    memory     bytes of workgroup memory that the GPU has
    """

    planes: int
    topk: int
    depth: int
    subgroups: bool
    memory: int

    @property
    def slices(self) -> int:
        """Turns that the planes' slopes take in workgroup memory."""
        room = (self.memory - _BLOCK_BYTES) // (16 * BLOCK * BLOCK)
        return -(-self._least_quads // room)

    @property
    def slice(self) -> int:
        """Quads of planes in one turn."""
        return -(-self._least_quads // self.slices)

    @property
    def quads(self) -> int:
        """Quads that the features of a splat take; the last of them may be filled up."""
        return self.slices * self.slice

    @property
    def _least_quads(self) -> int:
        return -(-self.planes // 4)


@dataclass(frozen=True)
class Source:
    """A kernel's text, its entry point, and for each of its buffers whether it writes to it."""

    text: str
    entry_point: str
    bindings: dict[int, bool]


@cache
def source(kernel: str, variant: Variant, stride: int = 1) -> Source:
    """The kernel of a variant; stride is that of the rows of texels that `fused` looks at."""
    integers = {
        "BLOCK": BLOCK, "PLANES": variant.planes, "QUADS": variant.quads, "SLICES": variant.slices, "SLICE": variant.slice,
        "TOPK": variant.topk, "KEPT": max(variant.topk, 1), "DEPTH": variant.depth, "STRIDE": stride,
        "THREADS": BLOCK * BLOCK // stride, "PARTS": PARTS, "ROW_THREADS": ROW_THREADS, "RANK_THREADS": RANK_THREADS,
        "SCAN_THREADS": SCAN_THREADS, "SCAN_CHUNK": SCAN_CHUNK, "TOTAL_THREADS": TOTAL_THREADS, "GROUPS": GROUPS,
        "GROUPS_ACROSS": GROUPS_ACROSS, "SSIM_RADIUS": SSIM_RADIUS, "TAPS": 2 * SSIM_RADIUS + 1, "AT_ONCE": AT_ONCE,
    }  # fmt: skip
    numbers = {
        "CUTOFF": CUTOFF, "EPS": EPS, "MOST_SHARE": MOST_SHARE, "BETA1": BETA1, "BETA2": BETA2, "TINY": TINY,
        "SSIM_C1": SSIM_C1, "SSIM_C2": SSIM_C2, **{f"TAP{k}": tap for k, tap in enumerate(window())},
    }  # fmt: skip
    switches = {"LISTING": kernel == "list", "KEEPING": kernel == "keep"}
    declared = [f"const {name} = {value}u;" for name, value in integers.items()]
    declared += [f"const {name}: f32 = {value:.9e};" for name, value in numbers.items()]
    declared += [f"const {name} = {str(value).lower()};" for name, value in switches.items()]
    ways = {"parts": "parts_by_subgroup" if variant.subgroups else "parts_by_memory"}
    files = ["common", *(ways.get(name, name) for name in _FILES[kernel])]
    text = "\n".join((_HERE / f"{name}.wgsl").read_text("utf-8") for name in files)
    text = text.replace("{LAST}", str(integers["KEPT"] - 1))
    text = "\n".join([*declared, *_expanded(text.splitlines(), integers)])
    bindings = {int(number): access == "read_write" for number, access in _BINDING.findall(text)}
    return Source(text, _ENTRY_POINTS.get(kernel, kernel), bindings)


def _expanded(lines: list[str], integers: dict[str, int]) -> list[str]:
    """The lines without each(): a line of it once for every number, or all lines up to its closing brace."""
    done: list[str] = []
    while lines:
        line, *lines = lines
        found = _EACH.match(line)
        if not found:
            done.append(line)
            continue
        indent, name, most, text = found.groups()
        body = [indent + text]
        if text == "{":
            end = lines.index(indent + "}")
            body, lines = [inner.removeprefix("    ") for inner in lines[:end]], lines[end + 1 :]
        for k in range(integers[most]):
            done += _expanded([inner.replace(f"{{{name}}}", str(k)) for inner in body], integers)
    return done
