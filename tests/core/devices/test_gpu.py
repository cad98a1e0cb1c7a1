"""The device of graphics cards against the definition and the CPU: every kernel, with subgroups and without, in little memory."""

from __future__ import annotations

import re

import numpy as np
import pytest

from imagegs_blender.core.decoding import decode, lod, renderer
from imagegs_blender.core.devices import points
from imagegs_blender.core.devices.cpu import blocks
from imagegs_blender.core.devices.cpu.device import Cpu
from imagegs_blender.core.devices.gpu import source
from imagegs_blender.core.devices.reference import Reference
from imagegs_blender.core.devices.types import Grid, Rows, Splats, Step
from imagegs_blender.core.gaussians import Gaussians
from tests.core.devices import cards
from tests.core.devices.test_devices import LOSSES, PARTS, random_splats, random_target

ADAPTER = cards.adapter()

from imagegs_blender.core.devices.gpu.device import Gpu  # noqa: E402
from imagegs_blender.core.devices.gpu.machine import Machine, machine  # noqa: E402

RATES = {"mean": 0.1, "scale": 0.02, "rotation": 0.03, "bias": 0.02, "feature": 0.01}


@pytest.fixture(scope="module", params=["whole", "smallest"])
def on(request: pytest.FixtureRequest) -> Machine:
    """The card as it is; and with no more than WebGPU promises everywhere: 16 KB of workgroup memory, 8 buffers, no subgroups."""
    return machine(ADAPTER) if request.param == "whole" else Machine(ADAPTER, smallest=True)


def far(ours: np.ndarray, theirs: np.ndarray) -> float:
    """|ours - theirs| / |theirs|; NaN is far."""
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    distance = np.linalg.norm(ours - theirs) / max(float(np.linalg.norm(theirs)), 1e-30)
    return float(np.nan_to_num(distance, nan=np.inf))


def deep(target: np.ndarray, depth: int) -> np.ndarray:
    """A target in 0..1 rounded to 8 or 16 bits, or spread beyond 0..1 for 32."""
    if depth == 32:
        return 3 * target - 1
    most = np.float32(2**depth - 1)
    return np.rint(target * most) / most


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize(
    ("topk", "planes", "depth"), [(4, 9, 8), (4, 3, 16), (10, 3, 8), (0, 5, 32), (16, 1, 16), (2, 32, 32)]
)
def test_forward_and_gradient_agree_with_reference(topk: int, planes: int, depth: int, wrap: bool, on: Machine) -> None:
    grid = Grid(100, 77, wrap, topk)
    splats = random_splats(400, planes, grid, seed=topk + planes)
    target, texels = random_target(planes, grid, seed=1)
    target = deep(target, depth)
    reference, device = Reference(target, grid, texels), Gpu(target, grid, texels, on)
    assert device._target.depth == depth
    assert far(device.render(splats), reference.render(splats)) < 1e-4
    for name in ["l2", "all"] if planes == 32 else LOSSES:
        expected, slope = reference.gradient(splats, LOSSES[name])
        measured, gradient = device.gradient(splats, LOSSES[name])
        assert measured.total == pytest.approx(expected.total, rel=1e-5), name
        for part in PARTS:
            assert far(getattr(gradient, part), getattr(slope, part)) < 1e-4, f"{name} {part}"


