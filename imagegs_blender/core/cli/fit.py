"""imagegs fit: image files -> .igs, and its report."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import files
from ..decoding.decode import Decoded
from ..encoding import encode
from ..encoding.report import FitReport
from ..errors import ImageGSError
from ..quality import perceptual
from ..settings import FitSettings
from ..textures import image_files, texture_stack
from ..textures.texture_stack import OVERALL, SourceMap, TextureStack
from . import common, config, console, options, run_folder, saliency_network, upsampling
from .progress import ProgressLine
from .run_folder import LOG_LEVELS, RunFolder


def add_parser(commands: Any) -> None:
    """Add imagegs fit and its options."""
    p = common.command(
        commands, fit, "fit an image, or a folder of maps that share one texture space, and write a .igs file"
    )
    p.set_defaults(parser=p)
    p.add_argument(
        "input", metavar="INPUT", nargs="?", help=f"image file, or folder of images: {' '.join(image_files.SUFFIXES)}"
    )
    p.add_argument(
        "-o", "--output", metavar="OUT.igs",
        help="file to write; its folder must exist (default with --exp-name: a file in the run's folder)",
    )  # fmt: skip
    p.add_argument(
        "--config", metavar="FILE.yaml", help="options from a file, with the keys of Image-GS's default.yaml"
    )
    p.add_argument("--wrap", action="store_true", help="the texture repeats: fit without a seam (default: it does not)")
    options.add(p)
    _add_applications(p)
    _add_run_folder(p)
    p.add_argument("--quiet", action="store_true", help="no progress on stderr")
    common.overwrite_option(p)
    common.json_option(p)


def _add_applications(p: argparse.ArgumentParser) -> None:
    group = p.add_argument_group("what to fit, and how it is judged")
    group.add_argument(
        "--mask", metavar="FILE",
        help="gray image of INPUT's size, bright where it matters: steers where Gaussians go and the loss",
    )  # fmt: skip
    group.add_argument(
        "--saliency-weights", metavar="FOLDER",
        help="with init-mode saliency: EML-Net instead of the spectral residual; the folder holds "
        + ", ".join(saliency_network.FILES),
    )  # fmt: skip
    group.add_argument(
        "--downsample", action="store_true", help="fit a smaller picture, and judge it at INPUT's size, too"
    )
    group.add_argument("--downsample-ratio", type=float, metavar="R", help="how much smaller (default: 2)")
    common.metrics_options(group)


def _add_run_folder(p: argparse.ArgumentParser) -> None:
    group = p.add_argument_group("run folder, with log, checkpoints and pictures")
    group.add_argument("--exp-name", metavar="NAME", help="keep one, LOG_ROOT/NAME")
    group.add_argument("--log-root", metavar="FOLDER", help="where run folders are (default: results)")
    group.add_argument("--log-level", choices=LOG_LEVELS, help="what the log holds (default: INFO)")
    group.add_argument(
        "--eval-steps", type=int, metavar="N", help="log PSNR and SSIM so often; 0: never (default: 100)"
    )
    group.add_argument(
        "--save-image-steps", type=int, metavar="N", help="save a rendering so often (default: in the end)"
    )
    group.add_argument("--save-ckpt-steps", type=int, metavar="N", help="save a checkpoint so often (default: never)")
    group.add_argument(
        "--vis-gaussians", action="store_true",
        help="with each rendering: Gaussians as ellipses, by number, and the error; at each addition: the new ones",
    )  # fmt: skip
    group.add_argument(
        "--save-levels", type=int, metavar="N", help="fit in N stages and keep each as a .igs and a picture"
    )
    group.add_argument("--resume", action="store_true", help="go on from the latest checkpoint of the run folder")
    group.add_argument("--ckpt-file", metavar="FILE", help="with --resume: this checkpoint, not the latest")


def fit(args: argparse.Namespace) -> None:
    """imagegs fit: image files -> .igs, and its report."""
    if args.config:
        config.apply(args.config, args, args.parser)
    if not args.input:
        args.parser.error("INPUT is missing")
    if not (args.output or args.exp_name):
        args.parser.error("-o/--output is missing")
    if args.init_mode is None and (args.mask or args.saliency_weights):
        args.init_mode = "mask" if args.mask else "saliency"
    settings = options.settings(args)
    perceptual.check(args.metrics or (), args.lpips_weights)
    maps = image_files.read_maps(args.input)
    target = upsampling.downsampled(maps, _ratio(args))
    stack = _stack(target, args, settings)
    run, settings = _run_folder(args, settings)
    output = _output(args, run)
    if args.output:
        common.check_free([output], args.overwrite)
        files.check_writable(output)
    with ProgressLine(sys.stderr) as line:
        try:
            tell = None if args.quiet else line.show
            with console.interruptible():
                encoded = encode.encode(stack, settings, tell, run, {m.name: m.pixels for m in target})
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"{run.folder} holds the run so far" if run else "nothing was written") from None
    report = replace(encoded.report, **_perceptual(encoded.decoded, target, args))
    if args.downsample:
        report = replace(report, upsampled=upsampling.judged(encoded.stream, target, maps))
    files.write(output, encoded.data)
    if run:
        run.finish(encoded, report)
    if report.warning:
        console.say(f"warning: {report.warning}", sys.stderr)
    if args.json:
        common.print_json(report.to_json())
    else:
        _print(output, report)


def _ratio(args: argparse.Namespace) -> float:
    """How many times smaller than the input the picture is that is fitted."""
    if not args.downsample:
        return 1.0
    return 2.0 if args.downsample_ratio is None else args.downsample_ratio


def _perceptual(decoded: Decoded, maps: list[SourceMap], args: argparse.Namespace) -> dict[str, Any]:
    """The measures of --metrics, of the result against the maps, by field of FitReport."""
    if not args.metrics:
        return {}
    originals = {m.name: m.pixels for m in maps}
    asked = perceptual.compare(originals, decoded.images, args.metrics, args.lpips_weights)
    return {name.replace("-", "_"): values for name, values in asked.items()}


def _stack(maps: list[SourceMap], args: argparse.Namespace, settings: FitSettings) -> TextureStack:
    """The maps as one stack, with the importance map that was asked for."""
    stack = texture_stack.build(maps, wrap=args.wrap)
    if args.init_mode == "mask" and args.mask:
        return replace(stack, importance=image_files.read_importance(args.mask, stack.width, stack.height))
    if args.init_mode == "saliency" and args.saliency_weights:
        return replace(
            stack, importance=saliency_network.predict(stack, args.saliency_weights, settings.smap_filter_size)
        )
    return stack


def _run_folder(args: argparse.Namespace, settings: FitSettings) -> tuple[RunFolder | None, FitSettings]:
    """The run folder that was asked for, and the settings with as many stages as it keeps."""
    wanted = {
        "save-levels": args.save_levels, "resume": args.resume, "save-ckpt-steps": args.save_ckpt_steps,
        "save-image-steps": args.save_image_steps, "vis-gaussians": args.vis_gaussians, "ckpt-file": args.ckpt_file,
    }  # fmt: skip
    if not args.exp_name:
        for option, value in wanted.items():
            if value:
                raise ImageGSError(f"{option}: belongs to a run folder; name one with --exp-name")
        return None, settings
    settings = run_folder.staged(settings, args.save_levels)
    keep = run_folder.Keep(
        log_level=args.log_level or "INFO",
        eval_steps=100 if args.eval_steps is None else args.eval_steps,
        image_steps=args.save_image_steps or 0,
        checkpoint_steps=args.save_ckpt_steps or 0,
        pictures=bool(args.vis_gaussians),
        stages=args.save_levels or 0,
    )
    resumed = Path(args.ckpt_file) if args.ckpt_file else None
    folder = Path(args.log_root or "results") / args.exp_name
    return run_folder.RunFolder(folder, keep, settings, resume=bool(args.resume), resumed=resumed), settings


def _output(args: argparse.Namespace, run: RunFolder | None) -> Path:
    if args.output is None:
        assert run is not None
        return run.folder / "result.igs"
    output = Path(args.output)
    if output.suffix.lower() != ".igs":
        raise ImageGSError(f"{output}: the output is a .igs file; name it so")
    return output


def _print(output: Path, report: FitReport) -> None:
    console.say(
        f"{output}: {report.bytes:,} bytes, {report.bpp:.3f} bpp, {report.bppc:.4f} bppc, "
        f"{report.num_gaussians:,} Gaussians, {report.steps:,} steps, {report.seconds:.1f} s on {report.device}"
    )
    common.print_quality(report.to_json())
    if report.psnr_inside is not None:
        console.say(f"PSNR where it matters {report.psnr_inside:.2f} dB, elsewhere {report.psnr_outside:.2f} dB")
    for name, quality in report.upsampled.items():
        overall = {measure: values[OVERALL] for measure, values in quality.items() if measure != "normal_angle"}
        console.say(f"at the input's size, {name}: PSNR {overall['psnr']:.2f} dB   SSIM {overall['ssim']:.4f}")
