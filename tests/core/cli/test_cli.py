"""The commands, from files to files: what they write, what they print, how they refuse."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import OpenImageIO
import pytest

from imagegs_blender.core.cli import main
from imagegs_blender.core.decoding import decode
from imagegs_blender.core.encoding import encode
from imagegs_blender.core.igs import stream
from imagegs_blender.core.quality import metrics
from imagegs_blender.core.settings import FitSettings
from imagegs_blender.core.textures import image_files, texture_stack
from imagegs_blender.core.textures.texture_stack import ColorSpace, Depth, Role, SourceMap
from tests.samples import QUICK

ROOT = Path(__file__).resolve().parents[3]


def waves(width: int, height: int, channels: int) -> np.ndarray:
    """Smooth waves, 0..1 float32: something that a hundred Gaussians can follow."""
    y, x = np.mgrid[0:height, 0:width] * np.array([6 / height, 6 / width])[:, None, None]
    planes = [0.5 + 0.4 * np.sin(x + 0.9 * c) * np.cos(y - 0.5 * c) for c in range(channels)]
    return np.stack(planes, axis=2).astype(np.float32)


def names(folder: Path) -> list[str]:
    """What a folder holds, by name."""
    return sorted(path.name for path in folder.iterdir())


def as_u8(pixels: np.ndarray) -> np.ndarray:
    return np.rint(pixels * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def maps_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four maps of three depths and two sizes."""
    folder = tmp_path_factory.mktemp("maps")
    leaf = as_u8(waves(96, 64, 4))
    leaf[:20, :30, 3] = 0
    image_files.write(folder / "leaf_basecolor.png", leaf, Depth.U8, "RGBA")
    image_files.write(folder / "leaf_rough.jpg", as_u8(waves(48, 32, 1)), Depth.U8, "L")
    image_files.write(folder / "leaf_height.png", np.rint(waves(96, 64, 1) * 65535).astype(np.uint16), Depth.U16, "L")
    image_files.write(folder / "leaf_glow.exr", waves(48, 32, 3) * 12, Depth.F16, "RGB")
    return folder


