"""Builds the extension: the zips of zips.py, with Blender's own tool, checked; the same commit gives the same bytes.

    python tools/extension.py [linux-x64] [macos-arm64] [windows-x64]      into build/extension (default: all three)
    python tools/extension.py --listed      those for extensions.blender.org, into build/listing
    python tools/extension.py --dev-link    the checkout itself as an extension of the Blender versions on this machine

Each zip is staged from blender_manifest.toml, imagegs_blender/ and its wheels (wheels.sha256).
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import wheels
from zips import Zip, zips

ROOT = wheels.ROOT
DOCUMENTS = ("LICENSE", "THIRD-PARTY-NOTICES.txt")
LIMIT = 75_000_000  # bytes of a zip; extensions.blender.org takes 200 MB
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
EDITION = "core/edition.py"
COMPLETE_ONLY = (
    "core/__main__.py", "core/batch/cluster.py", "core/cli/(?!__init__|batch_report|console|progress)", "core/devices/cuda/",
    "core/process/interpreter.py",
    "core/quality/(lpips|network_weights|perceptual).py", "operators/external_python.py",
)  # fmt: skip
"""What the build for extensions.blender.org leaves out, as the beginnings of names: whatever needs other software."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    platforms = sorted(wheels.PLATFORMS.values())
    parser.add_argument("platforms", nargs="*", metavar="PLATFORM", help=f"of {', '.join(platforms)}; default all")
    parser.add_argument("--listed", action="store_true", help="build for extensions.blender.org")
    parser.add_argument("--dev-link", action="store_true", help="link the checkout into the Blender versions here")
    options = parser.parse_args()
    if unknown := set(options.platforms) - set(platforms):
        parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(platforms)}")
    if options.dev_link:
        dev_link()
        return
    tool = blender_tool()
    for wanted in zips(options.listed):
        if wanted.platform not in (options.platforms or platforms):
            continue
        build(wanted, tool)
        if problems := check(wanted):
            wanted.path.unlink()
            sys.exit("\n".join(f"error: {wanted.path.name}: {problem}" for problem in problems))
        size, digest = wanted.path.stat().st_size, hashlib.sha256(wanted.path.read_bytes()).hexdigest()
        print(f"{digest}  {wanted.path.relative_to(ROOT)}  {size / 1e6:.1f} MB", flush=True)


def build(wanted: Zip, tool: list[str]) -> None:
    """Build a zip and validate it by Blender's tool. Ends the program where the tool objects."""
    wheels.fetch(wanted.wheels)
    folder = ROOT / "build" / "stage" / wanted.path.stem
    stage(folder, wanted)
    (folder / "wheels").mkdir()
    for wheel in wanted.wheels:
        (folder / "wheels" / wheel.filename).hardlink_to(wheel.path)
    wanted.path.parent.mkdir(parents=True, exist_ok=True)
    wanted.path.unlink(missing_ok=True)
    tags = f"--valid-tags={Path(tool[-1]).parents[3] / 'modules/_bpy_internal/extensions/tags.py'}"
    run([*tool, "build", f"--source-dir={folder}", f"--output-filepath={wanted.path}", tags])
    normalize(wanted.path)
    run([*tool, "validate", tags, str(wanted.path)])
    shutil.rmtree(folder)


def stage(folder: Path, wanted: Zip) -> None:
    """Fill a folder with a zip's content but its wheels; the manifest in it names the platform, the Blenders and the wheels."""
    if folder.exists():
        shutil.rmtree(folder)
    for name, source in sources(wanted.listed).items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    listed = "\n".join(f"    {json.dumps(f'./wheels/{wheel.filename}')}," for wheel in wanted.wheels)
    blenders = f'blender_version_min = "{wanted.blender.first}"'
    if wanted.blender.end:
        blenders += f'\nblender_version_max = "{wanted.blender.end}"'
    written = {
        "version": f'version = "{wanted.version}"',
        "blender_version_min": blenders,
        "platforms": f'platforms = ["{wanted.platform}"]\nwheels = [\n{listed}\n]',
    }
    for name, lines in written.items():
        _rewrite(folder / "blender_manifest.toml", rf"{name} = .*", lines)
    if wanted.listed:
        _rewrite(folder / EDITION, "COMPLETE: Final = True", "COMPLETE: Final = False")


def sources(listed: bool) -> dict[str, Path]:
    """The files of a zip but its wheels, by the names that they have in it."""
    package = ROOT / "imagegs_blender"
    found = {name: ROOT / name for name in (*DOCUMENTS, "blender_manifest.toml")}
    for path in package_files(package):
        name = str(PurePosixPath(path.relative_to(package)))
        if not (listed and re.match("|".join(COMPLETE_ONLY), name)):
            found[name] = path
    return found


def _rewrite(path: Path, line: str, new: str) -> None:
    """Replace the one line of a file that is like a pattern. Ends the program where there are more, or none."""
    text, count = re.subn(rf"(?m)^{line}$", lambda _: new, path.read_text("utf-8"))
    if count != 1:
        sys.exit(f"error: {path.name}: needs one line {line}")
    path.write_text(text, "utf-8", newline="\n")


