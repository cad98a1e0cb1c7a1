"""Which files a batch is about, where each goes, and in which order: libraries come before the files that link them."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .. import files
from ..errors import ImageGSError
from . import blend_file, stamp
from .journal import Entry

_SUFFIX = ".blend"


@dataclass(frozen=True)
class Item:
    """A file of a batch.

    source, output   as named, and where its links lead
    key              the output's name below the output folder, with slashes
    libraries        what it links, resolved paths, libraries' libraries included
    after            keys of those files of the batch that it links and that can come before it
    circle           sources of those that it links and that link it
    """

    source: Path
    output: Path
    key: str
    libraries: tuple[Path, ...] = ()
    after: tuple[str, ...] = ()
    circle: tuple[Path, ...] = ()


def sources(names: Sequence[str], recursive: bool, output: Path) -> tuple[list[tuple[Path, Path]], list[str]]:
    """The files that names, globs and (recursive) folders stand for, each with its name below the output folder.

    Beside them, the names that came twice. Raises ImageGSError where a folder has none.
    Files in the output folder, hidden files and folders, and links to folders are left out of a folder.
    """
    found: dict[Path, Path] = {}
    twice: list[str] = []
    for name in names:
        for path in _expand(name):
            if files.is_folder(path):
                if not recursive:
                    raise ImageGSError(f"{path}: is a folder; add -r to convert the files below it, or name files")
                below = list(_below(path, output))
                if not below:
                    raise ImageGSError(f"{path}: no .blend file below it; choose another folder")
            else:
                below = [(path, Path(path.name))]
            for source, relative in below:
                key = Path(os.path.abspath(source))
                if key in found:
                    twice.append(str(source))
                else:
                    found[key] = relative
    return list(found.items()), list(dict.fromkeys(twice))


def items(found: Iterable[tuple[Path, Path]], folder: Path, known: Mapping[str, Entry] | None) -> list[Item]:
    """The files of a batch in their order. Raises ImageGSError where two would have one output.

    known   lines of the journal: files are read for what they link where they have no line, or changed. None: nobody asks
    """
    made: list[Item] = []
    names: dict[str, Path] = {}
    for source, relative in found:
        key = relative.as_posix()
        if (other := names.setdefault(key.casefold(), source)) is not source:
            raise ImageGSError(
                f"{folder / relative}: both {other} and {source} have this name; convert them into different folders, or name "
                "the folder above with -r"
            )
        libraries = () if known is None else _libraries(source, known.get(key))
        made.append(Item(source, folder / relative, key, libraries))
    return _ordered(made)


def shard(of: Sequence[Item], number: int, count: int) -> list[Item]:
    """The files of one of `count` machines. Files that link each other stay together, so that each finds its libraries."""
    group = {item.key: item.key for item in of}
    by_source = _by_source(of)

    def first(key: str) -> str:
        while group[key] != key:
            key = group[key]
        return key

    for item in of:
        for other in _linked(item, by_source):
            one, two = sorted((first(item.key), first(other.key)))
            group[two] = one
    numbers = {key: index for index, key in enumerate(sorted({first(item.key) for item in of}))}
    return [item for item in of if numbers[first(item.key)] % count == number - 1]


def _ordered(of: Sequence[Item]) -> list[Item]:
    """Libraries first; of a circle, who is met first comes last."""
    by_source = _by_source(of)
    done: dict[str, Item] = {}
    for start in of:
        if start.key in done:
            continue
        stack = [(start, iter(_linked(start, by_source)))]
        above = {start.key}
        circles: dict[str, list[Path]] = {}
        while stack:
            item, rest = stack[-1]
            other = next(rest, None)
            if other is None:
                stack.pop()
                above.discard(item.key)
                after = tuple(linked.key for linked in _linked(item, by_source) if linked.key in done)
                done[item.key] = replace(item, after=after, circle=tuple(circles.get(item.key, ())))
            elif other.key in above:
                circles.setdefault(item.key, []).append(other.source)
            elif other.key not in done:
                above.add(other.key)
                stack.append((other, iter(_linked(other, by_source))))
    return list(done.values())


def _libraries(source: Path, entry: Entry | None) -> tuple[Path, ...]:
    if entry and stamp.is_dated(source, entry):
        return tuple(map(Path, entry["libraries"]))
    facts = blend_file.facts(source)
    return facts.libraries if facts else ()


def _by_source(of: Sequence[Item]) -> dict[Path, Item]:
    return {item.source.resolve(): item for item in reversed(of)}


def _linked(item: Item, by_source: Mapping[Path, Item]) -> list[Item]:
    return [by_source[path] for path in item.libraries if path in by_source]


def _below(folder: Path, output: Path) -> Iterator[tuple[Path, Path]]:
    """The .blend files below a folder, in the order of their names, with their paths from it."""
    own = output.resolve()
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and Path(here, name).resolve() != own)
        for name in sorted(names):
            path = Path(here, name)
            if path.suffix.lower() == _SUFFIX and not name.startswith(".") and (path.is_file() or path.is_symlink()):
                yield path, path.relative_to(folder)


def _expand(name: str) -> Collection[Path]:
    """The paths that a name or a glob stands for, for shells that expand none; a plain name stays as it is."""
    if not glob.has_magic(name) or os.path.exists(name):
        return [Path(name)]
    return [Path(path) for path in sorted(glob.glob(name, recursive=True))] or [Path(name)]
