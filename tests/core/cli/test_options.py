"""The options of Image-GS, under its names: none is missing, and each reaches the settings."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

from imagegs_blender.core.cli import main, options
from imagegs_blender.core.igs import stream
from imagegs_blender.core.settings import FitSettings

ROOT = Path(__file__).resolve().parents[3]


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
        text = {"bits": "9", "decay_ratio": "3", "adapter": "card"}.get(option.field.split(".")[0], text)
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
