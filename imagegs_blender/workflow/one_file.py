"""One .blend in this process, opened, compressed and saved; and the JSON that says what, and how it went.

    blender --background --factory-startup TEMPLATE.blend --python imagegs_blender/batch.py -- job.json

A batch starts a Blender like that for each of its files, and so can every pipeline: docs/farm.md lists the keys.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import bpy

from ..blend import amount
from ..blend.properties import NODES
from ..core import files, machine
from ..core.batch import blend_file
from ..core.cli import console
from ..core.decoding import renderer
from ..core.errors import ImageGSError
from ..core.process.child import from_parent, to_parent
from ..core.settings import AMOUNTS, FitSettings
from ..scene import cost, drop
from ..scene.coverage import Importance
from ..scene.material_stack import Plan
from ..scene.skipped import Skipped
from . import batch_file, batch_options, batch_result, selection, worth
from .compress import Outcome, Phase, Update, planned
from .notices import Severity
from .rebuild import rebuild_tables
from .run import compress
from .saving import pack_tables

Result = dict[str, Any]
Tell = Callable[[Mapping[str, Any]], None]

_KEYS = frozenset(
    "source output result options overwrite save_as key libraries threads memory timeout watched dry_run".split()
)

_LATER = 30.0
"""Seconds behind its time limit after which a Blender that hangs, and that nobody ended, ends itself."""


def main(path: Path) -> int:
    """Do what a file says, and write the result where it says. Returns 0, or 1 where something failed."""
    try:
        job = _read(path)
    except ImageGSError as error:
        return console.fail(f"error: {error}")
    tell: Tell = lambda _: None  # noqa: E731
    if job.get("watched"):
        from_parent()
        tell = to_parent()
        if job.get("timeout"):
            faulthandler.dump_traceback_later(job["timeout"] + _LATER, exit=True)
    if job.get("memory"):
        machine.limit_memory(job["memory"])
    result = _result(job, tell)
    try:
        files.write(job["result"], json.dumps(result).encode())
    except ImageGSError as error:
        return console.fail(f"error: {error}")
    code = int(bool(result["error"] or result["failed"]))
    if job.get("watched"):  # whatever Blender would do at its end, the work is done
        sys.stderr.flush()
        os._exit(code)
    return code


def settings_of(options: argparse.Namespace) -> FitSettings:
    """The settings of a fit that options ask for. Raises ImageGSError for one that can't be."""
    asked = {name: getattr(options, name) for name in (*AMOUNTS, "time_budget", "seed", "weigh", "device", "adapter")}
    renderer.preferred = (options.device if options.device in renderer.PLACES else "auto", options.adapter)
    return FitSettings.preset(options.preset or "balanced", **asked)


def convert(
    source: Path | None,
    output: Path | None,
    save_as: Path | None,
    options: argparse.Namespace,
    libraries: Mapping[str, str],
    tell: Tell,
) -> Result:
    """Compress a file, or the open one, and save it; without `save_as`, say what would be compressed.

    output      what the saved file is going to be called, for messages
    libraries   resolved path -> output: what to link in the place of what
    tell        hears {"preparing": 0..1}, and {"stack": name, "index": i, "stacks": n, "progress": ...}
    Raises ImageGSError where nothing could be saved.
    """
    settings = settings_of(options)
    opened = source or Path(bpy.data.filepath)
    refused = blend_file.refusal(blend_file.version(opened), bpy.app.version[:2], options.upgrade)
    if refused and save_as is not None:
        raise Refused(f"{opened}: {refused}")
    if source is not None:
        batch_file.load(source)
    uses = batch_file.used_files(opened)
    missing = batch_file.missing_libraries()
    if missing and not options.without_libraries:
        raise ImageGSError(
            f"{opened}: its library {missing[0]} is missing; put it back, or add --without-libraries to convert the file all "
            "the same"
        )
    problems = [{"material": None, "error": problem} for problem in rebuild_tables()]
    importance = Importance.of(not options.all_texels, options.importance, options.importance_attribute)
    if options.importance and Path(options.importance).is_file():
        uses.append(os.path.abspath(options.importance))
    materials = _materials(options)
    known = {material.name for material in materials}
    problems += [
        {"material": name, "error": "no material of this name"} for name in options.materials or () if name not in known
    ]
    plan = planned(materials, own_amounts=not options.same_rate)
    if save_as is None:
        plan = plan if options.even_if_not_smaller else worth.sifted(plan, settings)
        text = f"{opened}\n{plan.text(options.verbose)}"
        return _judged(batch_result.result(Outcome(plan), problems)) | {"text": text}
    with batch_file.as_it_was(source) as original:
        images = {m.image.find() for stack in plan.stacks for m in stack.maps}
        loose = {image.name: cost.image(image).disk for image in images if batch_file.is_loose(image)}
        before = batch_file.size_when_saved(images)
        only_smaller = not options.even_if_not_smaller
        outcome = compress(
            plan, settings, lambda update: _tell(tell, update), importance=importance, only_smaller=only_smaller,
            kind=_kind(options),
        )  # fmt: skip
        before -= _size_of_left(outcome, images)
        warnings = [str(warning) for warning in outcome.of(Severity.WARNING)]
        kept = drop.drop_originals(materials)[1] if options.drop_originals else []
        if options.self_contained:
            pack_tables()
        batch_file.relink(libraries)
        name = output or save_as
        if options.drop_originals and only_smaller and not options.self_contained:
            most = min(before, original.stat().st_size + sum(loose.values()))
            if not batch_file.save_no_larger(save_as, original, most, libraries, name):
                reason = f"would not get smaller: {max(1, round(most / 1000))} KB as it is"
                outcome = Outcome(Plan((), (*outcome.plan.skipped, Skipped("the file", None, reason))))
                kept, before = [], save_as.stat().st_size
        else:
            batch_file.save(save_as, name)
    sizes = {"bytes_before": before, "bytes_after": save_as.stat().st_size, "saved": True}
    return _judged(batch_result.result(outcome, problems, kept)) | sizes | {"uses": uses, "warnings": warnings}