def test_lists_are_those_of_the_cpu() -> None:
    """Also where splats reach far, or nothing, and where a list is longer than a workgroup looks at at a time."""
    grid = Grid(90, 60, True, 4)
    splats = random_splats(1500, 3, grid, seed=11)
    splats.conic[:3] *= 0.004
    splats.bias[3:6] = 12.5
    splats.center[6:300] = [20, 20]
    expected = blocks.block_lists(splats, grid)
    on = machine(ADAPTER)
    device = Gpu(np.zeros((3, 60, 90), np.float32), grid, None, on)
    device.render(splats)
    pipeline = device._session.pipeline
    assert pipeline is not None
    offsets = on.download(pipeline._offsets, (pipeline.bands[0].items + 1,), np.uint32)
    start = offsets[1500:] - offsets[1500]
    np.testing.assert_array_equal(start, expected.start)
    entries = on.download(pipeline._entries, (int(start[-1]), 2), np.uint32)
    np.testing.assert_array_equal(entries[:, 0] // 9, expected.gaussian)
    np.testing.assert_array_equal(entries[:, 0] % 9, expected.copy)
    np.testing.assert_array_equal(expected.slot[entries[:, 1]], np.arange(len(entries)))
    assert max(np.diff(start)) > 128


@pytest.mark.parametrize("bands", [1, 3])
def test_long_lists_and_several_bands_agree_with_the_cpu(bands: int, on: Machine) -> None:
    grid = Grid(100, 70, True, 4)
    splats = random_splats(900, 9, grid, seed=9)
    splats.conic[:] *= 0.2
    splats.center[:300] *= np.float32(0.2)
    target, texels = random_target(9, grid, seed=2)
    target = deep(target, 8)
    cpu, device = Cpu(target, grid, texels), Gpu(target, grid, texels, on)
    device._session._bands = bands
    for loss, rows in ((LOSSES["all"], Rows()), (LOSSES["l2"], Rows(1, 2)), (LOSSES["l1"], Rows(3, 4))):
        expected, slope = cpu.gradient(splats, loss, rows)
        measured, gradient = device.gradient(splats, loss, rows)
        assert measured.total == pytest.approx(expected.total, rel=1e-5)
        for part in PARTS:
            assert far(getattr(gradient, part), getattr(slope, part)) < 1e-4, part
    np.testing.assert_allclose(device.render(splats), cpu.render(splats), atol=5e-6)


@pytest.mark.parametrize("inverse", [False, True])
def test_steps_are_those_of_the_cpu(inverse: bool, on: Machine) -> None:
    """With Gaussians added and parameters frozen on the way; counts of steps and moments come back too."""
    grid = Grid(50, 37, not inverse, 4)
    target, texels = random_target(5, grid, seed=6)
    devices = Cpu(target, grid, texels), Gpu(target, grid, texels, on)
    optimizers = []
    for device in devices:
        rng = np.random.default_rng(5)
        optimizers.append(device.optimizer(inverse, RATES))
        optimizers[-1].add(rng.random((150, 2), np.float32), 2.0, rng.random((150, 5)))
    rng = np.random.default_rng(7)
    mean, feature = rng.random((60, 2), np.float32), rng.random((60, 5))
    for k, loss in enumerate([LOSSES["l2"], LOSSES["image-gs"], LOSSES["l2"]]):
        if k == 2:
            for optimizer in optimizers:
                optimizer.add(mean, 1.0, feature)
                optimizer.freeze(optimizer.gaussians(), ["rotation"])
        steps = [Step(0.5, Rows(1, 2)), Step(0.7, Rows(0, 2))]
        expected, measured = (
            [one.total for one in d.steps(o, loss, steps)] for d, o in zip(devices, optimizers, strict=True)
        )
        assert measured == pytest.approx(expected, rel=1e-5)
    for name in RATES:
        ours, theirs = (optimizer.value[name] for optimizer in reversed(optimizers))
        # Adam divides by the size of the gradient: where that is noise, so is the step
        assert np.mean(np.abs(ours - theirs) > 1e-4) < 0.02, name
        np.testing.assert_array_equal(*(optimizer.moments[name][2] for optimizer in optimizers), err_msg=name)
    growth = [device.removal(optimizer) for device, optimizer in zip(devices, optimizers, strict=True)]
    assert far(growth[1], growth[0]) < 1e-3
    drawn = [
        device.draw(device.error(optimizer, 1.5), 40, np.random.default_rng(3))
        for device, optimizer in zip(devices, optimizers, strict=True)
    ]
    assert np.mean(np.abs(drawn[0] - drawn[1]).max(1) < 1e-6) > 0.9


def test_lists_that_outgrow_their_memory_are_made_anew() -> None:
    """In the middle of steps that are taken at once: none is lost, none is taken twice."""
    grid = Grid(64, 64, False, 4)
    target, _ = random_target(3, grid, seed=6)
    losses = []
    for shrink in (False, True):
        device = Gpu(target, grid, None, machine(ADAPTER))
        optimizer = device.optimizer(False, RATES | {"scale": 0.3})
        rng = np.random.default_rng(5)
        optimizer.add(rng.random((80, 2), np.float32), 1.0, rng.random((80, 3)))
        if shrink:
            pipeline = device._session.reserve(80, 0)
            pipeline.capacity = 400
            pipeline.bands = [band.but(capacity=400) for band in pipeline.bands]
        losses.append([loss.total for loss in device.steps(optimizer, LOSSES["l2"], [Step()] * 20)])
        assert set(optimizer.moments["mean"][2]) == {20}
    assert losses[0] == losses[1]


def test_draws_are_those_of_the_cpu() -> None:
    """From an array, with texels that have no share; and from nothing at all."""
    rng = np.random.default_rng(1)
    density = rng.random((53, 90)) ** 3
    density[:20] = 0
    device = Gpu(np.zeros((1, 53, 90), np.float32), Grid(90, 53, False, 4), None, machine(ADAPTER))
    for array in (density, np.zeros_like(density)):
        ours = device.draw(array, 500, np.random.default_rng(3))
        theirs = points.draw(array, 500, np.random.default_rng(3))
        assert np.mean(np.abs(ours - theirs).max(1) < 1e-6) > 0.98
    assert device.draw(density, 0, rng).shape == (0, 2)
    assert (device.draw(density, 300, rng)[:, 1] >= 20 / 53).all()


def test_splats_that_reach_nothing_are_no_trouble() -> None:
    grid = Grid(40, 30, False, 4)
    arrays = np.zeros((3, 2)), np.ones((3, 3)), np.full(3, 13.0), np.ones((3, 2))
    nothing = Splats(*(array.astype(np.float32) for array in arrays))
    device = Gpu(np.ones((2, 30, 40), np.float32), grid, None, machine(ADAPTER))
    assert not device.render(nothing).any()
    loss, gradient = device.gradient(nothing, LOSSES["all"])
    assert loss.l2 == pytest.approx(1) and not any(getattr(gradient, part).any() for part in PARTS)


def gaussians(planes: int, wrap: bool) -> Gaussians:
    rng = np.random.default_rng(2)
    arrays = (
        0.2 + 0.8 * rng.random((260, 2)), rng.uniform(1.5, 4, (260, 2)), rng.uniform(0, 3, 260), rng.random((260, planes)),
        rng.normal(0, 0.2, 260),
    )  # fmt: skip
    return Gaussians(*(a.astype(np.float32) for a in arrays), 96, 75, wrap, 4)


@pytest.mark.parametrize("wrap", [False, True])
def test_what_is_decoded_is_what_every_decoder_gives(wrap: bool) -> None:
    """As all decoders within 1/255, here within float noise: at every LOD, with holes."""
    given = gaussians(5, wrap)
    expected = decode.planes(given), decode.planes(given, 130, 51)
    tail = lod.build(given)
    levels = [lod.planes(given, tail, level, 96, 75) for level in (0.0, 0.6, 2.0)]
    with renderer.on("gpu", ADAPTER.name) as name:
        assert name == ADAPTER.name
        assert far(decode.planes(given), expected[0]) < 1e-5
        assert far(decode.planes(given, 130, 51), expected[1]) < 1e-5
        assert far(np.stack(lod.build(given).sheets) / 255, np.stack(tail.sheets) / 255) < 1e-2
        for level, planes in zip((0.0, 0.6, 2.0), levels, strict=True):
            assert np.abs(lod.planes(given, tail, level, 96, 75) - planes).max() < 1e-4
    assert np.array_equal(decode.planes(given), expected[0])  # the processor again


@pytest.mark.parametrize("planes", [3, 9, 12, 32])
@pytest.mark.parametrize("memory", [16384, 32768])
def test_every_kernel_fits_into_workgroup_memory_and_buffers(planes: int, memory: int) -> None:
    """wgpu does not check the memory: counted from the declarations. 8 storage buffers are what WebGPU promises."""
    variant = source.Variant(planes, 10, 8, False, memory)
    for kernel in source._FILES:
        text = source.source(kernel, variant).text
        assert len(source.source(kernel, variant).bindings) <= 8, kernel
        numbers: dict[str, int] = {}
        for name, value in re.findall(r"const (\w+) = ([\w+* ]+);", text):
            plain = re.sub(r"\b(\d+)u\b", r"\1", value)
            if re.fullmatch(r"[A-Z_\d+* ]+", plain) and set(re.findall(r"[A-Z_]+", plain)) <= set(numbers):
                numbers[name] = eval(plain, {}, numbers)
        used = 0
        for kind, count in re.findall(r"var<workgroup> \w+: array<(.*), (.*)>;", text):
            size = {"vec4f": 16, "vec2f": 8, "f32": 4, "u32": 4, "atomic<u32>": 4}[kind]
            used += size * eval(count.replace("3u", "3"), {}, numbers)
        assert used <= memory, f"{kernel}: {used} bytes"


def test_no_launch_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are launched in submissions whose cost follows the time that earlier ones took."""
    on = Machine(ADAPTER)
    costs: list[int] = []
    monkeypatch.setattr(on, "_measured", lambda cost, _: costs.append(cost))  # as if nothing had been learned
    on._work = 16.0
    grid = Grid(160, 160, False, 4)
    device = Gpu(np.zeros((1, 160, 160), np.float32), grid, None, on)
    whole = Gpu(np.zeros((1, 160, 160), np.float32), grid, None, machine(ADAPTER))
    splats = random_splats(300, 1, grid, seed=1)
    ours, theirs = device.gradient(splats, LOSSES["l2"]), whole.gradient(splats, LOSSES["l2"])
    assert ours[0] == theirs[0] and np.array_equal(ours[1].conic, theirs[1].conic)
    assert len(costs) > 3 and max(costs) <= 64
    monkeypatch.undo()
    on._measured(100, 1.0)
    assert on._work == 16
    on._measured(16, 1e-4)
    assert on._work == 64
