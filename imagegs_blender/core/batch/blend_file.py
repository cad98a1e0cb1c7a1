"""What a .blend says about itself without Blender: the version that saved it, and the libraries that it links.

A file that crashes Blender does no harm here, and thousands of files are looked at in minutes. The layout is Blender's: a head,
blocks, and behind them the "DNA" that names the members of every struct (BLO_core_bhead.hh, dna_genfile.cc).
"""

from __future__ import annotations

import gzip
import re
import struct
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import IO, NamedTuple

from ..errors import ImageGSError

Version = tuple[int, int]

_HEAD = re.compile(rb"BLENDER(?:(?P<pointer>[-_])(?P<endian>[vV])(?P<old>\d{3})|17-01v(?P<new>\d{4}))")
_OLD_HEAD, _NEW_HEAD = 12, 17
_ZSTD, _GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"
_PATH_BYTES = 1024
"""Of a library's path: the first array of so many characters in its struct, whatever it is called."""


class Block(NamedTuple):
    """A block of a file. offset: of its data in the uncompressed file."""

    code: bytes
    struct: int
    address: int
    offset: int
    size: int


class Facts(NamedTuple):
    """version: (4, 5) for Blender 4.5. libraries: resolved paths, those of libraries' libraries included."""

    version: Version
    libraries: tuple[Path, ...]


def shortcoming() -> str | None:
    """What this Python can't find out about files, in words; None where it lacks nothing. Blender's own has zstandard."""
    if find_spec("zstandard"):
        return None
    return (
        "this Python has no zstandard: which Blender saved a compressed .blend, and what it links, is not known; "
        "install it, or convert libraries first, in a batch of their own"
    )


def version(path: Path) -> Version | None:
    """The Blender that saved a file; None where it can't be read, or is none of its files."""
    try:
        with closing(_open(path)) as file:
            head = _head(file)
            return _version(head) if head else None
    except _UNREADABLE:
        return None


def facts(path: Path) -> Facts | None:
    """What a file says about itself; None where it can't be read: whoever opens it says why."""
    try:
        with closing(_open(path)) as file:
            head = _head(file)
            if head is None:
                return None
            libraries, dna = [], b""
            for block in _blocks(file, head):
                if block.code == b"LI\0\0":
                    libraries.append(file.read(block.size))
                elif block.code == b"DNA1":
                    dna = file.read(block.size)
            offset = _path_offset(dna, _endian(head), _pointer(head)) if libraries else 0
            names = [data[offset : offset + _PATH_BYTES].split(b"\0")[0] for data in libraries]
            return Facts(_version(head), tuple(dict.fromkeys(_resolved(path, name) for name in names if name)))
    except _UNREADABLE:
        return None


def blocks(file: IO[bytes]) -> Iterator[Block]:
    """The blocks of an uncompressed file in their order. Between two of them the data may be read."""
    head = _head(file)
    if head is None:
        raise ValueError("no .blend")
    return _blocks(file, head)


def _head(file: IO[bytes]) -> re.Match[bytes] | None:
    """The file's head, of 12 or 17 bytes: no more is read, as compressed files know no way back."""
    start = file.read(_OLD_HEAD)
    return _HEAD.match(start) or _HEAD.match(start + file.read(_NEW_HEAD - _OLD_HEAD))


def _blocks(file: IO[bytes], head: re.Match[bytes]) -> Iterator[Block]:
    layout = "4siQqq" if head["new"] else "4siQii" if head["pointer"] == b"-" else "4siIii"
    form = struct.Struct(_endian(head) + layout)
    place = _NEW_HEAD if head["new"] else _OLD_HEAD
    while True:
        file.seek(place)
        data = file.read(form.size)
        if len(data) < form.size:
            return
        code, first, address, second, _ = form.unpack(data)  # the last: how many structs the data holds
        index, size = (first, second) if head["new"] else (second, first)
        if size < 0 or code == b"ENDB":
            return
        yield Block(code, index, address, place + form.size, size)
        place += form.size + size


