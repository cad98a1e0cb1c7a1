"""Plays Blender's program file with the bpy module: as much of its command line as a batch and its farms use.

    blender [-b] [--factory-startup] [--addons NAMES] [-t N] [--python-exit-code N] [FILE.blend] --python SCRIPT [-- ARGUMENTS]

install() writes such a program into a folder.
"""

from __future__ import annotations

import os
import runpy
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VARIABLE = "IMAGEGS_TEST_BLENDER"


def install(folder: Path) -> Path:
    """A program file "blender" in a folder."""
    program = folder / "blender"
    words = f'PYTHONPATH="{ROOT}" {VARIABLE}="$0" exec "{sys.executable}" -m tests.blender "$@"'
    program.write_text(f"#!/bin/sh\n{words}\n")
    program.chmod(0o755)
    return program


def main(arguments: list[str]) -> int:
    import bpy

    bpy.app.binary_path = os.environ[VARIABLE]
    code = 0
    words = iter(arguments)
    for word in words:
        if word == "--":
            break
        if word in ("-b", "--background", "--factory-startup"):
            continue
        if word in ("-t", "--addons"):
            next(words)
        elif word == "--python-exit-code":
            code = int(next(words))
        elif word == "--python":
            sys.argv = [os.environ[VARIABLE], *arguments]
            try:
                runpy.run_path(next(words), run_name="__main__")
            except SystemExit as end:
                return int(end.code or 0)
            except Exception:
                traceback.print_exc()
                return code
        elif word.endswith(".blend"):
            bpy.ops.wm.open_mainfile(filepath=word)
        else:
            raise SystemExit(f"{word}: not a word that this Blender knows")
    return 0


if __name__ == "__main__":
    ended = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended)  # bpy's destructors can wait forever
