"""The example of a page of docs about the format: its bytes, blocks and tables."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

DOCS = Path(__file__).resolve().parents[3] / "docs"
LINE = re.compile(r"^ *(\d+)  ((?:[0-9A-F]{2} ?)+)(?:  .*)?$")


def example(name: str) -> str:
    """What a page says from its heading "Example" on."""
    return (DOCS / name).read_text("utf-8").partition("\n## Example")[2]


def bytes_of(page: str) -> bytes:
    """The bytes of the example, from its lines "offset  bytes  meaning", whose offsets and number must be right."""
    found = b""
    for line in block(page, "igs").splitlines():
        if line:
            match = LINE.match(line)
            assert match and int(match[1]) == len(found), line
            found += bytes.fromhex(match[2])
    assert f"All {len(found)} bytes" in page
    return found


def block(page: str, name: str) -> str:
    """The content of the fenced block with this name."""
    return page.partition(f"```{name}\n")[2].partition("```")[0]


def row(page: str, name: str) -> list[str]:
    """The cells of the row of a table that begins with this cell."""
    (line,) = (line for line in page.splitlines() if line.startswith(f"| {name}"))
    return [cell.strip() for cell in line.strip("| ").split("|")][1:]


def texels(page: str) -> list[list[int]]:
    """The picture of the example."""
    return [[int(value) for value in line.split()] for line in block(page, "texels").splitlines()]


def check_sections(data: bytes) -> None:
    """Every section has its size and its checksum."""
    at = 12
    for name in (b"HEAD", b"MODL", b"CODE"):
        size, check = struct.unpack_from("<II", data, at + 4)
        assert data[at : at + 4] == name
        assert zlib.crc32(name + data[at + 12 : at + 12 + size]) == check
        at += 12 + size
    assert at == len(data)
