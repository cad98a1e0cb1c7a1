"""A GPU at work: its memory, its kernels, and a queue that never keeps the desktop waiting."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import wgpu

from ...errors import DeviceFailed, one_line
from .adapters import Adapter
from .frame import Frame
from .source import GROUPS_ACROSS, Source, Variant, source

Buffer = Any
"""wgpu's."""

_SLOT = 256
"""Bytes between frames: WebGPU's most for the alignment of uniform buffers."""

_SLOTS = 1024
"""Frames of one submission."""

_LONGEST = 0.05
"""Seconds that a submission may take, about: a desktop on the same GPU draws in between."""

_FIRST_WORK, _LEAST_WORK, _MOST_WORK = 512, 16, 1 << 24
"""Blocks of texels in a submission: before anything was measured, and at least and at most after."""

_MOST_GROWTH = 4.0
"""By how much a submission may be larger than the one before."""

_DEFAULT_STORAGE, _DEFAULT_BINDING, _DEFAULT_BUFFER = 16384, 128 << 20, 256 << 20
"""Limits of WebGPU's default device: workgroup memory, a binding, a buffer; bytes."""


_TOO_SMALL = "the memory of {} is too small: close other programs, or choose device cpu"


class OutOfMemory(DeviceFailed):
    """The GPU's memory is too small."""


class Lost(DeviceFailed):
    """The GPU is gone: its driver was updated or reset, or it was unplugged."""


@dataclass(frozen=True)
class Kernel:
    """A compiled kernel and the layout of its buffers."""

    pipeline: Any
    layout: Any
    numbers: tuple[int, ...]


