"""The CUDA device without a GPU: its kernels run on the CPU (emulator/), with everything around them but the launches."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: the CUDA device is not tested here")

from imagegs_blender.core.decoding import decode  # noqa: E402
from imagegs_blender.core.devices.choice import DeviceChoice  # noqa: E402
from imagegs_blender.core.devices.cpu import blocks  # noqa: E402
from imagegs_blender.core.devices.cpu.device import Cpu  # noqa: E402
from imagegs_blender.core.devices.cuda import device as cuda  # noqa: E402
from imagegs_blender.core.devices.cuda.device import Cuda  # noqa: E402
from imagegs_blender.core.devices.cuda.pipeline import Planes  # noqa: E402
from imagegs_blender.core.devices.cuda.resident import Tensors  # noqa: E402
from imagegs_blender.core.devices.cuda.target import Target  # noqa: E402
from imagegs_blender.core.devices.reference import Reference  # noqa: E402
from imagegs_blender.core.devices.types import Grid, Rows, Step  # noqa: E402
from imagegs_blender.core.errors import ImageGSError  # noqa: E402
from imagegs_blender.core.fitting import fit as fitting  # noqa: E402
from imagegs_blender.core.gaussians import CUTOFF  # noqa: E402
from imagegs_blender.core.settings import FitSettings  # noqa: E402
from imagegs_blender.core.textures import texture_stack  # noqa: E402
from imagegs_blender.core.textures.texture_stack import ColorSpace, Depth, Role, SourceMap  # noqa: E402
from tests.core.devices.emulator import Emulator  # noqa: E402
from tests.core.devices.test_devices import LOSSES, PARTS, random_splats, random_target  # noqa: E402

RATES = {"mean": 0.1, "scale": 0.02, "rotation": 0.03, "bias": 0.02, "feature": 0.01}


@pytest.mark.parametrize(
    ("topk", "planes", "wrap", "losses"),
    [(4, 5, False, [*LOSSES]), (4, 5, True, ["all"]), (0, 5, True, ["all"]), (1, 3, False, ["l2"]), (16, 3, False, ["all"]),
     (2, 1, False, ["image-gs"]), (10, 32, False, ["l1", "all"])],
)  # fmt: skip
def test_kernels_agree_with_reference(topk: int, planes: int, wrap: bool, losses: list[str]) -> None:
    grid = Grid(50, 37, wrap, topk)
    splats = random_splats(120, planes, grid, seed=topk)
    target, texels = random_target(planes, grid, seed=1)
    reference, device = Reference(target, grid, texels), Cuda(target, grid, texels, Emulator())
    np.testing.assert_allclose(device.render(splats), reference.render(splats), atol=2e-6)
    for loss in losses:
        expected, slope = reference.gradient(splats, LOSSES[loss])
        measured, gradient = device.gradient(splats, LOSSES[loss])
        for part in ("total", "l1", "l2"):
            assert getattr(measured, part) == pytest.approx(getattr(expected, part), rel=1e-5)
        for part in PARTS:
            ours, theirs = getattr(gradient, part), getattr(slope, part)
            # with K = 1 a weight almost cancels against its own normalizer: what is left is float32 noise of small numbers
            tolerance = 5e-3 if topk == 1 else 1e-5
            np.testing.assert_allclose(ours, theirs, atol=tolerance * np.abs(theirs).max(), err_msg=f"{loss} {part}")


@pytest.mark.parametrize("wrap", [False, True])
def test_block_lists_are_those_of_the_cpu(wrap: bool) -> None:
    """By block, then by splat, then by copy; with some splats that are large, faint, or reach nothing."""
    grid = Grid(150, 90, wrap, 4)
    splats = random_splats(4500, 5, grid, seed=11)  # more than one thread block scans
    splats.conic[:3] *= 0.004
    splats.bias[3:6] = 12.5
    expected = blocks.block_lists(splats, grid)
    device = Cuda(np.zeros((5, 90, 150), np.float32), grid, None, Emulator())
    device.render(splats)
    pipeline = device._session.pipeline
    start = pipeline._start.numpy()
    entries = pipeline._entries.numpy()[: start[-1]]
    code, row = entries >> 32, entries & 0xFFFFFFFF
    np.testing.assert_array_equal(start, expected.start)
    np.testing.assert_array_equal(code // 9, expected.gaussian)
    np.testing.assert_array_equal(code % 9, expected.copy)
    np.testing.assert_array_equal(expected.slot[row], np.arange(len(row)))
    assert max(np.diff(start)) > 128  # longer than what is sorted, and kept in shared memory, at a time


def test_no_order_of_threads_changes_a_bit() -> None:
    """Where a barrier is missing, running the threads the other way round gives something else."""
    grid = Grid(50, 37, True, 4)
    splats = random_splats(400, 5, grid, seed=3)
    target, texels = random_target(5, grid, seed=4)
    results = []
    for backwards in (False, True):
        device = Cuda(target, grid, texels, Emulator(backwards))
        optimizer = started(device, 300)
        losses = [
            device.steps(optimizer, loss, [Step(1.0, Rows(1, 2))])[0].total for loss in (LOSSES["l2"], LOSSES["all"])
        ]
        losses += device.removal(optimizer).tolist()
        loss, gradient = device.gradient(splats, LOSSES["all"])
        parts = [getattr(gradient, part).tobytes() for part in PARTS]
        results.append((losses, loss, parts, [optimizer.value[name].tobytes() for name in RATES]))
    assert results[0] == results[1]


def started(device, count: int, inverse: bool = False):
    optimizer = device.optimizer(inverse, RATES)
    rng = np.random.default_rng(5)
    optimizer.add(rng.random((count, 2), np.float32), 2.0, rng.random((count, 5)))
    return optimizer


@pytest.mark.parametrize("inverse", [False, True])
def test_steps_are_those_of_the_cpu(inverse: bool) -> None:
    """With Gaussians added and parameters frozen on the way; counts of steps and moments come back too."""
    grid = Grid(50, 37, not inverse, 4)
    target, texels = random_target(5, grid, seed=6)
    cpu, gpu = Cpu(target, grid, texels), Cuda(target, grid, texels, Emulator())
    optimizers = started(cpu, 150, inverse), started(gpu, 150, inverse)
    rng = np.random.default_rng(7)
    mean, feature = rng.random((60, 2), np.float32), rng.random((60, 5))
    for k, loss in enumerate([LOSSES["l2"], LOSSES["l2"], LOSSES["image-gs"], LOSSES["l2"], LOSSES["l2"]]):
        if k == 3:
            for optimizer in optimizers:
                optimizer.add(mean, 1.0, feature)
                optimizer.freeze(optimizer.gaussians(), ["rotation"])
        measured = [
            device.steps(o, loss, [Step(0.5)])[0].total for device, o in zip((cpu, gpu), optimizers, strict=True)
        ]
        assert measured[1] == pytest.approx(measured[0], rel=1e-5)
    for name in RATES:
        ours, theirs = (optimizer.value[name] for optimizer in reversed(optimizers))
        # Adam divides by the size of the gradient: where that is noise, so is the step
        assert np.mean(np.abs(ours - theirs) > 1e-4) < 0.01, name
        np.testing.assert_array_equal(*(optimizer.moments[name][2] for optimizer in optimizers), err_msg=name)


def test_numbers_stay_on_the_device_between_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """They go there once, and come back when somebody reads them."""
    grid = Grid(50, 37, True, 4)
    device = Cuda(*random_target(5, grid, seed=6)[:1], grid, None, Emulator())
    optimizer, sent, send = started(device, 150), [], Tensors.send
    monkeypatch.setattr(Tensors, "send", lambda *arguments: sent.append(send(*arguments)))
    device.steps(optimizer, LOSSES["l2"], [Step()] * 2)
    device.steps(optimizer, LOSSES["l2"], [Step()])
    assert len(sent) == 1 and len(optimizer) == 150
    assert optimizer.moments["mean"][2].tolist() == [3] * 150
    device.steps(optimizer, LOSSES["l2"], [Step()])
    assert len(sent) == 2


def test_rows_and_removal_are_those_of_the_cpu() -> None:
    grid = Grid(50, 37, True, 4)
    target, texels = random_target(5, grid, seed=6)
    splats = random_splats(120, 5, grid, seed=8)
    cpu, gpu = Cpu(target, grid, texels), Cuda(target, grid, texels, Emulator())
    for rows in (Rows(1, 2), Rows(3, 4)):
        expected, slope = cpu.gradient(splats, LOSSES["l2"], rows)
        measured, gradient = gpu.gradient(splats, LOSSES["l2"], rows)
        assert measured.l2 == pytest.approx(expected.l2, rel=1e-5)
        for part in PARTS:
            ours, theirs = getattr(gradient, part), getattr(slope, part)
            np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max(), err_msg=part)
    theirs, ours = cpu.removal(started(cpu, 150)), gpu.removal(started(gpu, 150))
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())
    expected = Reference(target, grid, texels).removal(started(cpu, 150).splats())
    np.testing.assert_allclose(ours, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("flat", [False, True])
def test_points_are_drawn_where_the_cpu_draws_them(flat: bool) -> None:
    grid = Grid(50, 37, False, 4)
    target, _ = random_target(5, grid, seed=6)
    density = np.zeros((37, 50)) if flat else np.random.default_rng(1).random((37, 50)) ** 4
    drawn = [
        device.draw(density, 400, np.random.default_rng(2))
        for device in (Cpu(target, grid), Cuda(target, grid, None, Emulator()))
    ]
    np.testing.assert_allclose(drawn[1], drawn[0], atol=1e-6)


def picture() -> texture_stack.TextureStack:
    y, x = np.mgrid[:48, :64] / 48
    planes = [0.5 + 0.4 * np.sin(9 * x * y), (np.hypot(x - 0.6, y - 0.4) < 0.3) * 0.7, 0.5 * x, y, x * y]
    return texture_stack.build([
        SourceMap(f"map{k}", Role.DATA, ColorSpace.RAW, Depth.F32, "L", p[..., None].astype(np.float32))
        for k, p in enumerate(planes)
    ])  # fmt: skip


def test_a_fit_reaches_what_the_cpu_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    textures = picture()
    settings = FitSettings.preset("fast", num_gaussians=60, max_steps=60)
    grid = Grid(textures.width, textures.height, textures.wrap, settings.topk)
    reached = []
    for device in (Cpu(textures.planes, grid), Cuda(textures.planes, grid, None, Emulator())):
        choice = DeviceChoice(settings)
        monkeypatch.setattr(choice, "device", lambda *_, device=device: device)
        gaussians, steps = fitting.fit(textures, settings, 60, choice=choice)
        assert steps == 60 and len(gaussians) == 60
        reached.append(-10 * np.log10(np.mean((decode.planes(gaussians) - textures.planes) ** 2)))
    assert reached[1] == pytest.approx(reached[0], abs=0.1)
    assert reached[0] > 25


class Small(Emulator):
    """Has memory for `entries` entries of a batch, and for targets of `target_bytes`."""

    def __init__(self, entries: int, target_bytes: int) -> None:
        super().__init__()
        self.entries, self.target_bytes = entries, target_bytes


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    made, load = cuda.Pipeline, Target._load

    def pipeline(machine, grid, planes, count, n, bands, capacity):
        if capacity > machine.entries or planes.target.nbytes > machine.target_bytes:
            raise torch.OutOfMemoryError
        return made(machine, grid, planes, count, n, bands, capacity)

    def load_planes(self: Target) -> Planes:
        planes = load(self)
        if planes.target.nbytes > self._machine.target_bytes:
            raise torch.OutOfMemoryError
        return planes

    monkeypatch.setattr(cuda, "Pipeline", pipeline)
    monkeypatch.setattr(Target, "_load", load_planes)


@pytest.mark.usefixtures("short")
def test_short_memory_is_saved_and_said() -> None:
    grid = Grid(50, 90, False, 4)
    splats = random_splats(400, 5, grid, seed=3)
    target, texels = random_target(5, grid, seed=4)
    for loss in ("l2", "all"):
        expected, slope = Reference(target, grid, texels).gradient(splats, LOSSES[loss])
        device = Cuda(target, grid, texels, Small(entries=2200, target_bytes=10**9))
        measured, gradient = device.gradient(splats, LOSSES[loss])
        assert device.notes[-1] in (
            "GPU memory was short: blocks in 2 batches",
            "GPU memory was short: blocks in 4 batches",
        )
        assert measured.total == pytest.approx(expected.total, rel=1e-5)
        for part in PARTS:
            ours, theirs = getattr(gradient, part), getattr(slope, part)
            np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max(), err_msg=part)
    device = Cuda(target, grid, texels, Small(entries=10**9, target_bytes=2 * target.size * 2))
    assert device.notes == ["GPU memory was short: target held as 16-bit floats"]
    assert device.gradient(splats, LOSSES["l2"])[0].total == pytest.approx(
        Reference(target, grid, texels).gradient(splats, LOSSES["l2"])[0].total, rel=1e-3
    )
    with pytest.raises(ImageGSError, match="GPU memory is too small for 50 x 90 x 5 planes"):
        Cuda(target, grid, texels, Small(entries=10**9, target_bytes=1000))


def test_lists_that_outgrow_their_memory_are_made_again() -> None:
    grid = Grid(50, 37, False, 4)
    target, texels = random_target(5, grid, seed=6)
    device, cpu = Cuda(target, grid, texels, Emulator()), Cpu(target, grid, texels)
    small, large = random_splats(2000, 5, grid, seed=8), random_splats(2000, 5, grid, seed=8)
    small.conic[:] *= 25
    device.gradient(small, LOSSES["l2"])
    before = device._session.pipeline.capacity
    loss, _ = device.gradient(large, LOSSES["l2"])
    assert device._session.pipeline.capacity > before
    assert loss.total == pytest.approx(cpu.gradient(large, LOSSES["l2"])[0].total, rel=1e-5)


def test_block_lists_are_those_of_gsplat() -> None:
    """gsplat lists the tiles of bounding boxes: what is left of them where the ellipse q = CUTOFF meets the tile's texels."""
    reference = pytest.importorskip(
        "gsplat.cuda._torch_impl", reason="gsplat is not installed: tile lists are not compared with its own"
    )
    grid = Grid(90, 70, True, 4)
    splats = random_splats(60, 1, grid, seed=12)
    a, b, c = splats.conic.T
    room = (CUTOFF - splats.bias) / (a * c - b * b / 4)
    reach = np.ceil(np.sqrt(np.stack([room * c, room * a], 1)))
    shifts = [(u, v) for v in (-1, 0, 1) for u in (-1, 0, 1)]
    centers = (splats.center[:, None] + np.array(shifts) * [grid.width, grid.height]).reshape(-1, 2)
    columns, rows = -(-grid.width // 16), -(-grid.height // 16)
    _, keys, codes = reference._isect_tiles(
        torch.tensor(centers, dtype=torch.float32)[None], torch.tensor(np.repeat(reach, 9, 0)).int()[None],
        torch.arange(len(centers), dtype=torch.float32)[None], 16, columns, rows,
    )  # fmt: skip
    boxes = list(zip((keys >> 32).tolist(), codes.tolist(), strict=True))
    start = reference._isect_offset_encode(keys, 1, columns, rows).flatten().tolist()
    assert [next((k for k, (tile, _) in enumerate(boxes) if tile >= t), len(boxes)) for t in range(len(start))] == start
    device = Cuda(np.zeros((1, 70, 90), np.float32), grid, None, Emulator())
    device.render(splats)
    pipeline = device._session.pipeline
    ends = pipeline._start.numpy()
    entries = (pipeline._entries.numpy()[: ends[-1]] >> 32).tolist()
    ours = [(t, code) for t in range(len(ends) - 1) for code in entries[ends[t] : ends[t + 1]]]
    assert [box for box in boxes if box in set(ours)] == ours  # in gsplat's order, and none that gsplat has not
    x, y = np.meshgrid(np.arange(16) + 0.5, np.arange(16) + 0.5)
    for tile, code in set(boxes) - set(ours):
        dx = x + tile % columns * 16 - centers[code, 0]
        dy = y + tile // columns * 16 - centers[code, 1]
        inside = (x + tile % columns * 16 < grid.width) & (y + tile // columns * 16 < grid.height)
        i = code // 9
        assert np.min((a[i] * dx * dx + b[i] * dx * dy + c[i] * dy * dy + splats.bias[i])[inside]) > CUTOFF - 1e-3
