"""A mask, or a network of saliency, steers a fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imagegs_blender.core.cli import saliency_network
from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.igs import stream
from imagegs_blender.core.quality import metrics
from imagegs_blender.core.textures import image_files
from imagegs_blender.core.textures.texture_stack import Depth
from tests.samples import picture, picture_stack, shown


def test_a_mask_moves_gaussians_and_quality_to_what_matters(source: Path, tmp_path: Path, imagegs) -> None:
    mask = np.zeros((64, 64, 1), np.uint8)
    mask[:, 32:] = 255
    image_files.write(tmp_path / "mask.png", mask, Depth.U8, "L")
    options = ["--preset", "fast", "--num-gaussians", 60, "--max-steps", 80, "--json", "--quiet"]
    plain = imagegs("fit", source, "-o", tmp_path / "plain.igs", *options)
    masked = imagegs("fit", source, "-o", tmp_path / "masked.igs", "--mask", tmp_path / "mask.png", *options)
    assert plain.code == masked.code == 0, masked.err
    gaussians = [stream.read((tmp_path / f"{n}.igs").read_bytes()).gaussians for n in ("plain", "masked")]
    right = [float((g.mean[:, 0] > 0.5).mean()) for g in gaussians]
    assert right[1] > right[0] + 0.1
    inside = metrics.psnr(picture(64)[:, 32:], shown(gaussians[0])[:, 32:])
    assert masked.json["psnr_inside"] > inside + 0.5
    assert masked.json["psnr_inside"] > masked.json["psnr_outside"]


def test_eml_net_weights_predict_and_wrong_ones_are_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    generator = torch.Generator().manual_seed(0)

    def random_weights(shapes: dict[str, tuple[int, ...]]) -> dict:
        def one(name: str, shape: tuple[int, ...]):
            if name.endswith(("running_var", "bn1.weight", "bn2.weight", "bn3.weight")):
                return torch.ones(shape)
            return torch.randn(shape, generator=generator) * (2 / max(1, np.prod(shape[1:]))) ** 0.5

        return {name: one(name, shape) for name, shape in shapes.items()}

    for k, (name, shapes) in enumerate(zip(saliency_network.FILES, saliency_network.shapes(), strict=True)):
        state = random_weights(shapes)
        wrapped = {"state_dict": state} if k == 2 else {"state_dict": {f"module.{n}": v for n, v in state.items()}}
        torch.save(wrapped, tmp_path / name)
    found = saliency_network.predict(picture_stack(), tmp_path, 2.0)
    assert found.shape == (64, 64) and (found.min(), found.max()) == (0, 1)
    assert sum(np.prod(s) for s in saliency_network.shapes()[0].values()) == pytest.approx(
        23.6e6, rel=0.01
    )  # a ResNet-50

    torch.save({"state_dict": state | {"combined.0.weight": torch.zeros(1, 9, 3, 3)}}, tmp_path / "res_decoder.pth")
    with pytest.raises(ImageGSError, match=r"combined.0.weight has shape \(1, 9, 3, 3\), not \(1, 10, 3, 3\)"):
        saliency_network.predict(picture_stack(), tmp_path, 2.0)
    (tmp_path / "res_decoder.pth").write_bytes(b"no weights")
    with pytest.raises(ImageGSError, match="not a file of PyTorch weights"):
        saliency_network.predict(picture_stack(), tmp_path, 2.0)
    (tmp_path / "res_decoder.pth").unlink()
    with pytest.raises(ImageGSError, match="file not found"):
        saliency_network.predict(picture_stack(), tmp_path, 2.0)