class Machine:
    """A device of an adapter. Raises ImageGSError where it can't be had.

    name      the GPU's
    has_failed   it is lost, or did something that it should not: no good any more
    memory    bytes of workgroup memory
    binding   bytes that a kernel sees of a buffer, at most
    subgroups  whether neighboring threads can add up without memory
    With smallest, no more than WebGPU promises everywhere is asked for; features are asked for in any case.
    """

    def __init__(self, adapter: Adapter, smallest: bool = False, features: Sequence[str] = ()) -> None:
        self.name, self.has_failed = adapter.name, False
        limits = adapter.handle.limits
        self.memory, self.binding, largest = _DEFAULT_STORAGE, _DEFAULT_BINDING, _DEFAULT_BUFFER
        features = list(features)
        if not smallest:
            self.memory = min(limits["max-compute-workgroup-storage-size"], 32768)
            largest = limits["max-buffer-size"]
            self.binding = min(limits["max-storage-buffer-binding-size"], largest)
            features += [name for name in ("subgroup",) if name in adapter.handle.features]
        wanted = {
            "max-compute-workgroup-storage-size": self.memory,
            "max-storage-buffer-binding-size": self.binding,
            "max-buffer-size": largest,
        }
        with self._errors():
            self._device = adapter.handle.request_device_sync(required_features=features, required_limits=wanted)
            self._frames = self._device.create_buffer(size=_SLOT * _SLOTS, usage=_UNIFORM)
            entry = {"binding": 0, "visibility": wgpu.ShaderStage.COMPUTE, "buffer": _DYNAMIC}
            self._frame_layout = self._device.create_bind_group_layout(entries=[entry])
            window = {"buffer": self._frames, "offset": 0, "size": _SLOT}
            self._frame_group = self._device.create_bind_group(
                layout=self._frame_layout, entries=[{"binding": 0, "resource": window}]
            )
        self._kernels: dict[tuple[str, Variant, int], Kernel] = {}
        self._work = float(_FIRST_WORK)
        self.subgroups = False
        self._pending, self._since = (
            0,
            0.0,
        )  # cost of what was submitted and not waited for, and since when it is on its way
        self._begin()
        self._something = self.buffer(4)
        self.subgroups = "subgroup" in features and self._has_neighbors()

    def variant(self, planes: int, topk: int, depth: int) -> Variant:
        """What kernels for these planes are compiled for on this GPU."""
        return Variant(planes, topk, depth, self.subgroups, self.memory)

    def kernel(self, name: str, variant: Variant, stride: int = 1) -> Kernel:
        """Compiled at first use."""
        key = name, variant, stride
        if key not in self._kernels:
            self._kernels[key] = self._compiled(source(name, variant, stride), name)
        return self._kernels[key]

    # Memory.

    def buffer(self, count: int, width: int = 1) -> Buffer:
        """Zeros: `count` rows of `width` numbers of 4 bytes. Raises OutOfMemory."""
        size = max(4 * count * width, 16)
        if size > self.binding:
            raise OutOfMemory(_TOO_SMALL.format(self.name))
        with self._errors():
            return self._device.create_buffer(size=size, usage=_STORAGE)

    def upload(self, array: np.ndarray, into: Buffer | None = None) -> Buffer:
        """An array of numbers of 4 bytes in a buffer, `into` or a new one."""
        data = np.ascontiguousarray(array)
        if into is None:
            into = self.buffer(data.size)
        if data.nbytes:
            with self._errors():
                self._device.queue.write_buffer(into, 0, data.reshape(-1).view(np.uint8))
        return into

    def download(self, buffer: Buffer, shape: tuple[int, ...], kind: type = np.float32, first: int = 0) -> np.ndarray:
        """Numbers of a buffer from `first` on; waits for all that was launched."""
        size = 4 * int(np.prod(shape))
        if not size:
            return np.empty(shape, kind)
        self.submit()
        with self._errors():
            data = self._device.queue.read_buffer(buffer, 4 * first, size)
        if self._pending:
            self._measured(self._pending, time.perf_counter() - self._since)
        self._pending = 0
        return np.frombuffer(data, kind).reshape(shape).copy()

    def clear(self, buffer: Buffer) -> None:
        """Zeros again; waits for all that was launched."""
        self.finish()
        with self._errors():
            encoder = self._device.create_command_encoder()
            encoder.clear_buffer(buffer)
            self._device.queue.submit([encoder.finish()])

    # Launches: they are collected, and submitted together.

    def group(self, kernel: Kernel, buffers: Sequence[Buffer]) -> Any:
        """These buffers for a kernel, in the order of its bindings."""
        entries = [
            {"binding": number, "resource": {"buffer": buffer, "offset": 0, "size": buffer.size}}
            for number, buffer in zip(kernel.numbers, buffers, strict=True)
        ]
        with self._errors():
            return self._device.create_bind_group(layout=kernel.layout, entries=entries)

    def launch(self, kernel: Kernel, group: Any, frame: Frame, groups: int) -> None:
        """So many workgroups of a kernel."""
        data = bytes(frame)
        if not self._queued or data != self._queued[-1]:
            if len(self._queued) == _SLOTS:
                self.submit()
            self._queued.append(data)
        with self._errors():
            self._opened()
            self._pass.set_pipeline(kernel.pipeline)
            self._pass.set_bind_group(0, self._frame_group, [_SLOT * (len(self._queued) - 1)])
            self._pass.set_bind_group(1, group)
            self._pass.dispatch_workgroups(min(groups, GROUPS_ACROSS), -(-groups // GROUPS_ACROSS), 1)

    def launch_blocks(self, kernel: Kernel, group: Any, frame: Frame, parts: int = 1) -> None:
        """A workgroup for each of the frame's blocks, in as many submissions as the desktop needs.

        parts   what a block costs, in blocks of one pass over its list
        """
        first, end = frame.from_block, frame.to_block
        while first < end:
            room = int(self._work - self._cost) // parts
            if room < min(end - first, _LEAST_WORK):
                self.finish()
                room = max(int(self._work) // parts, _LEAST_WORK)
            until = min(end, first + room)
            self.launch(kernel, group, frame.but(from_block=first, to_block=until), until - first)
            self._cost += parts * (until - first)
            first = until

    def submit(self) -> None:
        """What was launched is on its way, also where it is not waited for."""
        if self._pass is None:
            return
        frames = b"".join(data.ljust(_SLOT, b"\0") for data in self._queued)
        if not self._pending:
            self._since = time.perf_counter()
        self._pending += self._cost
        with self._errors():
            self._pass.end()
            commands = self._encoder.finish()
            self._device.queue.write_buffer(self._frames, 0, frames)
            self._device.queue.submit([commands])
        self._begin()

    def finish(self) -> None:
        """Submit what was launched, and wait for it. Raises Lost."""
        if self._pass is not None or self._pending:
            self.download(self._something, (4,))

    def _measured(self, cost: int, seconds: float) -> None:
        """A submission of this cost took so long: the next ones are as large as is right."""
        fitting = cost * _LONGEST / max(seconds, 1e-6)
        most = max(self._work, _MOST_GROWTH * cost)  # a small one says little about a large one
        self._work = min(max(min(fitting, most), _LEAST_WORK), _MOST_WORK)

    def _begin(self) -> None:
        self._encoder: Any = None
        self._pass: Any = None
        self._queued: list[bytes] = []
        self._cost = 0

    def _opened(self) -> None:
        """There is a pass that launches go to."""
        if self._pass is None:
            self._encoder = self._device.create_command_encoder()
            self._pass = self._encoder.begin_compute_pass()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """wgpu's errors as ours."""
        try:
            yield
        except wgpu.GPUOutOfMemoryError as error:
            raise OutOfMemory(_TOO_SMALL.format(self.name)) from error
        except (wgpu.GPUError, RuntimeError) as error:
            text = one_line(str(error).strip().splitlines()[-1])  # the cause
            if self.has_failed or "lost" in str(error).lower():
                self.has_failed = True
                raise Lost(f"{self.name} was lost ({text}): try again, or choose device cpu") from error
            self.has_failed = True
            raise DeviceFailed(f"{self.name} failed ({text}): update its driver, or choose device cpu") from error

    # Kernels.

    def _compiled(self, given: Source, name: str) -> Kernel:
        kinds = {
            number: wgpu.BufferBindingType.storage if writes else wgpu.BufferBindingType.read_only_storage
            for number, writes in sorted(given.bindings.items())
        }
        entries = [
            {"binding": number, "visibility": wgpu.ShaderStage.COMPUTE, "buffer": {"type": kind}}
            for number, kind in kinds.items()
        ]
        with self._errors():
            module = self._device.create_shader_module(code=given.text, label=name)
            layout = self._device.create_bind_group_layout(entries=entries)
            pipeline = self._device.create_compute_pipeline(
                layout=self._device.create_pipeline_layout(bind_group_layouts=[self._frame_layout, layout]),
                compute={"module": module, "entry_point": given.entry_point},
            )
        return Kernel(pipeline, layout, tuple(kinds))

    def _has_neighbors(self) -> bool:
        """Whether threads that follow one another are neighbors in a subgroup of at least PARTS: asked of the GPU itself."""
        kernel = self._compiled(source("neighbors", self.variant(1, 1, 32)), "neighbors")
        seen = self.buffer(256)
        self.launch(kernel, self.group(kernel, [seen]), Frame(), 1)
        return bool(np.array_equal(self.download(seen, (256,), np.uint32), np.arange(256) % 8))


_STORAGE = wgpu.BufferUsage.STORAGE | wgpu.BufferUsage.COPY_SRC | wgpu.BufferUsage.COPY_DST
_UNIFORM = wgpu.BufferUsage.UNIFORM | wgpu.BufferUsage.COPY_DST
_DYNAMIC = {
    "type": wgpu.BufferBindingType.uniform,
    "has_dynamic_offset": True,
    "min_binding_size": ctypes.sizeof(Frame),
}


_machines: dict[Adapter, Machine] = {}


def machine(adapter: Adapter) -> Machine:
    """The device of an adapter in this process; a new one where that has failed."""
    if adapter not in _machines or _machines[adapter].has_failed:
        _machines[adapter] = Machine(adapter)
    return _machines[adapter]
