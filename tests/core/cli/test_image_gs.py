"""Everything that Image-GS can do, under its option names: what each option changes, and that none is missing."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from imagegs_blender.core.cli import main, options, pictures, run_folder, saliency_network  # fmt: skip
from imagegs_blender.core.decoding import decode  # fmt: skip
from imagegs_blender.core.encoding import encode  # fmt: skip
from imagegs_blender.core.errors import ImageGSError
from imagegs_blender.core.fitting import restoration, saliency  # fmt: skip
from imagegs_blender.core.gaussians import Gaussians
from imagegs_blender.core.igs import stream  # fmt: skip
from imagegs_blender.core.process import worker  # fmt: skip
from imagegs_blender.core.quality import lpips, metrics  # fmt: skip
from imagegs_blender.core.settings import PRESETS, FitSettings
from imagegs_blender.core.textures import image_files, texture_stack  # fmt: skip
from imagegs_blender.core.textures.texture_stack import ColorSpace, Depth, Role, SourceMap, TextureStack

ROOT = Path(__file__).resolve().parents[3]
QUICK = ["--preset", "fast", "--num-gaussians", "120", "--max-steps", "30"]


def picture(side: int) -> np.ndarray:
    """(side, side, 3) uint8: shading, a sharp disc and a thin line."""
    y, x = np.mgrid[0:side, 0:side] / side
    shade = np.stack([x, 0.5 + 0.5 * np.sin(3 * x + 4 * y), 1 - y], 2)
    shade[(x - 0.6) ** 2 + (y - 0.4) ** 2 < 0.05] = [0.9, 0.2, 0.1]
    shade[np.abs(x - 0.3 * y - 0.2) < 0.015] = 0
    return (shade * 255).astype(np.uint8)


def color(pixels: np.ndarray, name: str = "color") -> SourceMap:
    return SourceMap(name, Role.COLOR, ColorSpace.SRGB, Depth.U8, "RGB", pixels)


def textures() -> TextureStack:
    return texture_stack.build([color(picture(64))])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The picture as a file."""
    path = tmp_path / "source.png"
    image_files.write(path, picture(64), Depth.U8, "RGB")
    return path


# Options.


def test_every_option_of_image_gs_is_mapped_and_known() -> None:
    """docs/image-gs.md has a row for every key of Image-GS's default.yaml and README; what it names is in our parsers."""
    keys = """seed device eval render_height quantize pos_bits scale_bits rot_bits feat_bits log_root exp_name log_level
    vis_gaussians save_image_steps save_ckpt_steps eval_steps gamma data_root input_path downsample downsample_ratio
    num_gaussians init_scale topk disable_topk_norm disable_inverse_scale ckpt_file disable_color_init init_mode
    init_random_ratio smap_filter_size l1_loss_ratio l2_loss_ratio ssim_loss_ratio disable_tiles max_steps pos_lr scale_lr
    rot_lr feat_lr disable_lr_schedule decay_ratio check_decay_steps max_decay_times decay_threshold disable_prog_optim
    initial_ratio add_steps add_times post_min_steps""".split()
    text = (ROOT / "docs" / "image-gs.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `--(\w+)` \| (.+?) \|", text, re.MULTILINE))
    assert sorted(rows) == sorted(keys)
    commands = next(a.choices for a in main.parser()._actions if a.choices)
    known = {command: set(p._option_string_actions) for command, p in commands.items()}
    for key, ours in rows.items():
        flags = re.findall(r"`(?:imagegs )?(\w+)? ?(--[\w-]+)", ours)
        assert flags or "INPUT" in ours or "imagegs render" in ours, (key, ours)
        for command, flag in flags:
            assert flag in known[command or "fit"], (key, flag)
        same = "--" + key.replace("_", "-")
        assert same in known["fit"] | known["render"] or key in ("eval", "data_root", "input_path"), key


