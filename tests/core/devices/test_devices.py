"""The fast kernels against the definition, and the definition against automatic differentiation."""

from __future__ import annotations

import numpy as np
import pytest

from imagegs_blender.core.devices.cpu.device import Cpu
from imagegs_blender.core.devices.reference import Reference, blend, weights
from imagegs_blender.core.devices.types import Grid, LossWeights, Rows, Splats
from imagegs_blender.core.gaussians import CUTOFF, EPS
from imagegs_blender.core.ssim import SSIM_C1, SSIM_C2, window

PARTS = ("center", "conic", "bias", "feature")
LOSSES = {
    "l1": LossWeights(l1=1.0),
    "l2": LossWeights(l2=1.0),
    "image-gs": LossWeights(l1=1.0, ssim=0.1),
    "all": LossWeights(l1=0.3, l2=0.7, ssim=1.0),
}


def random_splats(count: int, planes: int, grid: Grid, seed: int) -> Splats:
    rng = np.random.default_rng(seed)
    scale = 1.6 * np.exp(rng.normal(0, 0.4, (count, 2)))
    angle = rng.uniform(0, 2 * np.pi, count)
    cos, sin = np.cos(angle), np.sin(angle)
    u, v = 0.5 / scale.T**2
    conic = np.stack([u * cos**2 + v * sin**2, 2 * (u - v) * cos * sin, u * sin**2 + v * cos**2], 1)
    center = rng.random((count, 2)) * [grid.width, grid.height]
    arrays = center, conic, rng.normal(0, 0.3, count), rng.random((count, planes))
    return Splats(*(a.astype(np.float32) for a in arrays))