def refusal(saved_by: Version | None, blender: Version, upgrade: bool) -> str | None:
    """Why a Blender must not save a file of a version, in words; None where it may.

    upgrade   the person has agreed that it becomes a file of a newer Blender
    """
    if saved_by is None or saved_by == blender:
        return None
    old, new = (".".join(map(str, v)) for v in (saved_by, blender))
    if saved_by > blender:
        return f"saved by Blender {old}: this one, {new}, may lose what is new in it; use Blender {old} or newer"
    if upgrade:
        return None
    return f"saved by Blender {old}: it would become a file of Blender {new}; add --upgrade to agree"


def _open(path: Path) -> IO[bytes]:
    """The uncompressed file; it can be sought in, forwards."""
    if not path.is_file():
        raise ValueError("no file")  # who opened a pipe would wait
    with path.open("rb") as file:
        start = file.read(4)
    if start == _ZSTD:
        return _zstd(path)
    if start[:2] == _GZIP:
        return gzip.open(path)  # type: ignore[return-value]
    return path.open("rb")


def _zstd(path: Path) -> IO[bytes]:
    try:
        import zstandard  # Blender's Python and the bpy wheel have it
    except ImportError:
        raise ImageGSError("zstandard is missing") from None
    source = path.open("rb")
    return zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True, closefd=True)


def _version(head: re.Match[bytes]) -> Version:
    number = int(head["new"] or head["old"])
    return (number // 100, number % 100)


def _endian(head: re.Match[bytes]) -> str:
    return ">" if head["endian"] == b"V" else "<"


def _pointer(head: re.Match[bytes]) -> int:
    return 4 if head["pointer"] == b"_" else 8


def _path_offset(dna: bytes, endian: str, pointer: int) -> int:
    """Where the path is in a Library. Raises ValueError where the DNA has none."""
    place = 4

    def number(form: str, count: int = 1) -> tuple[int, ...]:
        nonlocal place
        read = struct.Struct(f"{endian}{count}{form}")
        values = read.unpack_from(dna, place)
        place += read.size
        return values

    def texts(code: bytes) -> list[bytes]:
        nonlocal place
        place = dna.index(code, place) + 4
        found = dna[place + 4 :].split(b"\0", number("i")[0])
        place += sum(len(text) + 1 for text in found[:-1])
        return found[:-1]

    names, types = texts(b"NAME"), texts(b"TYPE")
    place = dna.index(b"TLEN", place) + 4
    lengths = number("h", len(types))
    place = dna.index(b"STRC", place) + 4
    for _ in range(number("i")[0]):
        kind, count = number("h", 2)
        members = number("h", 2 * count)
        if types[kind] != b"Library":
            continue
        offset = 0
        for member, name in zip(members[::2], members[1::2], strict=True):
            sizes = [int(size) for size in re.findall(rb"\[(\d+)\]", names[name])]
            if types[member] == b"char" and sizes == [_PATH_BYTES]:
                return offset
            size = pointer if names[name].startswith((b"*", b"(*")) else lengths[member]
            for times in sizes:
                size *= times
            offset += size
    raise ValueError("no path in Library")


def _resolved(path: Path, name: bytes) -> Path:
    text = name.decode("utf-8", "surrogateescape").replace("\\", "/")
    return Path(path.parent, text[2:]).resolve() if text.startswith("//") else Path(text).resolve()


def _unreadable() -> tuple[type[Exception], ...]:
    kinds: list[type[Exception]] = [OSError, EOFError, ValueError, IndexError, struct.error, ImageGSError, RuntimeError]
    try:
        import zstandard
    except ImportError:
        return tuple(kinds)
    return (*kinds, zstandard.ZstdError)


_UNREADABLE = _unreadable()
"""What damaged files raise."""
