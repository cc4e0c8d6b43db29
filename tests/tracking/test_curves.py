"""Training curves are a picture, whatever rows there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vidcls.tracking.curves import draw_curves
from vidcls.tracking.jsonl import Row

_ROWS: list[Row] = [
    {"kind": "step", "epoch": 1, "step": 1, "train/step_loss": 2.3, "lr": 1e-3, "grad_norm": None},
    {
        "kind": "epoch",
        "epoch": 1,
        "step": 2,
        "train/loss": 2.0,
        "val/loss": 2.1,
        "train/top1": 0.2,
        "val/top1": 0.1,
    },
    {
        "kind": "epoch",
        "epoch": 2,
        "step": 4,
        "train/loss": 1.0,
        "val/loss": None,
        "train/top1": 0.5,
        "val/top1": 0.4,
    },
]


@pytest.mark.parametrize("num_rows", [0, 1, 3])
def test_curves_are_drawn(num_rows: int, tmp_path: Path) -> None:
    draw_curves(_ROWS[:num_rows], tmp_path / "report" / "curves.png", title="late_fusion", say=print)
    with Image.open(tmp_path / "report" / "curves.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape[1] > pixels.shape[0] > 200
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10


def test_more_rows_draw_more(tmp_path: Path) -> None:
    for num_rows in (0, 3):
        draw_curves(_ROWS[:num_rows], tmp_path / f"{num_rows}.png", title="late_fusion", say=print)
    assert (tmp_path / "0.png").read_bytes() != (tmp_path / "3.png").read_bytes()
