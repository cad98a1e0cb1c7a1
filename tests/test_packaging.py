"""The extension as a user gets it: the content of the zips, the systems that our code and the wheels run on.

The zips are looked at where `make extension` has left them in build/extension, and skipped with a message elsewhere.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import extension  # noqa: E402
import wheels  # noqa: E402
import zips  # noqa: E402
from zips import Zip  # noqa: E402

NAMES = ["cffi", "constriction", "llvmlite", "numba", "pillow", "pycparser", "wgpu"]
MANIFEST = zips.manifest()
ZIPS = list(zips.zips())


def built(wanted: Zip) -> Path:
    if not wanted.path.is_file():
        pytest.skip(f"{wanted.path.name} is not built: make extension{' LISTED=1' if wanted.listed else ''}")
    return wanted.path


def test_every_blender_has_a_zip_with_every_wheel() -> None:
    """blender.org's Blenders from 4.5 on, without a gap, on every platform; Linux distributions' as far as wheels exist."""
    pinned = wheels.pinned()
    known = {wheel.platform for wheel in pinned if wheel.platform}
    assert known == set(MANIFEST["platforms"]) == set(wheels.PLATFORMS.values())
    for one in ZIPS:
        wanted = sorted([*NAMES, "rubicon_objc"] if one.platform == "macos-arm64" else NAMES)
        assert sorted(wheel.name for wheel in one.wheels) == wanted, one
    for platform in MANIFEST["platforms"]:
        ranges = [(z.blender.first, z.blender.end) for z in zips.zips(listed=True) if z.platform == platform]
        assert ranges == [(MANIFEST["blender_version_min"], "5.1.0"), ("5.1.0", None)]
    assert [one.platform for one in ZIPS if not one.blender.official] == ["linux-x64"]
    assert len({one.path for listed in (False, True) for one in zips.zips(listed)}) == 7 + 6
    machine = {"linux-x64": "x86_64", "macos-arm64": "arm64", "windows-x64": "amd64"}
    for wheel in pinned:
        assert wheel.tags == ["any"] or all(tag.endswith(machine[wheel.platform]) for tag in wheel.tags), wheel.filename
        assert re.fullmatch("[0-9a-f]{64}", wheel.sha256)


@pytest.mark.parametrize("platform", sorted(wheels.PLATFORMS.values()))
def test_compiled_files_are_for_their_platform_and_python(platform: str) -> None:
    """By the first bytes of each compiled file, and the Python that an extension module names."""
    seen = 0
    for wheel in wheels.pinned():
        if wheel.platform != platform:
            continue
        if not wheel.path.is_file():
            pytest.skip(f"{wheel.filename} is not downloaded: make extension")
        digits = (wheel.python or "").removeprefix("cp")
        with zipfile.ZipFile(wheel.path) as archive:
            for name in archive.namelist():
                if not re.search(r"\.(so|pyd|dll|dylib)(\.[\d.]+)?$", name):
                    continue
                seen += 1
                with archive.open(name) as file:
                    head = file.read(4096)
                assert kind(head) == platform, f"{wheel.filename}: {name}"
                module = re.search(r"\.(?:cpython-|cp)(\d+)[^/]*\.(?:so|pyd)$", name)
                assert module is None or module[1] == digits, f"{wheel.filename}: {name}"
    assert seen > 30


def kind(head: bytes) -> str:
    """Blender's name of the platform that a compiled file is for: ELF, Mach-O and PE headers."""
    if head[:4] == b"\x7fELF":
        return "linux-x64" if head[18:20] == b"\x3e\x00" else "other ELF"
    if head[:4] == b"\xcf\xfa\xed\xfe":
        return "macos-arm64" if head[4:8] == b"\x0c\x00\x00\x01" else "other Mach-O"
    if head[:2] == b"MZ":
        at = int.from_bytes(head[0x3C:0x40], "little")
        return "windows-x64" if head[at : at + 6] == b"PE\0\0\x64\x86" else "other PE"
    return "unknown"


@pytest.mark.parametrize("one", [*ZIPS, *zips.zips(listed=True)], ids=lambda one: one.path.stem)
def test_zip_keeps_the_rules(one: Zip) -> None:
    built(one)
    assert extension.check(one) == []


