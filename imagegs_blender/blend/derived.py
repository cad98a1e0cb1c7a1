"""Images whose texels are derived from a stream: packed while a file is open.

Unpacked, they would be unsaved images to Blender, which asks about them when it quits and loses them where it frees
buffers.
"""

from __future__ import annotations

import struct
import zlib

import bpy
import numpy as np

from . import border


def put(image: bpy.types.Image, texels: np.ndarray) -> None:
    """Let an image hold texels (h, w, 4), uint8 or float32, row 0 at the bottom, and pack them without loss.

    Linked images, and float ones of colors, are not packed: they stay unsaved ones.
    """
    height, width = texels.shape[:2]
    is_float = texels.dtype != np.uint8
    if not is_float and image.library is None:
        _replace(image, png(texels))
        image.source = "FILE"
        image.buffers_free()
        image.update_tag()
        return
    image.source = "GENERATED"
    image.use_generated_float = is_float
    image.generated_width, image.generated_height = width, height
    unit = texels if is_float else texels / np.float32(255)
    border.set_texels(image, np.ascontiguousarray(unit, np.float32).ravel())
    image.update()
    if image.library is None and border.color_space(image).is_data:
        image.pack()


def is_kept(image: bpy.types.Image) -> bool:
    """Whether an image's texels are packed."""
    return image.packed_file is not None and not _is_blank(image.packed_file)


def _replace(image: bpy.types.Image, data: bytes) -> None:
    """Change what is packed, but not the texels in memory."""
    image.pack(data=data, data_len=len(data))


def _is_blank(packed: bpy.types.PackedFile) -> bool:
    return packed.size == len(_BLANK) and bytes(packed.data) == _BLANK


def png(texels: np.ndarray) -> bytes:
    """Texels (h, w, 4), uint8, row 0 at the bottom, as a PNG, many times faster than Blender compresses one."""
    height, width = texels.shape[:2]
    filtered = np.zeros((height, 4 * width + 1), np.uint8)
    filtered[:, 1:] = texels[::-1].reshape(height, 4 * width)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 1)), (b"IEND", b""))
    parts = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


_BLANK = png(np.zeros((1, 1, 4), np.uint8))
"""What versions before 2 saved in the place of derived texels."""