class Refused(ImageGSError):
    """A file that is left as it is unless the person agrees."""


def guarded(do: Callable[[], Result]) -> Result:
    """The result of a conversion, whatever went wrong."""
    status = "failed"
    try:
        with console.interruptible():
            return do()
    except Refused as error:
        status, reason = "skipped", str(error)
    except ImageGSError as error:
        reason = str(error)
    except MemoryError:
        reason = "there is too little memory; use fewer --jobs, or a higher --memory"
    except console.ReaderGone:
        raise
    except Exception as error:  # blender -b would go on and exit with 0
        traceback.print_exc()
        reason = f"internal error, please report it: {error!r}"
    return {**batch_result.failure(reason), "status": status, "reason": reason}


def _result(job: Mapping[str, Any], tell: Tell) -> Result:
    output = Path(job["output"]) if job.get("output") else None
    save_as = Path(job["save_as"]) if job.get("save_as") else None
    source = Path(job["source"]) if job.get("source") else None
    options = argparse.Namespace(**{**batch_options.DEFAULTS, "verbose": False, **job.get("options", {})})
    libraries = job.get("libraries", {})

    def do() -> Result:
        if save_as is not None or job.get("dry_run"):
            return convert(source, output, save_as, options, libraries, tell)
        assert output is not None
        if files.exists(output) and not job.get("overwrite"):
            raise ImageGSError(f'{output}: exists already; choose another output, or set "overwrite"')
        with files.replacing(output.resolve()) as place:
            return convert(source, output, place, options, libraries, tell)

    with amount.known():
        return guarded(do)


def _read(path: Path) -> dict[str, Any]:
    """What a file says, checked. Raises ImageGSError where it is no such file."""
    try:
        job = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ImageGSError(f"{path}: can't be read ({error.strerror}); name a JSON file") from error
    except ValueError as error:
        raise ImageGSError(f"{path}: is no JSON ({error}); docs/farm.md shows one") from error
    if not isinstance(job, dict):
        raise ImageGSError(f"{path}: holds no object; docs/farm.md shows one")
    options = job.get("options", {})
    unknown = job.keys() - _KEYS
    unknown |= (
        options.keys() - batch_options.DEFAULTS.keys() - {"verbose"} if isinstance(options, dict) else {"options"}
    )
    if unknown:
        raise ImageGSError(f"{path}: {', '.join(sorted(unknown))}: not known here; docs/farm.md lists the keys")
    if not isinstance(job.get("result"), str) or not (job.get("dry_run") or isinstance(job.get("output"), str)):
        raise ImageGSError(f'{path}: needs "output" and "result", paths of files; docs/farm.md shows one')
    return job


def _judged(result: Result) -> Result:
    """A result with its status, the reason for it, and the lowest PSNR of its stacks, in dB; None without one."""
    found = [row["psnr"]["overall"] for row in result["materials"]]
    psnr = min((value for value in found if value is not None), default=None)
    status, reason = ("done" if result["materials"] else "nothing to do"), None
    if result["failed"]:
        first, *more = [": ".join(filter(None, (entry["material"], entry["error"]))) for entry in result["failed"]]
        status, reason = "failed", first + (f" (and {len(more)} more)" if more else "")
    return {**result, "status": status, "reason": reason, "psnr": psnr}


def _size_of_left(outcome: Outcome, images: set[bpy.types.Image]) -> int:
    """Bytes of the images, of these, that a packed file holds and that were not compressed after all."""
    compressed = {m.image.name for done in outcome.done for m in done.stack.maps}
    left = [image for image in images if image.name not in compressed and batch_file.is_loose(image)]
    return batch_file.size_when_saved(left) - batch_file.size_when_saved() if left else 0


def _materials(options: argparse.Namespace) -> list[bpy.types.Material]:
    """The materials asked for; by default every one that is used."""
    if options.selected:
        layer = bpy.context.view_layer
        assert layer is not None
        return selection.materials(obj for obj in layer.objects if obj.select_get())
    if options.materials:
        return [material for material in bpy.data.materials if material.name in options.materials]
    return selection.of_file()


def _kind(options: argparse.Namespace) -> str | None:
    """The kind of decoder asked for; None: Auto."""
    if options.decoder == "auto":
        return NODES if options.self_contained else None
    return str(options.decoder).upper()


def _tell(tell: Tell, update: Update) -> None:
    """Say where the work is."""
    if update.phase is Phase.PREPARING:
        tell({"preparing": update.part})
    elif update.progress is not None:
        about = {"stack": update.stack, "index": update.index, "stacks": len(update.names)}
        tell({**about, "progress": asdict(update.progress)})