def random_target(planes: int, grid: Grid, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.random((planes, grid.height, grid.width)).astype(np.float32)
    texels = rng.random((grid.height, grid.width)).astype(np.float32)
    texels[: grid.height // 4] = 0
    return target, texels


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("topk", [0, 1, 4, 10])
def test_cpu_agrees_with_reference(topk: int, wrap: bool, loss: str) -> None:
    grid = Grid(50, 37, wrap, topk)
    splats = random_splats(120, 5, grid, seed=topk)
    target, texels = random_target(5, grid, seed=1)
    reference, cpu = Reference(target, grid, texels), Cpu(target, grid, texels)
    np.testing.assert_allclose(cpu.render(splats), reference.render(splats), atol=2e-6)
    expected, slope = reference.gradient(splats, LOSSES[loss])
    measured, gradient = cpu.gradient(splats, LOSSES[loss])
    assert measured.total == pytest.approx(expected.total, rel=1e-5)
    assert measured.l2 == pytest.approx(expected.l2, rel=1e-5)
    for part in PARTS:
        ours, theirs = getattr(gradient, part), getattr(slope, part)
        # with K = 1 a weight almost cancels against its own normalizer: what is left is float32 noise of small numbers
        tolerance = 5e-3 if topk == 1 else 5e-5
        np.testing.assert_allclose(ours, theirs, atol=tolerance * np.abs(theirs).max(), err_msg=part)


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("topk", [0, 4, 10])
@pytest.mark.parametrize("loss", LOSSES)
def test_reference_gradient_is_the_derivative(topk: int, wrap: bool, loss: str) -> None:
    torch = pytest.importorskip(
        "torch", reason="torch is not installed: the gradient is not checked against autograd here"
    )
    grid = Grid(24, 21, wrap, topk)
    splats = random_splats(40, 3, grid, seed=3)
    target, texels = random_target(3, grid, seed=2)
    reference = Reference(target, grid, texels)
    expected, slope = reference.gradient(splats, LOSSES[loss])

    center, conic, bias, feature = (
        torch.tensor(getattr(splats, part).astype(np.float64), requires_grad=True) for part in PARTS
    )
    y, x = torch.meshgrid(torch.arange(21) + 0.5, torch.arange(24) + 0.5, indexing="ij")
    dx, dy = (x.reshape(-1, 1) - center[:, 0]), (y.reshape(-1, 1) - center[:, 1])
    if wrap:
        dx, dy = dx - 24 * torch.round(dx.detach() / 24), dy - 21 * torch.round(dy.detach() / 21)
    q = conic[:, 0] * dx**2 + conic[:, 1] * dx * dy + conic[:, 2] * dy**2 + bias
    w = torch.exp(-q) * (q <= CUTOFF)
    if topk:
        kept = torch.zeros_like(w).scatter(1, torch.topk(-q, topk, dim=1).indices, 1.0)
        w = w * kept
    out = w @ feature
    if topk:
        out = out / (w.sum(1, keepdim=True) + EPS)
    out = out.T.reshape(3, 21, 24)
    r, goal = out - torch.tensor(reference.target), torch.tensor(reference.target)
    scale = torch.tensor(reference.texel_weights)
    ratio = LOSSES[loss]
    total = ratio.l1 * (r.abs() * scale).mean() + ratio.l2 * (r * r * scale).mean()
    if ratio.ssim:
        taps = torch.tensor(np.outer(window(), window()))[None, None]

        def blur(planes):
            return torch.nn.functional.conv2d(planes[:, None], taps, padding=5)[:, 0]

        mx, my = blur(out), blur(goal)
        vx, vy, cov = blur(out * out) - mx * mx, blur(goal * goal) - my * my, blur(out * goal) - mx * my
        ssim = (2 * mx * my + SSIM_C1) * (2 * cov + SSIM_C2) / ((mx**2 + my**2 + SSIM_C1) * (vx + vy + SSIM_C2))
        total = total + ratio.ssim * (1 - (ssim * scale).mean())
    total.backward()
    assert expected.total == pytest.approx(total.item(), rel=1e-9)
    for part, leaf in zip(PARTS, (center, conic, bias, feature), strict=True):
        theirs = leaf.grad.numpy()
        np.testing.assert_allclose(getattr(slope, part), theirs, atol=1e-9 * np.abs(theirs).max(), err_msg=part)


@pytest.mark.parametrize("topk", [0, 4])
def test_steps_on_some_rows_add_up_to_a_step_on_all(topk: int) -> None:
    grid = Grid(50, 37, True, topk)
    splats = random_splats(120, 3, grid, seed=topk)
    target, texels = random_target(3, grid, seed=1)
    cpu, ratio = Cpu(target, grid, texels), LossWeights(l1=0.3, l2=0.7)
    whole, gradient = cpu.gradient(splats, ratio)
    shares = [cpu.gradient(splats, ratio, Rows(first, 4)) for first in range(4)]
    assert np.mean([loss.total for loss, _ in shares]) == pytest.approx(whole.total, rel=1e-6)
    for part in PARTS:
        mean, expected = np.mean([getattr(g, part) for _, g in shares], 0), getattr(gradient, part)
        np.testing.assert_allclose(mean, expected, atol=2e-5 * np.abs(expected).max(), err_msg=part)


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("topk", [0, 4, 16])
def test_removal_agrees_with_reference(topk: int, wrap: bool) -> None:
    grid = Grid(50, 37, wrap, topk)
    target, texels = random_target(3, grid, seed=1)
    cpu, rng = Cpu(target, grid, texels), np.random.default_rng(5)
    optimizer = cpu.optimizer(False, {"mean": 1.0, "scale": 1.0, "rotation": 1.0, "bias": 1.0, "feature": 1.0})
    optimizer.add(rng.random((150, 2)), 2.0, rng.random((150, 3)))
    expected = Reference(target, grid, texels).removal(optimizer.splats())
    np.testing.assert_allclose(cpu.removal(optimizer), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("topk", [0, 16])
def test_removal_is_what_the_error_grows_by(topk: int) -> None:
    """With no more than K Gaussians nobody takes a removed one's place, and the answer is exact."""
    grid = Grid(40, 33, False, topk)
    target, texels = random_target(3, grid, seed=1)
    rng = np.random.default_rng(4)
    cpu = Cpu(target, grid, texels)
    optimizer = cpu.optimizer(False, {"mean": 1.0, "scale": 1.0, "rotation": 1.0, "bias": 1.0, "feature": 1.0})
    optimizer.add(rng.random((14, 2)), 6.0, rng.random((14, 3)))
    growth = cpu.removal(optimizer)
    reference, l2 = Reference(target, grid, texels), LossWeights(l2=1.0)
    before = reference.gradient(optimizer.splats(), l2)[0].l2
    for i in range(14):
        optimizer_without = cpu.optimizer(False, optimizer.rate)
        optimizer_without.restore(optimizer.state())
        optimizer_without.keep(np.delete(np.arange(14), i))
        after = reference.gradient(optimizer_without.splats(), l2)[0].l2
        # where a Gaussian is nearly alone its share is taken as 0.99
        assert growth[i] == pytest.approx((after - before) * target.size, rel=0.02)


def test_wrapped_picture_has_no_seam() -> None:
    """Moving every Gaussian by half the texture moves the picture by half the texture, and nothing else."""
    grid = Grid(64, 48, True, 4)
    splats = random_splats(150, 2, grid, seed=5)
    moved = Splats((splats.center + np.array([32, 24])) % [64, 48], splats.conic, splats.bias, splats.feature)
    moved = Splats(moved.center.astype(np.float32), moved.conic, moved.bias, moved.feature)
    picture = blend(*weights(splats, grid), splats.feature, grid)
    cpu = Cpu(np.zeros((2, 48, 64), np.float32), grid)
    rolled = np.roll(cpu.render(splats), (24, 32), (1, 2))
    # float noise may swap two Gaussians that tie for the K-th place in a texel
    different = np.abs(cpu.render(moved) - rolled).max(0) > 1e-3
    assert different.mean() < 1e-3
    np.testing.assert_allclose(cpu.render(splats), picture, atol=2e-6)


def test_same_bytes_whatever_the_threads() -> None:
    import numba

    grid = Grid(200, 150, False, 4)
    splats = random_splats(900, 4, grid, seed=7)
    target, texels = random_target(4, grid, seed=8)
    results = []
    for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
        numba.set_num_threads(threads)
        _, gradient = Cpu(target, grid, texels).gradient(splats, LOSSES["all"])
        results.append([getattr(gradient, part).tobytes() for part in PARTS])
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    assert results[0] == results[1]