def test_options_reach_the_settings() -> None:
    """Every option that sets a field, given a value of its own, changes that field and survives the worker's JSON."""
    values = {int: "3", float: "0.5", str: None}
    for option in (option for group in options.GROUPS.values() for option in group):
        text = option.choices[-1] if option.choices else values[option.parse] if option.parse else None
        text = {"bits": "9", "decay_ratio": "3"}.get(option.field.split(".")[0], text)
        argv = ["fit", "x.png", "-o", "y.igs", "--num-gaussians", "9", option.flag]
        if option.field == "importance_weight":
            text = "7"
        args = main.parser().parse_args([*argv, text] if text else argv)
        given = options.settings(args)
        expected = option.switched if option.parse is None else option.parse(str(text))
        found = (
            getattr(given.bits, option.field[5:]) if option.field.startswith("bits.") else getattr(given, option.field)
        )
        assert found == expected, option.flag
        again = json.loads(json.dumps(dataclasses.asdict(given)))
        assert FitSettings(**{**again, "bits": type(given.bits)(**again["bits"])}) == given


def test_config_of_image_gs_is_understood_and_yields_to_the_command_line(source: Path, tmp_path: Path, imagegs) -> None:
    config = tmp_path / "cfg.yaml"
    config.write_text(
        f"data_root: {tmp_path}\ninput_path: source.png\nseed: 123\neval: False\n"
        "device: 'cuda:0'\nrender_height: 2048\nquantize: True\n"
        "pos_bits: 12\nexp_name: run\nlog_level: INFO\neval_steps: 10\nnum_gaussians: 60\ninit_scale: 5.0\ntopk: 10\n"
        "ckpt_file: ''\ninit_mode: gradient\nl1_loss_ratio: 1.0\nmax_steps: 20\npos_lr: 5.0e-4\ndecay_ratio: 10.0\n"
        "downsample: False\ndisable_tiles: False\nadd_steps: 4\nadd_times: 4\npost_min_steps: 0\n"
    )
    done = imagegs("fit", "--config", config, "--log-root", tmp_path / "runs", "--topk", 4, "--json", "--quiet")
    assert done.code == 0, done.err
    found = stream.info((tmp_path / "runs/run/result.igs").read_bytes())
    assert (found["topk"], found["num_gaussians"]) == (4, 60)
    assert found["bits"] == {"pos": 12, "scale": 16, "rot": 16, "feat": 16}
    settings = json.loads((tmp_path / "runs/run/settings.json").read_text())
    assert (settings["name"], settings["seed"], settings["max_steps"], settings["pos_lr"]) == ("paper", 123, 20, 5e-4)


def test_the_largest_k_is_stored_and_decoded() -> None:
    """Other K are compared with the reference in test_devices.py; each is compiled on its own, which takes a while."""
    encoded = encode.encode(textures(), FitSettings.preset("fast", num_gaussians=60, max_steps=20, topk=16))
    read = stream.read(encoded.data).gaussians
    assert read.topk == 16 and encoded.report.psnr["overall"] > 15
    other = decode.planes(dataclasses.replace(read, topk=4))
    assert np.abs(other - decode.planes(read)).max() > 1e-3


def test_switches_change_what_they_name() -> None:
    """Without tiles the result is nearly the same (the definition agrees with the kernels); without the rest it is not."""
    base = FitSettings.preset("paper", num_gaussians=60, max_steps=30, add_steps=5)
    small = texture_stack.build([color(picture(32))])
    results = {
        name: stream.read(encode.encode(small, dataclasses.replace(base, **changed)).data).gaussians
        for name, changed in {
            "base": {},
            "tiles": {"tiles": False},
            "topk": {"topk": 0},
            "inverse": {"inverse_scale": False},
            "color": {"color_init": False},
            "progressive": {"initial_ratio": 1.0},
        }.items()
    }
    difference = {name: np.abs(decode.planes(g) - decode.planes(results["base"])).mean() for name, g in results.items()}
    assert difference["tiles"] < 2e-3
    assert all(difference[name] > 4e-3 for name in ("topk", "inverse", "color", "progressive")), difference


def test_quantization_aware_fit_beats_rounding_afterwards() -> None:
    bits = dataclasses.replace(PRESETS["paper"].bits, pos=7, scale=5, rot=5, feat=5)
    reached = []
    for quantize in (True, False):
        settings = FitSettings.preset(
            "paper", num_gaussians=120, max_steps=250, quantize=quantize, bits=bits, pos_lr=1e-3
        )
        reached.append(encode.encode(textures(), settings).report.psnr["overall"])
    assert reached[0] > reached[1] + 0.3, reached


