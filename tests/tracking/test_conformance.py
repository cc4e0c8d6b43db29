"""What every tracker must do: nothing that it is given stops a training, and nothing of it is changed."""

from __future__ import annotations

import copy
import inspect
import json
import math
from pathlib import Path

import numpy as np
import pytest

from vidcls.spec.sections import TrackingSection
from vidcls.tracking.jsonl import Row
from vidcls.tracking.tracker import NullTracker, Preview, Tracker
from vidcls.tracking.wandb import WandbTracker, open_tracker

TRACKERS: dict[str, type[Tracker]] = {
    "disabled": NullTracker,
    "offline": WandbTracker,
    "online": WandbTracker,
}
ODD_ROWS: list[Row] = [
    {"kind": "epoch", "epoch": 0, "step": 10, "val/top1": 0.5},
    {"kind": "epoch", "epoch": 0, "step": 10, "val/top1": math.nan, "train/loss": math.inf},
    {"kind": "epoch", "epoch": 1, "step": 5, "val/loss": -1e308},
    {"kind": "resumed", "epoch": 1, "step": 5},
    {},
]
each = pytest.mark.parametrize("mode", TRACKERS)


@pytest.fixture(autouse=True)
def _with_a_key(unreachable: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef" * 3)


def opened(mode: str, tmp_path: Path) -> Tracker:
    tracker = open_tracker(
        TrackingSection.model_validate_json(json.dumps({"mode": mode})),
        run_dir=tmp_path / "run",
        run_id="fixed-id",
        name="late_fusion-s0",
        group="late_fusion",
        spec={},
        leak_state="clean",
        history=[],
        warn=lambda text: None,
    )
    assert isinstance(tracker, TRACKERS[mode])
    return tracker


@each
def test_it_has_all_of_the_interface(mode: str) -> None:
    for name, member in inspect.getmembers(Tracker, inspect.isfunction):
        if not name.startswith("_"):
            assert inspect.signature(getattr(TRACKERS[mode], name)) == inspect.signature(member), name


@each
def test_nothing_stops_a_training_and_nothing_is_changed(mode: str, tmp_path: Path) -> None:
    tracker = opened(mode, tmp_path)
    clip = np.random.default_rng(0).integers(0, 255, (4, 33, 48, 3), dtype=np.uint8)
    odd = Preview("a/\udcff\n\x1b[31m", clip, label="", prediction="\u202eup", probability=math.nan)
    counts, classes = np.array([[3, 1], [0, 2]]), ["up", "up"]
    given = [*ODD_ROWS, counts, classes, clip]
    before = copy.deepcopy(given)
    for row in ODD_ROWS:
        tracker.log(row)
    for previews in ([], [odd], [odd, odd]):
        tracker.log_previews(previews)
    tracker.log_confusion(counts, classes)
    tracker.log_confusion(np.zeros((0, 0), dtype=np.int64), [])
    tracker.log(ODD_ROWS[0])
    tracker.log_checkpoint(tmp_path / "absent.pt", metrics={"val/top1": math.nan})
    tracker.summarise({"best/val/top1": math.nan, "note": "\udcff"})
    tracker.finish(exit_code=1, preempted=True)
    np.testing.assert_equal(given, before)
