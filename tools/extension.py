"""Builds the extension: one zip per platform, with Blender's own tool, checked; the same commit gives the same bytes.

    python tools/extension.py [linux-x64] [macos-arm64] [windows-x64]      into build/extension (default: all three)
    python tools/extension.py --dev-link    the checkout itself as an extension of the Blender versions on this machine

Each zip is staged from blender_manifest.toml, imagegs_blender/ and the wheels of its platform (wheels.sha256).
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

ROOT = wheels.ROOT
OUTPUT = ROOT / "build" / "extension"
DOCUMENTS = ("LICENSE", "THIRD-PARTY-NOTICES.txt")
LIMIT = 200_000_000  # bytes; also the limit of extensions.blender.org
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    platforms = sorted(wheels.PLATFORMS.values())
    parser.add_argument("platforms", nargs="*", metavar="PLATFORM", help=f"of {', '.join(platforms)}; default all")
    parser.add_argument("--dev-link", action="store_true", help="link the checkout into the Blender versions here")
    options = parser.parse_args()
    if unknown := set(options.platforms) - set(platforms):
        parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(platforms)}")
    if options.dev_link:
        dev_link()
        return
    tool = blender_tool()
    for platform in options.platforms or platforms:
        built = build(platform, tool)
        problems = check(built, platform)
        if problems:
            built.unlink()
            sys.exit("\n".join(f"error: {built.name}: {problem}" for problem in problems))
        size, digest = built.stat().st_size, hashlib.sha256(built.read_bytes()).hexdigest()
        print(f"{digest}  {built.relative_to(ROOT)}  {size / 1e6:.1f} MB", flush=True)


def build(platform: str, tool: list[str]) -> Path:
    """The zip of a platform, built and validated by Blender's tool. Ends the program where the tool objects."""
    bundled = [wheel for wheel in wheels.pinned() if wheel.platform == platform]
    wheels.fetch(bundled)
    folder = ROOT / "build" / "stage" / platform
    stage(folder, platform, bundled)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    manifest = tomllib.loads((folder / "blender_manifest.toml").read_text("utf-8"))
    built = OUTPUT / f"{manifest['id']}-{manifest['version']}-{platform}.zip"
    built.unlink(missing_ok=True)
    tags = f"--valid-tags={Path(tool[-1]).parents[3] / 'modules/_bpy_internal/extensions/tags.py'}"
    run([*tool, "build", f"--source-dir={folder}", f"--output-filepath={built}", tags])
    normalize(built)
    run([*tool, "validate", tags, str(built)])
    return built


def stage(folder: Path, platform: str, bundled: list[wheels.Wheel]) -> None:
    """Fill a folder with the content of the zip; the manifest in it names the platform and its wheels."""
    if folder.exists():
        shutil.rmtree(folder)
    sources = {name: ROOT / name for name in DOCUMENTS}
    package = ROOT / "imagegs_blender"
    sources |= {str(PurePosixPath(path.relative_to(package))): path for path in package_files(package)}
    sources |= {f"wheels/{wheel.filename}": wheel.path for wheel in bundled}
    for name, source in sources.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    text = (ROOT / "blender_manifest.toml").read_text("utf-8")
    listed = "\n".join(f"    {json.dumps(f'./wheels/{wheel.filename}')}," for wheel in bundled)
    own = f'platforms = ["{platform}"]\nwheels = [\n{listed}\n]'
    text, count = re.subn(r"(?m)^platforms = \[.*\]$", own, text)
    if count != 1:
        sys.exit("error: blender_manifest.toml: needs one line platforms = [...]")
    (folder / "blender_manifest.toml").write_text(text, "utf-8", newline="\n")


def normalize(built: Path) -> None:
    """Write a zip again without the differences between two runs: times, modes, the order of files."""
    temporary = built.with_suffix(".tmp")
    with zipfile.ZipFile(built) as source, zipfile.ZipFile(temporary, "w") as target:
        for name in sorted(source.namelist()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = source.getinfo(name).compress_type
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


def check(built: Path, platform: str) -> list[str]:
    """What is wrong with a zip by our own rules, one line each."""
    problems = []
    with zipfile.ZipFile(built) as archive:
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
        bundled = {wheel.filename: wheel for wheel in wheels.pinned() if wheel.platform == platform}
        for name, wheel in bundled.items():
            if f"wheels/{name}" not in names:
                problems.append(f"{name}: missing")
            elif hashlib.sha256(archive.read(f"wheels/{name}")).hexdigest() != wheel.sha256:
                problems.append(f"{name}: changed")
        problems += [
            f"{name}: not pinned" for name in names if name.endswith(".whl") and Path(name).name not in bundled
        ]
    problems += [f"{name}: missing" for name in ("__init__.py", *DOCUMENTS) if name not in names]
    if manifest["platforms"] != [platform] or len(manifest["wheels"]) != len(bundled):
        problems.append("its manifest names other platforms or wheels")
    if built.stat().st_size >= LIMIT:
        problems.append(f"{built.stat().st_size / 1e6:.1f} MB; the limit is {LIMIT / 1e6:.0f} MB")
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