def test_float32_is_exactly_what_was_fitted_and_gamma_is_undone() -> None:
    bits = dataclasses.replace(PRESETS["fast"].bits, pos=32, scale=32, rot=32, feat=32)
    encoded = encode.encode(
        textures(), FitSettings.preset("fast", num_gaussians=150, max_steps=120, gamma=2.2, bits=bits)
    )
    gaussians = stream.read(encoded.data).gaussians
    assert gaussians.gamma == pytest.approx(2.2)
    assert encoded.report.psnr["overall"] > 24
    linear = decode.planes(dataclasses.replace(gaussians, gamma=1.0))
    assert np.abs(linear - textures().planes ** 2.2).mean() < np.abs(linear - textures().planes).mean()


# The run folder.


def run_fit(source: Path, root: Path, name: str, *more: object) -> list[str]:
    command = [
        sys.executable,
        "-m",
        "imagegs_blender.core",
        "fit",
        source,
        "--log-root",
        root,
        "--exp-name",
        name,
        "--quiet",
    ]
    options = ["--preset", "paper", "--num-gaussians", "150", "--max-steps", "400", "--add-steps", "40"]
    return [str(part) for part in [*command, *options, "--save-ckpt-steps", "50", *more]]


def test_a_killed_fit_resumes_to_the_same_bytes(source: Path, tmp_path: Path) -> None:
    subprocess.run(run_fit(source, tmp_path, "whole"), cwd=ROOT, check=True, capture_output=True)
    checkpoints = tmp_path / "cut/checkpoints"
    with subprocess.Popen(run_fit(source, tmp_path, "cut"), cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not (checkpoints / "ckpt_step-100.npz").exists():
            time.sleep(0.002)
        process.kill()
    assert not (tmp_path / "cut/result.igs").exists(), "the fit ended before it could be killed"
    subprocess.run(run_fit(source, tmp_path, "cut", "--resume"), cwd=ROOT, check=True, capture_output=True)
    assert (tmp_path / "cut/result.igs").read_bytes() == (tmp_path / "whole/result.igs").read_bytes()
    log = (tmp_path / "cut/log.txt").read_text()
    assert re.search(r"resumed at step (100|150|200|250|300|350)\n", log)
    for path in checkpoints.iterdir():  # safe to load: arrays only
        with np.load(path, allow_pickle=False) as archive:
            assert all(archive[key].dtype != object for key in archive.files)


def test_run_folder_holds_what_was_asked_for(source: Path, tmp_path: Path, imagegs) -> None:
    more = ["--vis-gaussians", "--save-image-steps", 10, "--eval-steps", 10, "--save-levels", 3, "--log-level", "DEBUG"]
    done = imagegs("fit", source, "--log-root", tmp_path, "--exp-name", "a/b", *QUICK, *more)
    assert done.code == 0, done.err
    found = {str(p.relative_to(tmp_path / "a/b")) for p in (tmp_path / "a/b").rglob("*.*")}
    assert found >= {
        "log.txt", "settings.json", "report.json", "result.igs", "target_source.png", "gradient.png", "render_source.png",
        "train/render_step-10_source.png", "train/gaussian_step-10_source.png", "train/gaussian-id_step-10.png",
        "train/error_step-10.png", "levels/level-0.igs", "levels/level-2_source.png",
    }  # fmt: skip
    assert any(name.startswith("train/add-gaussian_step-") for name in found)
    log = (tmp_path / "a/b/log.txt").read_text()
    assert "SSIM" in log and "DEBUG" in log and "Gaussians 0 ->" in log
    levels = [stream.read((tmp_path / f"a/b/levels/level-{k}.igs").read_bytes()).gaussians for k in range(3)]
    assert len(levels[0]) < len(levels[1]) < len(levels[2])
    quality = [metrics.psnr(picture(64), image_of(level)) for level in levels]
    assert quality[0] < quality[2] and quality[0] > 12
    assert (tmp_path / "a/b/levels/level-2.igs").read_bytes() == (tmp_path / "a/b/result.igs").read_bytes()
    again = imagegs("fit", source, "--log-root", tmp_path, "--exp-name", "a/b", *QUICK)
    assert again.code == 1 and "holds a run already" in again.err


def image_of(gaussians: Gaussians) -> np.ndarray:
    return np.rint(np.clip(np.moveaxis(decode.planes(gaussians), 0, 2), 0, 1) * 255).astype(np.uint8)


def test_ellipses_lie_where_the_gaussians_are() -> None:
    """One red, flat, tilted Gaussian: red along its long axis, white across it."""
    one = Gaussians(
        np.array([[0.5, 0.5]], np.float32), np.array([[10, 2]], np.float32), np.array([np.pi / 4], np.float32),
        np.array([[1, 0, 0]], np.float32), np.zeros(1, np.float32), 64, 64, False, 4,
    )  # fmt: skip
    drawn = pictures.ellipses(one, textures().maps[0]).astype(int)
    along, across = drawn[32 + 9, 32 + 9], drawn[32 + 9, 32 - 9]  # a positive rotation turns +x towards +y, down
    assert along[0] > 200 and along[1] < 100
    assert across.min() == 255


# Where Gaussians go, and what counts.


def test_saliency_finds_what_stands_out() -> None:
    """The spectral residual of an even pattern with one odd patch is highest on the patch."""
    y, x = np.mgrid[0:256, 0:256]
    plane = (0.5 + 0.2 * np.sin(x / 3) * np.sin(y / 3)).astype(np.float32)
    plane[150:175, 60:85] = 0.9
    found = saliency.spectral_residual(plane[None], 4)
    assert found.shape == plane.shape and found.dtype == np.float32
    assert (found.min(), found.max()) == (0, 1)
    at_y, at_x = np.unravel_index(found.argmax(), found.shape)
    assert 140 < at_y < 185 and 50 < at_x < 95
    assert found[150:175, 60:85].mean() > 4 * found.mean()
    flat = saliency.gaussian_filter(np.full((9, 31), 0.25), 20)
    np.testing.assert_allclose(flat, 0.25, atol=1e-12)


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
    inside = metrics.psnr(picture(64)[:, 32:], image_of(gaussians[0])[:, 32:])
    assert masked.json["psnr_inside"] > inside + 0.5
    assert masked.json["psnr_inside"] > masked.json["psnr_outside"]


def test_importance_survives_the_worker() -> None:
    importance = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    steered = dataclasses.replace(textures(), importance=importance)
    settings = FitSettings.preset("fast", num_gaussians=40, max_steps=20, init_mode="mask")
    assert worker.run(steered, settings).data == encode.encode(steered, settings).data


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
    found = saliency_network.predict(textures(), tmp_path, 2.0)
    assert found.shape == (64, 64) and (found.min(), found.max()) == (0, 1)
    assert sum(np.prod(s) for s in saliency_network.shapes()[0].values()) == pytest.approx(
        23.6e6, rel=0.01
    )  # a ResNet-50

    torch.save({"state_dict": state | {"combined.0.weight": torch.zeros(1, 9, 3, 3)}}, tmp_path / "res_decoder.pth")
    with pytest.raises(ImageGSError, match=r"combined.0.weight has shape \(1, 9, 3, 3\), not \(1, 10, 3, 3\)"):
        saliency_network.predict(textures(), tmp_path)
    (tmp_path / "res_decoder.pth").write_bytes(b"no weights")
    with pytest.raises(ImageGSError, match="not a file of PyTorch weights"):
        saliency_network.predict(textures(), tmp_path)
    (tmp_path / "res_decoder.pth").unlink()
    with pytest.raises(ImageGSError, match="file not found"):
        saliency_network.predict(textures(), tmp_path)


# Applications and measures.


def test_fitting_a_small_picture_reports_the_large_one(source: Path, tmp_path: Path, imagegs) -> None:
    options = ["--preset", "fast", "--num-gaussians", 200, "--max-steps", 60, "--json", "--quiet"]
    done = imagegs("fit", source, "-o", tmp_path / "s.igs", "--downsample", "--downsample-ratio", 2, *options)
    assert done.code == 0, done.err
    assert stream.info((tmp_path / "s.igs").read_bytes())["width"] == 32
    upsampled = done.json["upsampled"]
    rendered = image_of_file(tmp_path, imagegs, "--render-height", 64)
    assert upsampled["gaussians"]["psnr"]["overall"] == pytest.approx(metrics.psnr(picture(64), rendered), abs=1e-6)
    assert 15 < upsampled["bicubic"]["psnr"]["overall"] < 40 and 0 < upsampled["bicubic"]["ssim"]["overall"] < 1


def image_of_file(folder: Path, imagegs, *options: object) -> np.ndarray:
    assert imagegs("render", folder / "s.igs", "-o", folder / "rendered.png", *options).code == 0
    return image_files.read_map(folder / "rendered.png").pixels


def test_noise_is_estimated_and_left_out() -> None:
    """A picture with noise of standard deviation 25/255: the fit is nearer to the clean picture than what was fitted."""
    clean = picture(128)
    rng = np.random.default_rng(0)
    noisy = np.clip(np.rint(clean * 0.6 + 50 + rng.normal(0, 25, clean.shape)), 0, 255).astype(np.uint8)
    clean = np.rint(clean * 0.6 + 50).astype(np.uint8)
    damaged = texture_stack.build([color(noisy)])
    assert np.mean([restoration.noise(p) for p in damaged.planes]) * 255 == pytest.approx(25, rel=0.1)
    assert restoration.blockiness(damaged.planes[0]) * 255 < 8
    for loss in ("l2", "l1"):
        settings = FitSettings.preset("fast", num_gaussians=600, restore=loss)
        encoded = encode.encode(damaged, settings)
        restored = decode.images(stream.read(encoded.data))["color"]
        assert metrics.psnr(clean, restored) > metrics.psnr(clean, noisy) + 6
        assert encoded.report.num_gaussians < 600


def test_ms_ssim_and_flip_come_with_the_report(tmp_path: Path, imagegs) -> None:
    pytest.importorskip("flip_evaluator", reason="flip-evaluator is not installed")
    pytest.importorskip("torchmetrics", reason="torchmetrics is not installed")
    clean = picture(192)
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 20, clean.shape), 0, 255).astype(np.uint8)
    for name, pixels in (("a", clean), ("b", noisy)):
        image_files.write(tmp_path / f"{name}.png", pixels, Depth.U8, "RGB")
    same = imagegs("compare", tmp_path / "a.png", tmp_path / "a.png", "--metrics", "ms-ssim", "flip", "--json").json
    worse = imagegs("compare", tmp_path / "a.png", tmp_path / "b.png", "--metrics", "ms-ssim", "flip", "--json").json
    assert same["ms-ssim"]["a"] == pytest.approx(1, abs=1e-5) and same["flip"]["a"] == pytest.approx(0, abs=1e-6)
    assert 0.5 < worse["ms-ssim"]["a"] < 0.99 and 0.02 < worse["flip"]["a"] < 0.5


