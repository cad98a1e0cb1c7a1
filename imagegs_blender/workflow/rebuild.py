"""Tables and baked images are derived data: made from the stream whenever a file is opened.

In a window the file opens at once, with the average color of each map, and sharpens decoder by decoder; in the
background, and before anything renders, all of them are complete.

A decoder is whole, or it waits for its turn (it shows its average color, or another Max Detail), or it has a problem: its
stream can't be read, or it can't be built from it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

import bpy

from ..blend import border
from ..blend.decoder import Decoder, decoders
from ..core.errors import ImageGSError, one_line
from ..shaders.decoder import show_average, update
from . import allowance, max_detail
from .max_detail import wanted_detail

SECONDS = 0.05
"""Between the decoders that are completed one after the other, for the window to be drawn and used."""


class Queue:
    """The decoders of the open file that are not whole, by their uid.

    waiting    in the order of their turn
    problems   the message about each that can't be rebuilt, as long as that holds
    """

    def __init__(self) -> None:
        self.waiting: list[int] = []
        self.problems: dict[int, str] = {}

    def clear(self) -> None:
        """Another file is open."""
        self.waiting.clear()
        self.problems.clear()

    def add(self, late: Iterable[Decoder]) -> None:
        """Let these wait, in a window: a timer completes them."""
        self.waiting.extend(decoder.uid for decoder in late if decoder.uid not in self.waiting)
        if self.waiting and not bpy.app.timers.is_registered(_on_timer):
            bpy.app.timers.register(_on_timer, first_interval=SECONDS)

    def complete_next(self) -> None:
        """Complete the decoder whose turn it is, if it is still there."""
        uid = self.waiting.pop(0)
        tell(complete(decoder for decoder in decoders() if decoder.uid == uid))

    def complete_all(self) -> None:
        """Complete all that wait, now."""
        while self.waiting:
            self.complete_next()


queue = Queue()


def problems() -> list[str]:
    """What could not be rebuilt in the open file, as long as that holds: a line for each decoder."""
    return [queue.problems[decoder.uid] for decoder in decoders() if decoder.uid in queue.problems]


def rebuild_tables() -> list[str]:
    """Fill the tables or baked maps of every decoder in the open file from its stream, unless the file holds them packed.

    Returns one message for each decoder whose stream is deleted or damaged: it shows the average color of its maps, and
    nothing of it is lost.
    """
    queue.waiting.clear()
    return complete(decoder for decoder in decoders() if _lacks_anything(decoder, saved=True))


def rebuild_lost() -> list[str]:
    """As rebuild_tables(), but decoders whose tables are there, of the Max Detail asked for, are left alone."""
    queue.waiting.clear()
    return complete(decoder for decoder in decoders() if _lacks_anything(decoder, saved=False))


def follow_detail() -> None:
    """Build decoders anew that hold another Max Detail than asked for: in a window one after the other, else at once."""
    if bpy.app.background:
        tell(complete(_of_other_detail()))
    else:
        queue.add(_of_other_detail())


def complete(lacking: Iterable[Decoder]) -> list[str]:
    """Rebuild these decoders now; returns the messages about those where that is impossible."""
    messages = []
    for decoder in list(lacking):
        queue.problems.pop(decoder.uid, None)
        try:
            allowance.check(decoder, wanted_detail())
            update(decoder, wanted_detail())
        except Exception as error:  # whatever a file may hold, the decoders behind this one are built
            reason = str(error) if isinstance(error, ImageGSError) else _unforeseen(error)
            shown = "it shows its average color" if _shows_average(decoder) else "it stays black"
            decoder.detail = wanted_detail()  # nothing more is to be had for it
            messages.append(f"{decoder.name}: {reason.removeprefix(f'{decoder.name}: ')} ({shown})")
            queue.problems[decoder.uid] = messages[-1]
    return messages


def _unforeseen(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "there is too little memory to build it; close other programs, and open the file again"
    return f"it can't be built ({type(error).__name__}: {one_line(error)}); please report this with the file"


def tell(messages: Iterable[str]) -> None:
    """Say to whom no operator can say it."""
    for message in messages:
        print(f"Image-GS: {message}", file=sys.stderr)


def _lacks_anything(decoder: Decoder, saved: bool) -> bool:
    """Whether a decoder is to be rebuilt; saved: also for what it does not hold in a form that a file keeps."""
    if decoder.uid in queue.problems:
        return True
    try:
        return decoder.detail != wanted_detail() or not decoder.is_whole(saved)
    except ImageGSError:
        return True  # its properties are damaged: complete() says how


def _of_other_detail() -> list[Decoder]:
    return [decoder for decoder in decoders() if _detail(decoder) != wanted_detail()]


def _detail(decoder: Decoder) -> int | None:
    """The finest level of detail that a decoder holds; None where the file holds something impossible."""
    try:
        return decoder.detail
    except ImageGSError:
        return None


def _shows_average(decoder: Decoder) -> bool:
    """Let a decoder show its average color; whether that is possible."""
    try:
        show_average(decoder)
    except ImageGSError:
        return False
    return True


def _can_wait(decoder: Decoder) -> bool:
    """Whether a decoder lacks something, and can show its average color until its turn."""
    try:
        return not decoder.is_whole(saved=True) and _shows_average(decoder)
    except ImageGSError:
        return False


def _on_timer() -> float | None:
    """Complete one decoder; called until none is waiting."""
    if queue.waiting:
        queue.complete_next()
    return SECONDS if queue.waiting else None


@bpy.app.handlers.persistent
def _on_load(*_: object) -> None:
    queue.clear()
    if bpy.app.background:
        tell(rebuild_tables())
        return
    queue.add(filter(_can_wait, decoders()))
    others = (decoder for decoder in decoders() if decoder.uid not in queue.waiting)
    tell(complete(decoder for decoder in others if _lacks_anything(decoder, saved=False)))


@bpy.app.handlers.persistent
def _on_render(*_: object) -> None:
    """Also those of which Unpack Resources has made files, which may be gone."""
    queue.complete_all()
    tell(complete(d for d in decoders() if d.uid not in queue.problems and _lacks_anything(d, saved=False)))


@bpy.app.handlers.persistent
def _on_change(*_: object) -> None:
    """Undo, redo and append bring decoders in without the pixels of their tables."""
    _on_render()
    tell(rebuild_lost())


_add_handlers, _remove_handlers = border.handled({
    "load_post": _on_load, "undo_post": _on_change, "redo_post": _on_change, "blend_import_post": _on_change,
    "render_init": _on_render,
})  # fmt: skip


def register() -> None:
    max_detail.register(follow_detail)
    _add_handlers()


def unregister() -> None:
    _remove_handlers()
    max_detail.unregister()
    queue.clear()
