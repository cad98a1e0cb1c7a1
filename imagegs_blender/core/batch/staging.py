"""Outputs under their temporary names, until the journal has their lines; each attempt at a file has a name of its own."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

_NAME = re.compile(r"\.imagegs-batch-(?P<key>[0-9a-f]{12})-[0-9a-f]{8}\.blend@?")
"""With an @ while Blender writes it."""


def new(output: Path, key: str) -> Path:
    """A name beside an output that nothing has."""
    return output.with_name(f".imagegs-batch-{_short(key)}-{secrets.token_hex(4)}.blend")


def sweep(outputs: Iterable[tuple[Path, str]]) -> None:
    """Remove what attempts at these (output, key) have left; those of other shards in the same folders stay."""
    by_folder: dict[Path, set[str]] = {}
    for output, key in outputs:
        by_folder.setdefault(output.parent, set()).add(_short(key))
    for folder, keys in by_folder.items():
        if not folder.is_dir():
            continue
        for path in folder.iterdir():
            found = _NAME.fullmatch(path.name)
            if found and found["key"] in keys:
                path.unlink(missing_ok=True)


def _short(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:12]