def test_the_same_sources_give_the_same_zip(tmp_path: Path) -> None:
    """Whatever the times, modes and order of the files that Blender's tool met."""
    texts = {"b.py": "b = 1\n" * 99, "core/a.py": "a = 1\n", "wheels/c.whl": "c"}
    for name, order in (("one.zip", list(texts)), ("two.zip", list(reversed(texts)))):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for index, file in enumerate(order):
                entry = zipfile.ZipInfo(file, (2000 + index, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_STORED if file.endswith(".whl") else zipfile.ZIP_DEFLATED
                archive.writestr(entry, texts[file])
        extension.normalize(tmp_path / name)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert {name: archive.read(name).decode() for name in archive.namelist()} == texts
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_DEFLATED}


POSIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "termios", "tty", "curses", "readline", "syslog"}
POSIX_NAMES = {
    "os": {
        "fork", "forkpty", "kill", "killpg", "getpgid", "setsid", "setpgid", "geteuid", "getuid", "getgid", "mkfifo",
        "statvfs", "uname", "wait", "waitpid", "nice", "chown", "sched_getaffinity", "O_DIRECTORY", "sysconf", "getpgrp",
    },
    "signal": {"SIGKILL", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCHLD", "alarm", "pause", "setitimer"},
    "multiprocessing": {"set_start_method", "get_context"},
}  # fmt: skip
POSIX_OPTIONS = {"preexec_fn", "start_new_session", "pass_fds", "process_group"}


def test_nothing_in_the_package_is_posix_only() -> None:
    """No module, call, option or path that Windows lacks; text files are opened with their encoding."""
    found = []
    for path in sorted((ROOT / "imagegs_blender").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            problem = posix_only(node)
            if problem:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {problem}")
    assert not found


@pytest.mark.parametrize(
    "line",
    [
        "import fcntl", "from resource import getrusage", "os.fork()", "from os import kill", "signal.SIGKILL",
        "run(x, preexec_fn=f)", "open('/dev/null', 'rb')", "path = '~/.cache/x'", "open(p)", "open(p, 'w')", "path.read_text()",
        "path.write_text('x')",
    ],
)  # fmt: skip
def test_the_scan_sees(line: str) -> None:
    assert any(posix_only(node) for node in ast.walk(ast.parse(line))), line


def posix_only(node: ast.AST) -> str | None:
    """What is wrong with one node of a program, or None."""
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and not node.level:
        names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        names = [f"{node.value.id}.{node.attr}"]
    for name in names:
        base, _, last = name.rpartition(".")
        if name in POSIX_MODULES or last in POSIX_NAMES.get(base, ()):
            return name
    if isinstance(node, ast.keyword) and node.arg in POSIX_OPTIONS:
        return f"{node.arg}="
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        if re.match(r"(/(tmp|dev|proc|usr|etc|home|var|bin)\b|~/|/bin/sh)", node.value):
            return repr(node.value)
    return without_encoding(node) if isinstance(node, ast.Call) else None


def without_encoding(call: ast.Call) -> str | None:
    """A text file opened in the encoding of whatever machine this is."""
    options = {keyword.arg for keyword in call.keywords}
    if isinstance(call.func, ast.Name) and call.func.id == "open":
        mode = call.args[1].value if len(call.args) > 1 and isinstance(call.args[1], ast.Constant) else "r"
        return "open() without encoding" if "b" not in str(mode) and "encoding" not in options else None
    needed = {"read_text": 0, "write_text": 1}
    if isinstance(call.func, ast.Attribute) and call.func.attr in needed:
        given = len(call.args) > needed[call.func.attr] or "encoding" in options
        return None if given else f"{call.func.attr}() without encoding"
    return None


def test_the_script_for_installed_copies_names_modules_that_exist() -> None:
    """It imports by text, which no other check reads, and runs only where a zip is built."""
    text = (ROOT / "tests" / "installed.py").read_text("utf-8")
    named = re.findall(r'\bmodule\("([\w.]+)"\)', text)
    assert named
    for name in named:
        assert (ROOT / "imagegs_blender" / name.replace(".", "/")).with_suffix(".py").is_file(), name


def test_pip_install_gives_the_command(tmp_path: Path) -> None:
    """pip install . into an empty folder, without the network; the installed command opens a stream."""
    pytest.importorskip("hatchling", reason="pip can build offline where hatchling is installed")
    options = ["--quiet", "--disable-pip-version-check", "--ignore-installed", "--no-deps", "--no-index"]
    options.append("--no-build-isolation")
    install = [sys.executable, "-m", "pip", "install", *options, "--prefix", str(tmp_path / "prefix"), str(ROOT)]
    done = subprocess.run(install, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (package,) = (tmp_path / "prefix").rglob("site-packages")
    (command,) = [path for path in (tmp_path / "prefix").rglob("imagegs*") if path.parent.name in ("bin", "Scripts")]

    def imagegs(*arguments: str) -> str:
        environment = os.environ | {"PYTHONPATH": str(package)}
        run = subprocess.run(
            [command, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    assert all(word in imagegs("--help") for word in ("fit", "render", "info", "compare"))
    assert "num_gaussians: 150" in imagegs("info", str(ROOT / "tests" / "core" / "igs" / "streams" / "version-1.igs"))
    assert MANIFEST["version"] in {
        path.name.split("-")[1].removesuffix(".dist") for path in package.glob("*.dist-info")
    }