def test_lpips_with_weights_of_the_right_shapes(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    generator = torch.Generator().manual_seed(0)
    shapes = [(0, 64, 3, 11), (3, 192, 64, 5), (6, 384, 192, 3), (8, 256, 384, 3), (10, 256, 256, 3)]
    network = {f"features.{n}.weight": torch.randn(o, i, s, s, generator=generator) * 0.05 for n, o, i, s in shapes}
    network |= {f"features.{n}.bias": torch.zeros(o) for n, o, _, _ in shapes}
    heads = {
        f"lin{k}.model.1.weight": torch.rand(1, o, 1, 1, generator=generator) for k, (_, o, _, _) in enumerate(shapes)
    }
    torch.save(network, tmp_path / lpips.FILES[0])
    torch.save(heads, tmp_path / lpips.FILES[1])
    measure, clean = lpips.Lpips(tmp_path), picture(64).astype(np.float32) / 255
    rng = np.random.default_rng(0)
    noisy = [np.clip(clean + s * rng.normal(0, 1, clean.shape), 0, 1).astype(np.float32) for s in (0, 0.05, 0.2)]
    distances = [measure(clean, other) for other in noisy]
    assert distances[0] == 0 and 0 < distances[1] < distances[2]
    torch.save(network, tmp_path / lpips.FILES[1])
    with pytest.raises(ImageGSError, match="lin0.model.1.weight has shape"):
        lpips.Lpips(tmp_path)


def test_a_measure_whose_package_is_missing_is_one_clear_line(source: Path, imagegs, monkeypatch) -> None:
    monkeypatch.setattr("imagegs_blender.core.quality.perceptual.find_spec", lambda name: None)
    done = imagegs("compare", source, source, "--metrics", "flip")
    assert done.code == 1 and done.err.splitlines() == [
        "error: flip: needs the package flip-evaluator; pip install imagegs-blender[extras]"
    ]


def test_bad_requests_are_one_clear_line(source: Path, tmp_path: Path, imagegs) -> None:
    image_files.write(tmp_path / "small.png", np.full((8, 8, 1), 255, np.uint8), Depth.U8, "L")
    image_files.write(tmp_path / "black.png", np.zeros((64, 64, 1), np.uint8), Depth.U8, "L")
    (tmp_path / "unknown.yaml").write_text("num_gausians: 5\n")
    (tmp_path / "value.yaml").write_text("pos_lr: fast\n")
    (tmp_path / "list.yaml").write_text("- a\n")
    (tmp_path / "broken.yaml").write_text("a: [")
    (tmp_path / "eval.yaml").write_text("eval: true\n")
    (tmp_path / "run/checkpoints").mkdir(parents=True)
    (tmp_path / "run/checkpoints/ckpt_step-5.npz").write_bytes(b"no zip")
    before = sorted(p for p in tmp_path.rglob("*"))
    out = tmp_path / "out.igs"
    run = ["--log-root", tmp_path, "--exp-name"]
    for more, named in [
        (["--mask", tmp_path / "small.png"], "the mask is 8 x 8, the picture 64 x 64"),
        (["--mask", tmp_path / "black.png"], "black all over"),
        (["--init-mode", "mask"], "--mask FILE"),
        (["--config", tmp_path / "unknown.yaml"], "num_gausians: unknown key"),
        (["--config", tmp_path / "value.yaml"], "pos_lr"),
        (["--config", tmp_path / "list.yaml"], "list.yaml"),
        (["--config", tmp_path / "broken.yaml"], "not a YAML file"),
        (["--config", tmp_path / "eval.yaml"], "imagegs render"),
        (["--config", tmp_path / "none.yaml"], "none.yaml: can't be read"),
        (["--topk", 17], "topk 17: choose 1 to 16"),
        (["--feat-bits", 33], "feat-bits 33"),
        (["--gamma", 0], "gamma 0"),
        (["--init-random-ratio", 1.5], "init-random-ratio 1.5: choose 0 to 1"),
        (["--l2-loss-ratio", 0, "--preset", "fast"], "one must be above"),
        (["--downsample", "--downsample-ratio", 0.5], "downsample-ratio 0.5"),
        (["--resume"], "--exp-name"),
        (["--save-levels", 4], "--exp-name"),
        ([*run, "new", "--resume"], "no checkpoint to resume"),
        ([*run, "new", "--bpp", 0.001], "too small for one Gaussian"),
        ([*run, "run", "--resume"], "not a checkpoint"),
        ([*run, "new", "--save-ckpt-steps", 5, "--target-psnr", 30], "target-psnr takes several fits"),
    ]:
        done = imagegs("fit", source, "-o", out, *more)
        lines = done.err.splitlines()
        assert (done.code, done.out, len(lines)) == (1, "", 1), (more, done)
        assert lines[0].startswith("error: ") and named in lines[0], (more, lines)
    assert sorted(p for p in tmp_path.rglob("*")) == before


def test_a_checkpoint_of_another_picture_is_refused(source: Path, tmp_path: Path, imagegs) -> None:
    run = ["--log-root", tmp_path, "--exp-name", "run", "--save-ckpt-steps", 10, *QUICK]
    assert imagegs("fit", source, *run).code == 0
    image_files.write(source, 255 - picture(64), Depth.U8, "RGB")
    done = imagegs("fit", source, *run, "--resume")
    assert done.code == 1 and "another picture or other settings" in done.err


def test_staged_settings() -> None:
    assert run_folder.staged(PRESETS["fast"], 3).add_times == 2
    with pytest.raises(ImageGSError, match="disable-prog-optim"):
        run_folder.staged(dataclasses.replace(PRESETS["fast"], initial_ratio=1.0), 3)
