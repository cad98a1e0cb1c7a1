"""Compress the materials of .blend files without a window.

    blender -b scene.blend --python imagegs_blender/batch.py -- --bpp 1.0 --output out.blend --report report.json
    blender --command imagegs scenes/*.blend --output compressed/              (where the extension is installed)
    python -m imagegs_blender.batch scenes/*.blend --output compressed/        (Python with the bpy module)

Exit code: 0 where everything asked for was done, 1 where something failed, 2 for wrong usage,
130 after Ctrl-C.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a script by blender --python: find the package that this file belongs to (PEP 366)
    _here = Path(__file__).resolve().parent
    _same = [name for name in sys.modules if name.rpartition(".")[2] == _here.name]
    _loaded = [name for name in _same if Path(sys.modules[name].__file__ or "").resolve().parent == _here]
    __package__ = _loaded[0] if _loaded else _here.name
    if not _loaded:
        sys.path.insert(0, str(_here.parent))
        __import__(__package__)

import argparse
import glob
import json
import os
import time
import traceback
from collections.abc import Sequence
from functools import partial
from typing import Any

import bpy

from .blend import amount
from .core import files
from .core.cli import console
from .core.cli.progress import ProgressLine
from .core.decoding import renderer
from .core.errors import ImageGSError
from .core.settings import AMOUNTS, DEVICES, PRESETS, FitSettings
from .scene import cost, drop
from .scene.coverage import Importance
from .scene.material_stack import Plan
from .scene.skipped import Skipped
from .workflow import batch_file, batch_result, preset_file, selection, worth
from .workflow.compress import Outcome, Phase, Update, planned
from .workflow.notices import Severity
from .workflow.rebuild import rebuild_tables
from .workflow.run import compress
from .workflow.saving import pack_tables

Result = dict[str, Any]


def main(arguments: Sequence[str] | None = None, program: str = "imagegs_blender.batch") -> int:
    """Convert the files named on the command line (by default: of this process) and return the exit code."""
    parser = _parser(program)
    options = parser.parse_args(_command_line() if arguments is None else arguments)
    try:
        if options.preset_file:
            _take_preset(options)
        asked = {name: getattr(options, name) for name in (*AMOUNTS, "time_budget", "seed", "device", "adapter")}
        settings = FitSettings.preset(options.preset or "balanced", **asked)
        renderer.preferred = (options.device if options.device in renderer.PLACES else "auto", options.adapter)
        jobs = _jobs(options, parser)
        if options.report:
            files.check_writable(options.report)
    except ImageGSError as error:
        return console.fail(f"error: {error}")
    try:
        with console.written(), amount.known():
            results = [_try(source, output, settings, options) for source, output in jobs]
    except KeyboardInterrupt:
        return console.fail("cancelled: the file in progress was not written; those before it were", console.CANCELLED)
    except console.ReaderGone:
        return console.READER_GONE
    except ImageGSError as error:  # of the output; those of files are in their results
        return console.fail(f"error: {error}")
    if options.report:
        try:
            files.write(options.report, json.dumps(batch_result.document(settings, results), indent=2).encode())
        except ImageGSError as error:
            return console.fail(f"error: {error}")
    return int(any(result["error"] or result["failed"] for result in results))


def _take_preset(options: argparse.Namespace) -> None:
    """Take what a preset of the panel says wherever no other option says it. Raises ImageGSError where it is none."""
    path = Path(options.preset_file)
    values, unknown = preset_file.read(path)
    if unknown:
        console.say(f"warning: {path}: made by another version: {', '.join(unknown)} left out", sys.stderr)
    if not any(getattr(options, name) for name in AMOUNTS):
        rate = values.get("rate", "SIZE")
        decisive = amount.DECISIVE.get(rate)
        if decisive in values:
            vars(options).update(amount.as_setting(rate, values[decisive]))
    options.preset = options.preset or values.get("preset")
    options.seed = values.get("seed") if options.seed is None else options.seed
    options.even_if_not_smaller |= values.get("even_if_not_smaller", False)
    options.all_texels |= not values.get("ignore_unused", True)
    if values.get("importance") == "ATTRIBUTE" and not options.importance:
        options.importance_attribute = options.importance_attribute or values.get("importance_attribute")


def _try(source: Path | None, output: Path | None, settings: FitSettings, options: argparse.Namespace) -> Result:
    """Convert one file; whatever goes wrong is printed and reported, and does not stop the others."""
    name = str(source or bpy.data.filepath)
    start = time.perf_counter()
    try:
        with console.interruptible():
            result = _convert(source, output, settings, options)
    except ImageGSError as error:
        result = batch_result.failure(str(error))
    except console.ReaderGone:
        raise
    except Exception as error:  # blender -b would go on and exit with 0
        traceback.print_exc()
        result = batch_result.failure(f"internal error, please report it: {error!r}")
    result = {"file": name, "output": output and str(output), "seconds": time.perf_counter() - start} | result
    if not options.quiet and not options.dry_run:
        _print(batch_result.table(result, options.verbose))
    for problem in batch_result.errors(result):
        console.say(f"error: {problem}", sys.stderr)
    return result


def _convert(source: Path | None, output: Path | None, settings: FitSettings, options: argparse.Namespace) -> Result:
    """Compress one file and save it. Raises ImageGSError where nothing could be saved."""
    if source is not None:
        batch_file.load(source)
    problems = [{"material": None, "error": problem} for problem in rebuild_tables()]
    importance = Importance.of(not options.all_texels, options.importance, options.importance_attribute)
    materials = _materials(options)
    known = {material.name for material in materials}
    problems += [
        {"material": name, "error": "no material of this name"} for name in options.materials or () if name not in known
    ]
    plan = planned(materials, own_amounts=not options.same_rate)
    if output is None:
        plan = plan if options.even_if_not_smaller else worth.sifted(plan, settings)
        _print(f"{bpy.data.filepath}\n{plan.text(options.verbose)}")
        return batch_result.result(Outcome(plan), problems)
    with batch_file.as_it_was(source) as original:
        images = {m.image.find() for stack in plan.stacks for m in stack.maps}
        loose = {image.name: cost.image(image).disk for image in images if batch_file.is_loose(image)}
        before = batch_file.size_when_saved(images)
        only_smaller = not options.even_if_not_smaller
        with ProgressLine(sys.stdout) as line:
            told = None if options.quiet else partial(_tell, line)
            outcome = compress(plan, settings, told, importance=importance, only_smaller=only_smaller)
        before -= _size_of_left(outcome, images)
        for warning in outcome.of(Severity.WARNING):
            console.say(f"warning: {warning}", sys.stderr)
        kept = drop.drop_originals(materials)[1] if options.drop_originals else []
        if options.self_contained:
            pack_tables()
        if options.drop_originals and only_smaller and not options.self_contained:
            most = min(before, original.stat().st_size + sum(loose.values()))
            if not batch_file.save_no_larger(output, original, most):
                reason = f"would not get smaller: {max(1, round(most / 1000))} KB as it is"
                outcome = Outcome(Plan((), (*outcome.plan.skipped, Skipped("the file", None, reason))))
                kept, before = [], output.stat().st_size
        else:
            batch_file.save(output)
    sizes = {"bytes_before": before, "bytes_after": output.stat().st_size}
    return batch_result.result(outcome, problems, kept) | sizes


def _print(lines: str) -> None:
    for line in lines.split("\n"):
        console.say(line)


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


def _tell(line: ProgressLine, update: Update) -> None:
    """Show where the work is."""
    if update.phase is Phase.PREPARING:
        line.say(Phase.PREPARING.value, f"{update.part:.0%}")
    elif update.progress is not None:
        line.show(update.progress, f"[{update.index + 1}/{len(update.names)}] {update.stack}: ")


def _jobs(options: argparse.Namespace, parser: argparse.ArgumentParser) -> list[tuple[Path | None, Path | None]]:
    """(input, output) of every file; an input of None is the file that is open in Blender."""
    sources: list[Path | None] = [Path(path) for pattern in options.files for path in _expand(pattern)]
    if not sources:
        if not bpy.data.filepath:
            parser.error("name at least one .blend file")
        sources = [None]
    if options.dry_run:
        return [(source, None) for source in sources]
    if options.output is None:
        parser.error("name an --output (or use --dry-run)")
    target = Path(options.output)
    if len(sources) > 1 and not files.is_folder(target):
        parser.error(f"{target}: several files need an existing folder as --output")
    names = [Path(source or bpy.data.filepath).name for source in sources]
    outputs = [target / name for name in names] if files.is_folder(target) else [target]
    for source, output in zip(sources, outputs, strict=True):
        original = Path(source or bpy.data.filepath)
        if outputs.count(output) > 1:
            raise ImageGSError(f"{output}: two inputs have this name; convert them into different folders")
        if files.is_folder(target) and files.exists(original) and files.exists(output) and output.samefile(original):
            raise ImageGSError(
                f"{output}: would overwrite its original; choose another folder, or name the file itself"
            )
        files.check_writable(output)
    return list(zip(sources, outputs, strict=True))


def _expand(pattern: str) -> list[str]:
    """The files that a name or a glob stands for, for shells that do not expand globs; a plain name stays as it is."""
    if not glob.has_magic(pattern) or os.path.exists(pattern):
        return [pattern]
    return sorted(glob.glob(pattern, recursive=True)) or [pattern]


def _command_line() -> list[str]:
    """This process's arguments: behind "--" where Blender has its own in front."""
    if "--" in sys.argv:
        return sys.argv[sys.argv.index("--") + 1 :]
    return [] if bpy.app.binary_path else sys.argv[1:]


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Compress the textures of .blend files into 2D Gaussians that a shader decodes.",
        epilog="Exit code: 0 if everything asked for was done, 1 if something failed, 2 for wrong usage.",
    )
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE.blend", help="files or globs; by default the file that is open in Blender")
    add("--output", "-o", metavar="FILE|FOLDER", help="where to save; an existing folder where there are several files")
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument("--bpp", type=float, help="bits per pixel of the largest map of a stack, all maps together")
    rate.add_argument(
        "--num-gaussians", type=int, metavar="N", help="Gaussians per stack; not with --bpp and the next two"
    )
    add("--max-bytes", type=int, metavar="BYTES", help="size that a stack's stream never exceeds")
    add(
        "--target-psnr",
        type=float,
        metavar="DB",
        help="the smallest streams of this PSNR, in dB, within the bytes allowed",
    )
    add(
        "--same-rate",
        action="store_true",
        help="leave out of account that materials have a size or quality of their own",
    )
    add("--time-budget", type=float, metavar="SECONDS", help="seconds per stack: ends in time, with what is reached")
    add("--preset", help=f"one of {', '.join(PRESETS)} (balanced)")
    add(
        "--preset-file",
        metavar="FILE.py",
        help="settings that the panel's Presets saved; other options come before them",
    )
    add("--seed", type=int, help="the same seed gives the same bytes (0)")
    add("--device", default="auto", help=f"where to fit: {', '.join(DEVICES)} (%(default)s)")
    add("--adapter", default="", metavar="NAME", help="part of the name of the graphics card to fit on")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--selected", action="store_true", help="only the materials of the objects that are selected")
    which.add_argument("--materials", nargs="+", metavar="NAME", help="only these materials")
    add("--all-texels", action="store_true", help="count every texel, not only those that a mesh shows")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--importance", metavar="IMAGE", help="image of the file by name, or a path: more detail where it is white"
    )
    where.add_argument(
        "--importance-attribute", metavar="NAME", help="color attribute of the meshes: more detail where it is light"
    )
    add("--drop-originals", action="store_true", help="remove the original images from the saved file")
    add(
        "--even-if-not-smaller", action="store_true", help="compress textures, too, that would take no less of the file"
    )
    add("--self-contained", action="store_true", help="pack the decode tables: renders without the add-on")
    add("--report", metavar="FILE.json", help="write what was done, and what was not")
    add("--dry-run", action="store_true", help="say what would be compressed, and what not, and save nothing")
    add("--verbose", action="store_true", help="name each material and image that is left as it is")
    add("--quiet", action="store_true", help="print errors only")
    return parser


if __name__ == "__main__":
    try:
        code = main()
    except Exception:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    if code:
        sys.exit(code)
