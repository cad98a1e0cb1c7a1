"""What a conversion of a file did, as JSON (report.json) and as a table."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from ..core.settings import FitSettings
from ..scene import skipped
from ..scene.drop import Kept
from ..scene.skipped import Skipped
from .compress import Done, Outcome
from .notices import Severity

_FROM_THE_FIT = ("unused", "num_gaussians", "steps", "device", "bytes", "bpp", "bppc", "psnr", "ssim")
_HEAD = ("material", "maps", "resolution", "unused", "Gaussians", "bytes", "bppc", "PSNR per map", "seconds")
_ALIGNMENT = ("<", ">", ">", ">", ">", ">", ">", "<", ">")


def result(outcome: Outcome, problems: list[dict[str, Any]], kept: Iterable[Kept] = ()) -> dict[str, Any]:
    """One file's part of report.json.

    materials   one row for each material and stack; a stack that several materials share is in several rows
    skipped     what was left as it is, and why: not an error
    failed      what was asked for and could not be done
    kept        originals that were to be dropped and stay, because something else really uses them
    """
    failed = [
        {"material": material, "stack": notice.subject, "error": notice.text}
        for notice in outcome.of(Severity.ERROR)
        for material in notice.materials
    ]
    return {
        "error": None,
        "materials": [_row(done, material) for done in outcome.done for material in done.stack.materials],
        "bytes_streams": sum(done.report.bytes for done in outcome.done),
        "skipped": [asdict(left) for left in outcome.plan.skipped],
        "failed": problems + failed,
        "kept": [asdict(image) for image in kept],
    }


def failure(error: str) -> dict[str, Any]:
    """One file's part of report.json where nothing was saved."""
    return {"error": error, "materials": [], "bytes_streams": 0, "skipped": [], "failed": [], "kept": []}


def document(settings: FitSettings, results: list[dict[str, Any]]) -> dict[str, Any]:
    """All of report.json."""
    return {"settings": asdict(settings), "files": results}


def errors(result: dict[str, Any]) -> list[str]:
    """One line for everything that went wrong with a file."""
    if result["error"]:
        return [result["error"]]
    prefix = f"{result['file']}: "
    return [prefix + ": ".join(filter(None, (entry["material"], entry["error"]))) for entry in result["failed"]]


def table(result: dict[str, Any], verbose: bool = False) -> str:
    """One file's results for people. verbose: what is left as it is one by one, see skipped.lines."""
    rows = [_HEAD, *(_cells(row) for row in result["materials"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = ["  ".join(map(_align, row, widths, _ALIGNMENT)).rstrip() for row in rows]
    text = [result["file"], *(lines if len(rows) > 1 else ())]
    left = (Skipped(**entry) for entry in result["skipped"])
    text += [f"left as it is: {line}" for line in skipped.lines(left, verbose)]
    text += [f"kept: {Kept.from_json(entry)}" for entry in result["kept"]]
    if "bytes_after" in result:
        before, after = result["bytes_before"], result["bytes_after"]
        text.append(
            f"{result['output']}: {after:,} bytes, was {before:,} with its textures packed "
            f"({before / after:.1f} times smaller), {result['seconds']:.1f} s"
        )
    return "\n".join(text)


def _row(done: Done, material: str) -> dict[str, Any]:
    maps = done.stack.maps
    return {
        "material": material,
        "stack": done.stack.name,
        "shared_with": [other for other in done.stack.materials if other != material],
        "maps": [m.name for m in maps],
        "images": {m.name: m.image.name for m in maps},
        "feeds": {m.name: list(m.labels) for m in maps},
        "width": done.stack.largest.width,
        "height": done.stack.largest.height,
        **{key: _finite(getattr(done.report, key)) for key in _FROM_THE_FIT},
        "seconds": done.seconds,
        **({} if done.rendered is None else {"rendered_psnr": _finite(done.rendered)}),
    }


def _finite(value: Any) -> Any:
    """Infinity, the PSNR of identical maps, as None: JSON knows none."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return None if value == math.inf else value


def _align(cell: str, width: int, side: str) -> str:
    return f"{cell:{side}{width}}"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    quality = ", ".join(f"{'/'.join(row['feeds'][name])} {_decibels(row['psnr'][name])}" for name in row["maps"])
    return (
        row["material"],
        str(len(row["maps"])),
        f"{row['width']} x {row['height']}",
        f"{row['unused']:.0%}",
        f"{row['num_gaussians']:,}",
        f"{row['bytes']:,}",
        f"{row['bppc']:.3f}",
        quality,
        f"{row['seconds']:.1f}",
    )


def _decibels(psnr: float | None) -> str:
    return "exact" if psnr is None else f"{psnr:.1f}"
