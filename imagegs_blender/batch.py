"""Compress the materials of .blend files without a window.

    blender -b scene.blend --python imagegs_blender/batch.py -- --bpp 1.0 --output out.blend --report report.json
    blender --command imagegs scenes/*.blend --output compressed/              (where the extension is installed)
    python -m imagegs_blender.batch scenes/*.blend --output compressed/        (Python with the bpy module)

Each file is converted in a Blender of its own (workflow/one_file.py), which a crash or a hang ends alone; without files, the
open one is converted here. `-- job.json` is such a Blender.

Exit code: 0 where everything asked for was done, 1 where something was not, 2 for wrong usage, 130 after Ctrl-C.
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
import json
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import bpy

from .blend import amount
from .core import files, machine
from .core.batch import blend_file, child, engines, plan, run
from .core.batch.journal import ENDED_WELL, read
from .core.cli import batch_report, console
from .core.edition import COMPLETE
from .core.errors import ImageGSError
from .core.version import PACKAGE, version
from .workflow import batch_options, batch_result, one_file
from .workflow.batch_told import Told

Result = dict[str, Any]


def main(arguments: Sequence[str] | None = None, program: str = "imagegs_blender.batch") -> int:
    """Convert the files named on the command line (by default: of this process) and return the exit code."""
    words = list(_command_line() if arguments is None else arguments)
    if len(words) == 1 and words[0].endswith(".json"):
        return one_file.main(Path(words[0]))
    try:
        with console.written():
            if words[:1] == [batch_report.NAME]:
                return _report_of(words[1:], f"{program} {batch_report.NAME}")
            parser = batch_options.parser(program)
            return _main(parser.parse_args(words), parser)
    except KeyboardInterrupt:
        return console.fail("cancelled: the file in progress was not written; those before it were", console.CANCELLED)
    except console.ReaderGone:
        return console.READER_GONE
    except ImageGSError as error:
        return console.fail(f"error: {error}")


def _main(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Raises ImageGSError where nothing can be done, or the output can't be written."""
    if options.preset_file:
        batch_options.take_preset(options)
    settings = one_file.settings_of(options)
    if options.memory and not machine.can_limit_memory():
        raise ImageGSError("--memory can't be kept on this system; leave it out, and use fewer --jobs")
    if not options.files:
        results = [_open_file(options, parser)]
    else:
        results = _many(options, parser)
    if options.report:
        files.write(options.report, json.dumps(batch_result.document(settings, results), indent=2).encode())
    return int(not options.no_fail and any(result["status"] not in ENDED_WELL for result in results))


def _open_file(options: argparse.Namespace, parser: argparse.ArgumentParser) -> Result:
    """Convert the file that is open in this Blender."""
    source = bpy.data.filepath
    if not source:
        parser.error("name at least one .blend file")
    _need_output(options, parser)
    output = None if options.dry_run else Path(options.output)
    if output and files.is_folder(output):
        output /= Path(source).name
    if output and not options.overwrite and files.exists(output):
        raise ImageGSError(f"{output}: exists already; choose another --output, or add --overwrite")
    _check_writable(options, output)
    told = Told(options, 1)

    def do() -> Result:
        with files.replacing(output.resolve()) if output else nullcontext() as place:
            return one_file.convert(None, output, place, options, {}, told.tell_of(source))

    start = time.perf_counter()
    with amount.known():
        result = one_file.guarded(do)
    result = {"file": source, "output": output and str(output), "seconds": time.perf_counter() - start} | result
    told({"event": "end", **result})
    return result