def normalize(built: Path) -> None:
    """Write a zip again without the differences between two runs: times, modes, the order of files.

    Wheels are compressed once more. That takes off a hundredth, which keeps the largest below LIMIT.
    """
    temporary = built.with_suffix(".tmp")
    with zipfile.ZipFile(built) as source, zipfile.ZipFile(temporary, "w") as target:
        for name in sorted(source.namelist()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            target.writestr(entry, source.read(name), compresslevel=9)
    temporary.replace(built)


def package_files(package: Path) -> list[Path]:
    """The files of the package that git knows; without git, all but bytecode."""
    listed = subprocess.run(["git", "ls-files", "-z", "."], cwd=package, capture_output=True, text=True)
    if listed.returncode == 0 and listed.stdout:
        found = [package / name for name in listed.stdout.split("\0") if name]
    else:
        found = [path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return sorted(path for path in found if path.is_file())


def check(built: Zip) -> list[str]:
    """What is wrong with a zip by our own rules, one line each."""
    problems = []
    with zipfile.ZipFile(built.path) as archive:
        names = archive.namelist()
        manifest = tomllib.loads(archive.read("blender_manifest.toml").decode("utf-8"))
        for name in names:
            parts = PurePosixPath(name).parts
            if name.endswith((".pyc", ".pyo")) or "__pycache__" in parts:
                problems.append(f"{name}: bytecode")
            if name.startswith("/") or ".." in parts or "\\" in name or ":" in name:
                problems.append(f"{name}: not a relative path")
            home = str(ROOT).encode()
            if not name.endswith(".whl") and len(home) > 1 and home in archive.read(name):
                problems.append(f"{name}: holds a path of this machine, {ROOT}")
        bundled = {f"wheels/{wheel.filename}": wheel for wheel in built.wheels}
        for name, wheel in bundled.items():
            if name in names and hashlib.sha256(archive.read(name)).hexdigest() != wheel.sha256:
                problems.append(f"{name}: changed")
    wanted = sources(built.listed).keys() | bundled.keys()
    problems += [f"{name}: missing" for name in sorted(wanted - set(names))]
    problems += [f"{name}: does not belong there" for name in sorted(set(names) - wanted)]
    own = {
        "version": built.version,
        "blender_version_min": built.blender.first,
        "blender_version_max": built.blender.end,
        "platforms": [built.platform],
        "wheels": [f"./{name}" for name in bundled],
    }
    problems += [f"its manifest has another {name}" for name, value in own.items() if manifest.get(name) != value]
    if built.path.stat().st_size > LIMIT:
        problems.append(f"{built.path.stat().st_size / 1e6:.1f} MB; the limit is {LIMIT / 1e6:.0f} MB")
    return problems


def blender_tool() -> list[str]:
    """The command line of Blender's extension tool, which the bpy wheel carries."""
    found = importlib.util.find_spec("bpy")
    places = found.submodule_search_locations if found and found.submodule_search_locations else []
    # bpy/<version>/scripts/modules/bpy or bpy, by version of the wheel
    scripts = [path for place in places for path in Path(place).glob("*/scripts")]
    scripts += [path for place in places for path in Path(place).parents if path.name == "scripts"]
    for folder in scripts:
        tool = folder / "addons_core" / "bl_pkg" / "cli" / "blender_ext.py"
        if tool.is_file():
            return [sys.executable, str(tool)]
    sys.exit("error: Blender's extension tool was not found: pip install bpy (make extension does it)")


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: Blender's extension tool, {command[2]}:\n{done.stdout}{done.stderr}")


def dev_link() -> None:
    """Link imagegs_blender, and the manifest into it, into the user_default repository of every Blender of this user.

    Wheels are not installed this way: have Numba, Pillow and constriction in that Blender's Python.
    """
    package = ROOT / "imagegs_blender"
    if not (package / "blender_manifest.toml").exists():
        _link(package / "blender_manifest.toml", Path("..", "blender_manifest.toml"))
    homes = (
        [Path(os.environ["BLENDER_USER_EXTENSIONS"])] if "BLENDER_USER_EXTENSIONS" in os.environ else _user_folders()
    )
    if not homes:
        sys.exit("error: no Blender 4.5 or newer has been started here; start it once, or set BLENDER_USER_EXTENSIONS")
    for home in homes:
        link = home / "user_default" / "imagegs_blender"
        link.parent.mkdir(parents=True, exist_ok=True)
        if link.is_symlink():
            link.unlink()
        elif link.exists():
            sys.exit(f"error: {link}: an installed copy is there; remove it in Blender's preferences first")
        _link(link, package)
        print(f"{link} -> {package}")


def _link(link: Path, target: Path) -> None:
    try:
        link.symlink_to(target, target_is_directory=target.is_dir())
    except OSError as error:
        sys.exit(f"error: {link}: can't be linked ({error.strerror}); on Windows, turn on Developer Mode")


def _user_folders() -> list[Path]:
    """The extensions folders of the user's Blender versions, 4.5 and newer."""
    homes = {
        "win32": Path(os.environ.get("APPDATA", ""), "Blender Foundation", "Blender"),
        "darwin": Path.home() / "Library" / "Application Support" / "Blender",
    }
    home = homes.get(sys.platform, Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "blender")
    found = [path for path in sorted(home.glob("*")) if re.fullmatch(r"\d+\.\d+", path.name)]
    return [path / "extensions" for path in found if tuple(map(int, path.name.split("."))) >= (4, 5)]


if __name__ == "__main__":
    main()
