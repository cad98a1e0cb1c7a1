"""Writes THIRD-PARTY-NOTICES.txt from the metadata and license files of the bundled wheels: python tools/notices.py"""

from __future__ import annotations

import html
import re
import zipfile
from email.parser import Parser

import wheels

HEAD = """\
Third-party software in the extension's zip files
==================================================

Each is a wheel from PyPI, unmodified, with its own license files inside. Written by tools/notices.py from these.
"""


def main() -> None:
    pinned = wheels.pinned()
    wheels.fetch(pinned)
    parts = [HEAD]
    for name in sorted({wheel.name for wheel in pinned}):
        parts += _notice([wheel for wheel in pinned if wheel.name == name])
    text = "\n".join(parts)
    (wheels.ROOT / "THIRD-PARTY-NOTICES.txt").write_text(text, "utf-8", newline="\n")


def _notice(same: list[wheels.Wheel]) -> list[str]:
    """Heading, where it comes from, and every paragraph that is in any of its license files, once."""
    known: set[str] = set()
    paragraphs: list[str] = []
    for wheel in same:
        with zipfile.ZipFile(wheel.path) as archive:
            metadata = Parser().parsestr(_text(archive, f"{wheel.name}-{wheel.version}.dist-info/METADATA"))
            found = [name for name in archive.namelist() if ".dist-info/licenses/" in name or _is_license(name)]
            found = [name for name in found if not name.endswith("/")]
            if not found:
                raise SystemExit(f"error: {wheel.filename} holds no license file")
            for name in found:
                for paragraph in re.split(r"\n\s*\n", _text(archive, name)):
                    key = " ".join(paragraph.split())
                    if key and key not in known:
                        known.add(key)
                        paragraphs.append("\n".join(line.rstrip() for line in paragraph.strip("\n").splitlines()))
    title = f"{metadata['Name']} {', '.join(sorted({wheel.version for wheel in same}))}"
    license_name = metadata["License-Expression"] or metadata["License"] or "see below"
    source = f"https://pypi.org/project/{metadata['Name']}/"
    return [
        "",
        title,
        "-" * len(title),
        f"License: {license_name}",
        f"Source: {source}",
        "",
        "\n\n".join(paragraphs),
        "",
    ]


def _is_license(name: str) -> bool:
    return re.fullmatch(r"[^/]+\.dist-info/(LICEN[CS]E|COPYING|NOTICE)[^/]*", name) is not None


def _text(archive: zipfile.ZipFile, name: str) -> str:
    text = archive.read(name).decode("utf-8").replace("\r\n", "\n")
    if name.endswith(".html"):
        text = re.sub(r"(?s)<(style|script|head).*?</\1>", "", text)
        text = html.unescape(re.sub(r"<[^>]+>", "", re.sub(r"</(p|h\d|li|pre|div)>", "\n\n", text)))
    return text


if __name__ == "__main__":
    main()