def _many(options: argparse.Namespace, parser: argparse.ArgumentParser) -> list[Result]:
    """Convert the files named, each in a Blender of its own."""
    _need_output(options, parser)
    target = Path(options.output or ".")
    found, twice = plan.sources(options.files, options.recursive, target)
    if lacking := blend_file.shortcoming():
        console.say(f"warning: {lacking}", sys.stderr)
    for name in twice:
        console.say(f"warning: {name}: named twice; it is converted once", sys.stderr)
    into_folder = options.dry_run or options.recursive or files.is_folder(target)
    if not into_folder and len(found) > 1:
        parser.error(f"{target}: several files need an existing folder as --output")
    if not into_folder:
        found, folder = [(found[0][0], Path(target.name))], target.parent
    else:
        folder = target
    known = read(folder) if into_folder and folder.is_dir() else {}
    items = plan.items(found, folder, known if len(found) > 1 else None)
    if options.shard:
        items = plan.shard(items, *options.shard)
    if into_folder and not options.dry_run:
        _check_originals(items)
        if options.recursive:
            _make(folder)
    if not options.dry_run:
        _check_outputs(items)
    _check_writable(options, None)
    for item in items:
        for other in item.circle:
            console.say(
                f"warning: {item.source}: links in a circle with {other}: goes on linking the original", sys.stderr
            )
    count = min(options.jobs or machine.jobs(len(items)), max(1, len(items)))
    threads = max(1, machine.cores() // count)
    told = Told(options, len(items), count)
    asked = run.Asked(
        folder=folder if into_folder and not options.dry_run else None,
        options={name: getattr(options, name) for name in batch_options.DEFAULTS},
        job={
            "threads": threads, "timeout": options.timeout, "memory": options.memory and int(options.memory * 1e9),
            "dry_run": options.dry_run,
        },
        versions={PACKAGE: version(), "blender": ".".join(map(str, bpy.app.version))},
        blender=bpy.app.version[:2],
        shard=options.shard, overwrite=options.overwrite, retry=options.retry, force=options.force,
        shrinks=options.drop_originals,
    )  # fmt: skip
    entries = run.run(items, asked, _engine(options, count, threads), told)
    told.summary(entries)
    return [_as_result(item, entry) for item, entry in zip(items, entries, strict=True)]


def _engine(options: argparse.Namespace, count: int, threads: int) -> engines.Engine:
    """Where files are converted. Raises ImageGSError where that is not there."""
    if COMPLETE and options.scheduler:
        from .core.batch.cluster import Cluster

        wanted = {PACKAGE: version(), "bpy": ".".join(map(str, bpy.app.version))}
        warn: Callable[[str], None] = lambda text: console.say(f"warning: {text}", sys.stderr)  # noqa: E731
        return Cluster(options.scheduler, wanted, options.jobs or 1, warn)
    program = bpy.app.binary_path
    launcher = child.program_launcher(program, sys.argv, threads) if program else child.module_launcher()
    return engines.Here(launcher, count)


def _as_result(item: plan.Item, entry: Mapping[str, Any]) -> Result:
    """An entry of the journal as an object of report.json."""
    known = {key: entry[key] for key in ("bytes_before", "bytes_after") if entry[key] is not None}
    empty = batch_result.failure(entry["reason"] or "")
    head = {"file": str(item.source), "output": entry["output"], "seconds": entry["seconds"], "status": entry["status"]}
    return {**head, **empty, **entry["details"], **known}


def _need_output(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    if options.output is None and not options.dry_run:
        parser.error("name an --output (or use --dry-run)")


def _check_originals(items: Sequence[plan.Item]) -> None:
    """Raise ImageGSError where an output in a folder is an input."""
    sources = {item.source.resolve() for item in items}
    for item in items:
        if item.output.resolve() in sources:
            raise ImageGSError(
                f"{item.output}: would overwrite its original; choose another folder, or name the file itself"
            )


def _check_outputs(items: Sequence[plan.Item]) -> None:
    """Raise ImageGSError where an output can't be written. Folders that are not there yet are made later."""
    folders = set()
    for item in items:
        folder = item.output.parent
        if folder not in folders and (folder.is_dir() or "/" not in item.key):
            files.check_writable(item.output)
            folders.add(folder)
        elif files.is_folder(item.output):
            raise ImageGSError(f"{item.output}: is a folder; name a file")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise ImageGSError(f"{folder}: can't be made ({error.strerror}); create it, or choose another") from error


def _check_writable(options: argparse.Namespace, output: Path | None) -> None:
    for path in filter(None, (output, options.report)):
        files.check_writable(path)


def _report_of(words: Sequence[str], program: str) -> int:
    """batch-report, where the command imagegs is not installed."""
    parser = argparse.ArgumentParser(prog=program, description="Say what a batch has done.")
    batch_report.add_options(parser)
    batch_report.batch_report(parser.parse_args(words))
    return 0


def _command_line() -> list[str]:
    """This process's arguments: behind "--" where Blender has its own in front."""
    if "--" in sys.argv:
        return sys.argv[sys.argv.index("--") + 1 :]
    return [] if bpy.app.binary_path else sys.argv[1:]


if __name__ == "__main__":
    try:
        code = main()
    except Exception:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    if code:
        sys.exit(code)
