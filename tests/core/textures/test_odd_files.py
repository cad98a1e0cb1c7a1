"""Image files and folders that are odd or damaged: what they hold is told, in our words only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagegs_blender.core.errors import ImageGSError, UnsupportedImageError
from imagegs_blender.core.textures import image_files
from imagegs_blender.core.textures.quiet import quiet
from imagegs_blender.core.textures.texture_stack import Depth

oiio = pytest.importorskip("OpenImageIO")


def write(path: Path, names: tuple[str, ...], kind: object) -> None:
    """A file with these channels, of texels that compress."""
    spec = oiio.ImageSpec(64, 64, len(names), kind)
    spec.channelnames = names
    target = oiio.ImageOutput.create(str(path))
    assert target.open(str(path), spec)
    ramp = np.arange(64 * 64 * len(names), dtype=np.float32) / (64 * 64 * len(names))
    assert target.write_image(ramp.reshape(64, 64, len(names)))
    target.close()


def test_channel_names_that_are_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    write(path, ("aa", "bb"), oiio.FLOAT)
    path.write_bytes(path.read_bytes().replace(b"aa\0", b"\xff\xfe\0"))
    with pytest.raises(UnsupportedImageError, match=r"a\.exr: names in it are not UTF-8; save it again"):
        image_files.read(path)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take no such names")
def test_openimageio_takes_no_other_paths(tmp_path: Path) -> None:
    write(tmp_path / "a.exr", ("R", "G", "B"), oiio.FLOAT)
    path = (tmp_path / "a.exr").rename(tmp_path / os.fsdecode(b"\xff.exr"))
    with pytest.raises(UnsupportedImageError, match="paths in UTF-8 only"):
        image_files.read(path)


@pytest.mark.parametrize(
    ("name", "channels", "kind"), [("a.png", ("R", "G", "B"), oiio.UINT16), ("a.exr", ("R", "G", "B"), oiio.FLOAT)]
)
def test_damage_is_told_in_one_line_only(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, channels: tuple[str, ...], kind: object
) -> None:
    """libpng and OpenEXR print lines of their own."""
    path = tmp_path / name
    write(path, channels, kind)
    whole = path.read_bytes()
    for damaged in (
        whole[: len(whole) // 2],
        whole[:-300] + bytes(byte ^ 85 for byte in whole[-300:-100]) + whole[-100:],
    ):
        path.write_bytes(damaged)
        with pytest.raises(ImageGSError, match=f"{name}: damaged or truncated"):
            image_files.read(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("compression", ["tiff_adobe_deflate", "tiff_lzw", "packbits"])
def test_damaged_tiff_is_told_in_one_line_only(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], compression: str
) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray((np.arange(64 * 64 * 3) % 251).astype(np.uint8).reshape(64, 64, 3)).save(
        path, compression=compression
    )
    whole = path.read_bytes()
    refused = 0
    for at in range(8, len(whole), 37):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        try:
            image_files.read(path)
        except ImageGSError:
            refused += 1
    assert refused and capfd.readouterr() == ("", "")


def test_what_others_print_meanwhile_is_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet():
        os.write(2, b"libpng error: IDAT\nsomebody else\na.exr: (EXR_ERR_CORRUPT_CHUNK) no\nno end")
    assert capfd.readouterr().err == "somebody else\nno end"


@pytest.mark.skipif(os.name != "posix", reason="a shell closes standard error")
def test_a_process_without_standard_error(tmp_path: Path) -> None:
    write(tmp_path / "a.exr", ("R", "G", "B"), oiio.FLOAT)
    code = (
        "import sys; from imagegs_blender.core.textures import image_files; print(image_files.read(sys.argv[1]).depth)"
    )
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", code, tmp_path / "a.exr"],
        cwd=Path(__file__).resolve().parents[3], stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "f32\n"


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".tga", ".bmp", ".jpg"])
def test_two_channels_are_an_image_with_a_black_third(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / "in.tif", ("R", "G"), oiio.UINT8)
    depth, channels, pixels = image_files.read(tmp_path / "in.tif")
    assert (depth, channels) == (Depth.U8, "RG")
    image_files.write(tmp_path / f"out{suffix}", pixels, depth, channels)
    written = image_files.read(tmp_path / f"out{suffix}")
    assert written.channels == "RGB"
    if suffix != ".jpg":
        np.testing.assert_array_equal(written.pixels[..., :2], pixels)
        assert not written.pixels[..., 2].any()
    wide = pixels.astype(np.uint16) * 257
    image_files.write(tmp_path / "wide.png", wide, Depth.U16, "RG")
    np.testing.assert_array_equal(image_files.read(tmp_path / "wide.png").pixels[..., :2], wide)


def test_broken_links_in_a_folder_are_named(tmp_path: Path) -> None:
    image_files.write(tmp_path / "a.png", np.zeros((4, 4, 1), np.uint8), Depth.U8, "L")
    try:
        (tmp_path / "note.txt").symlink_to("nothing.txt")
        (tmp_path / "b.png").symlink_to("a.png")
    except OSError:
        pytest.skip("no links may be made here")
    assert [m.name for m in image_files.read_maps(tmp_path)] == ["a", "b"]
    (tmp_path / "c.png").symlink_to("nothing.png")
    with pytest.raises(ImageGSError, match=r"c\.png: is a link to a file that is not there; mend or remove it"):
        image_files.read_maps(tmp_path)
    (tmp_path / "c.png").unlink()
    (tmp_path / "d.png").symlink_to("d.png")
    with pytest.raises(ImageGSError, match=r"d\.png: .*mend the link"):
        image_files.read_maps(tmp_path)
