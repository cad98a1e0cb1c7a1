"""FitReport: its JSON is the one that files and records hold, of this version and of earlier ones."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

from imagegs_blender.core.encoding.report import FitReport

DOCS = Path(__file__).resolve().parents[3] / "docs"
WHOLE = {
    "bytes": 1000, "bpp": 0.5, "bppc": 0.1, "num_gaussians": 120, "steps": 30, "device": "cpu", "unused": 0.25,
    "psnr": {"overall": 31.5, "color": 31.5}, "ssim": {"overall": 0.9, "color": 0.9}, "normal_angle": {"normal": 2.5},
    "psnr_inside": 33.0, "psnr_outside": 30.0, "seconds": 1.5, "warning": "target-psnr 45 dB was not reached",
    "ms-ssim": {"color": 0.97}, "flip": {"color": 0.1}, "lpips": {"color": 0.2},
    "upsampled": {"gaussians": {"psnr": {"overall": 28.0}}, "bicubic": {"psnr": {"overall": 27.0}}},
}  # fmt: skip


def test_every_key_survives_json() -> None:
    report = FitReport.from_json(json.loads(json.dumps(WHOLE)))
    assert report.to_json() == WHOLE and list(report.to_json()) == list(WHOLE)
    assert len(WHOLE) == len(fields(FitReport))
    assert FitReport.from_json(report.to_json()) == report


def test_records_of_earlier_and_later_versions_open() -> None:
    assert FitReport.from_json({}).psnr == {"overall": None}
    assert FitReport.from_json({}).to_json() == {"num_gaussians": 0, "psnr": {"overall": None}, "seconds": 0.0}
    partial = FitReport.from_json({"bytes": 10, "psnr": {"overall": 30.25}, "of a later version": 1})
    assert (partial.bytes, partial.psnr["overall"], partial.normal_angle) == (10, 30.25, {})


def test_the_page_has_a_row_for_every_key() -> None:
    of_a_fit, _ = (DOCS / "report.md").read_text("utf-8").split("## A batch")
    rows = [line.split("`")[1] for line in of_a_fit.splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(WHOLE)