@pytest.fixture(scope="module")
def fitted(maps_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """The folder as a .igs, and the report of the fit, made by the command in its own process."""
    path = tmp_path_factory.mktemp("fitted") / "leaf.igs"
    command = [sys.executable, "-m", "imagegs_blender.core", "fit", maps_folder, "-o", path, "--json", *QUICK]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "dB" in done.stderr and "\r" not in done.stderr
    return path, json.loads(done.stdout)


def test_fit_reports_the_file_it_wrote(fitted: tuple[Path, dict], imagegs) -> None:
    path, report = fitted
    names = ["leaf_basecolor", "leaf_glow", "leaf_height", "leaf_rough"]
    assert report["bytes"] == path.stat().st_size
    assert report["bpp"] == pytest.approx(8 * report["bytes"] / (96 * 64))
    assert report["bppc"] == pytest.approx(report["bpp"] / 9)
    assert report["num_gaussians"] == 120 and 0 < report["steps"] <= 30 and report["seconds"] > 0
    assert list(report["psnr"]) == list(report["ssim"]) == ["overall", *names]
    assert all(15 < value < 60 for value in report["psnr"].values())
    info = imagegs("info", path, "--json").json
    assert all(name in json.dumps(info) for name in names)
    assert "leaf_height" in imagegs("info", path).out


def test_the_report_is_what_compare_measures_on_the_files(fitted, maps_folder: Path, tmp_path: Path, imagegs) -> None:
    path, report = fitted
    assert imagegs("render", path, "-o", tmp_path / "out").code == 0
    for side in (path, tmp_path / "out"):
        measured = imagegs("compare", maps_folder, side, "--json").json
        assert measured["psnr"] == pytest.approx(report["psnr"], abs=1e-6)
        assert measured["ssim"] == pytest.approx(report["ssim"], abs=1e-6)
    assert f"{report['psnr']['leaf_height']:.2f} dB" in imagegs("compare", maps_folder, path).out
    assert imagegs("compare", path, path, "--json").json["psnr"]["overall"] is None


def test_render_gives_every_map_its_own_name_size_and_depth(fitted, tmp_path: Path, imagegs) -> None:
    assert imagegs("render", fitted[0], "-o", tmp_path).code == 0
    found = {m.name: (m.depth, m.channels, m.pixels.shape[1::-1]) for m in image_files.read_maps(tmp_path)}
    assert found == {
        "leaf_basecolor": (Depth.U8, "RGBA", (96, 64)),
        "leaf_rough": (Depth.U8, "L", (48, 32)),
        "leaf_height": (Depth.U16, "L", (96, 64)),
        "leaf_glow": (Depth.F16, "RGB", (48, 32)),
    }
    assert names(tmp_path) == [
        "leaf_basecolor.png", "leaf_glow.exr", "leaf_height.png", "leaf_rough.png",
    ]  # fmt: skip


@pytest.mark.parametrize(("option", "sizes"), [(["--height", 32], (32, 16)), (["--scale", 1.5], (96, 48))])
def test_render_at_another_size(fitted, tmp_path: Path, imagegs, option: list, sizes: tuple[int, int]) -> None:
    assert imagegs("render", fitted[0], "-o", tmp_path, *option).code == 0
    heights = {m.name: m.pixels.shape[0] for m in image_files.read_maps(tmp_path)}
    assert (heights["leaf_height"], heights["leaf_rough"]) == sizes


def test_one_picture_to_one_file(tmp_path: Path, imagegs) -> None:
    image_files.write(tmp_path / "waves.png", as_u8(waves(64, 48, 3)), Depth.U8, "RGB")
    options = ["--bpp", 3, "--preset", "fast", "--max-steps", 40]
    done = imagegs("fit", tmp_path / "waves.png", "-o", tmp_path / "w.igs", *options)
    assert done.code == 0 and "waves" in done.out
    assert 8 * (tmp_path / "w.igs").stat().st_size / (64 * 48) <= 3
    assert imagegs("render", tmp_path / "w.igs", "-o", tmp_path / "again.tif").code == 0
    measured = imagegs("compare", tmp_path / "waves.png", tmp_path / "again.tif", "--json").json
    assert measured["psnr"]["waves"] > 25


def test_the_same_seed_gives_the_same_bytes_and_quiet_is_quiet(tmp_path: Path, maps_folder: Path, imagegs) -> None:
    source = maps_folder / "leaf_rough.jpg"
    written = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        done = imagegs("fit", source, "-o", tmp_path / f"{name}.igs", "--seed", seed, "--quiet", "--json", *QUICK)
        assert (done.code, done.err) == (0, "")
        written.append((tmp_path / f"{name}.igs").read_bytes())
    assert written[0] == written[1] != written[2]


def test_files_that_exist_are_replaced_only_if_asked(tmp_path: Path, maps_folder: Path, imagegs) -> None:
    source, out = maps_folder / "leaf_rough.jpg", tmp_path / "a.igs"
    out.write_text("precious")
    done = imagegs("fit", source, "-o", out, *QUICK)
    assert done.code == 1 and "a.igs: exists already; choose another output, or add --overwrite" in done.err
    assert out.read_text() == "precious"
    assert imagegs("fit", maps_folder, "-o", out, "--overwrite", *QUICK).code == 0
    (tmp_path / "maps").mkdir()
    for name in ("leaf_glow.exr", "leaf_rough.png", "other.png"):
        (tmp_path / "maps" / name).write_text("precious")
    done = imagegs("render", out, "-o", tmp_path / "maps")
    assert done.code == 1 and "leaf_glow.exr and 1 more: exist already" in done.err
    assert names(tmp_path / "maps") == ["leaf_glow.exr", "leaf_rough.png", "other.png"]
    assert imagegs("render", out, "-o", tmp_path / "maps", "--overwrite").code == 0
    assert (tmp_path / "maps/other.png").read_text() == "precious"
    assert image_files.read_map(tmp_path / "maps/leaf_rough.png").channels == "L"


def test_a_folder_of_odd_names_compares_with_its_decoded_files(tmp_path: Path, imagegs) -> None:
    """Names that Windows keeps for devices, and two channels that PNG has not."""
    folder = tmp_path / "maps"
    folder.mkdir()
    image_files.write(folder / "CON.png", as_u8(waves(32, 32, 3)), Depth.U8, "RGB")
    image_files.write(folder / "lpt1.rough.png", as_u8(waves(32, 32, 1)), Depth.U8, "L")
    spec = OpenImageIO.ImageSpec(32, 32, 2, "uint8")
    spec.channelnames = ("R", "G")
    tiff = OpenImageIO.ImageOutput.create(str(folder / "flow.tif"))
    assert tiff.open(str(folder / "flow.tif"), spec) and tiff.write_image(as_u8(waves(32, 32, 2)))
    tiff.close()
    report = imagegs("fit", folder, "-o", tmp_path / "a.igs", "--json", *QUICK).json
    assert imagegs("render", tmp_path / "a.igs", "-o", tmp_path / "out").code == 0
    assert names(tmp_path / "out") == ["_CON.png", "_lpt1.rough.png", "flow.png"]
    for side in (tmp_path / "a.igs", tmp_path / "out"):
        psnr = imagegs("compare", folder, side, "--json").json["psnr"]
        assert list(psnr.values()) == pytest.approx(list(report["psnr"].values()), abs=1e-6)


def test_fewer_bits_make_a_smaller_file(tmp_path: Path, maps_folder: Path, imagegs) -> None:
    sizes = []
    for bits in (16, 5):
        options = [f"--{p}-bits={bits}" for p in ("pos", "scale", "rot", "feat")]
        path = tmp_path / f"{bits}.igs"
        assert imagegs("fit", maps_folder / "leaf_rough.jpg", "-o", path, *options, *QUICK).code == 0
        sizes.append(path.stat().st_size)
    assert sizes[1] < 0.7 * sizes[0]


def test_every_bad_request_is_one_clear_line(fitted, maps_folder: Path, tmp_path: Path, imagegs) -> None:
    good, whole = maps_folder / "leaf_rough.jpg", fitted[0].read_bytes()
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "bad.png").write_bytes((maps_folder / "leaf_basecolor.png").read_bytes()[:300])
    (tmp_path / "cut.igs").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "flipped.igs").write_bytes(whole[:-20] + bytes([whole[-20] ^ 8]) + whole[-19:])
    before = names(tmp_path)
    out = tmp_path / "out.igs"
    for argv, named in [
        (["fit", tmp_path / "absent.png", "-o", out], "absent.png"),
        (["fit", tmp_path / "bad.png", "-o", out], "bad.png"),
        (["fit", tmp_path / "empty", "-o", out], "empty"),
        (["fit", good, "-o", tmp_path / "none" / "out.igs"], "none: folder not found"),
        (["fit", good, "-o", tmp_path / "empty"], "empty"),
        (["fit", good, "-o", tmp_path / "out.png"], "out.png: the output is a .igs file"),
        (["fit", good, "-o", out, "--num-gaussians", 0], "at least one Gaussian"),
        (["fit", good, "-o", out, "--bpp", 0.001], "bpp"),
        (["fit", good, "-o", out, "--bpp", -1], "bpp"),
        (["fit", good, "-o", out, "--topk", 99], "topk"),
        (["fit", good, "-o", out, "--feat-bits", 3], "feat-bits"),
        (["render", tmp_path / "absent.igs", "-o", tmp_path / "r"], "absent.igs"),
        (["render", tmp_path / "cut.igs", "-o", tmp_path / "r"], "cut.igs"),
        (["render", tmp_path / "flipped.igs", "-o", tmp_path / "r"], "flipped.igs"),
        (["render", tmp_path / "bad.png", "-o", tmp_path / "r"], "bad.png"),
        (["render", fitted[0], "-o", tmp_path / "none" / "deep"], "none: folder not found"),
        (["render", fitted[0], "-o", tmp_path / "r.png"], "4 maps; name a folder"),
        (["render", fitted[0], "-o", tmp_path / "file"], "file: is a file"),
        (["render", fitted[0], "-o", tmp_path / "r", "--scale", 1e308], "the limit is 16384"),
        (["fit", tmp_path / f"{'a' * 252}.png", "-o", out], "can't be read"),
        (["fit", good, "-o", tmp_path / f"{'a' * 252}.igs"], "can't be read"),
        (["render", fitted[0], "-o", tmp_path / f"{'a' * 256}"], "can't be read"),
        (["render", fitted[0], "-o", tmp_path / "r", "--height", 16384], "the limit is 16384"),
        (["info", tmp_path / "cut.igs"], "cut.igs"),
        (["compare", good, maps_folder], "only one side"),
        (["compare", good, tmp_path / "flipped.igs"], "flipped.igs"),
    ]:
        done = imagegs(*argv)
        lines = done.err.splitlines()
        assert (done.code, done.out, len(lines)) == (1, "", 1), (argv, done)
        assert lines[0].startswith("error: ") and named in lines[0], (argv, lines)
    assert names(tmp_path) == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write to every folder")
def test_read_only_folder_is_named_before_the_fit(tmp_path: Path, maps_folder: Path, imagegs) -> None:
    tmp_path.chmod(0o500)
    done = imagegs("fit", maps_folder, "-o", tmp_path / "out.igs", "--max-steps", 1_000_000)
    assert done.code == 1 and "can't be written" in done.err


def test_usage_errors_exit_with_2(imagegs) -> None:
    for argv in (
        [],
        ["fit", "a.png"],
        ["fit", "a.png", "-o", "b.igs", "--bpp", "1", "--num-gaussians", "5"],
        ["fit", "a.png", "-o", "b.igs", "--preset", "best"],
        ["render", "a.igs", "-o", "b", "--scale", "0"],
        ["render", "a.igs", "-o", "b", "--height", "0"],
    ):
        with pytest.raises(SystemExit) as raised:
            imagegs(*argv)
        assert raised.value.code == 2


@pytest.mark.parametrize("command", ["fit", "render", "info", "compare"])
def test_help_says_what_every_option_means(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    commands = next(action.choices for action in main.parser()._actions if action.choices)
    for action in commands[command]._actions:
        name = max(action.option_strings or [action.dest], key=len)
        assert action.help and len(action.help.split()) >= 3, f"{command} {name} has no help text"
        assert "None" not in action.help % {"default": action.default}, name
        assert action.nargs == 0 or action.choices or action.metavar, f"{command} {name} does not name its value"
    with pytest.raises(SystemExit) as raised:
        main.main([command, "--help"])
    assert raised.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for action in commands[command]._actions:
        first_words = " ".join((action.help % {"default": action.default}).split()[:3])
        assert first_words in text, (command, action.dest)


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a POSIX signal")
def test_ctrl_c_ends_the_fit_and_writes_nothing(tmp_path: Path, maps_folder: Path) -> None:
    command = [sys.executable, "-m", "imagegs_blender.core", "fit", maps_folder, "-o", tmp_path / "x.igs"]
    options = ["--preset", "paper", "--num-gaussians", "200"]
    root = ROOT

    def hear_ctrl_c() -> None:  # a test run in the background of a shell inherits that it is ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(
        [*command, *options],
        cwd=root,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,  # noqa: PLW1509  no thread holds a lock here
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "dB" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait() == 130
    assert "Traceback" not in rest and "nothing was written" in rest
    assert not names(tmp_path)


def test_a_map_can_not_name_a_file_outside_the_folder(tmp_path: Path, imagegs) -> None:
    """A .igs comes from anywhere: its names are made safe before they become paths."""
    pixels = as_u8(waves(96, 64, 3))
    evil = SourceMap("../../evil:1.png", Role.COLOR, ColorSpace.SRGB, Depth.U8, "RGB", pixels)
    encoded = encode.encode(texture_stack.build([evil]), FitSettings.preset("fast", num_gaussians=20, max_steps=5))
    (tmp_path / "evil.igs").write_bytes(encoded.data)
    assert imagegs("render", tmp_path / "evil.igs", "-o", tmp_path / "inner").code == 0
    assert names(tmp_path) == ["evil.igs", "inner"]
    assert names(tmp_path / "inner") == ["_.._evil_1.png"]


def test_real_alpha_stack(data: Path, tmp_path: Path, imagegs) -> None:
    path = tmp_path / "decal.igs"
    options = ["--preset", "fast", "--num-gaussians", "1500", "--max-steps", "60", "--json"]
    report = imagegs("fit", data / "stacks/scifi_decal_grate", "-o", path, *options).json
    assert report["psnr"]["basecolor"] > 20
    decoded = decode.images(stream.read(path.read_bytes()))
    original = image_files.read_map(data / "stacks/scifi_decal_grate/basecolor.png").pixels
    assert metrics.psnr(original[..., 3], decoded["basecolor"][..., 3]) > 20
