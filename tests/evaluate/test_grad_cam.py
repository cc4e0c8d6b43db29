"""Grad-CAM of every strategy, and of a model whose map is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.untrained import untrained_run
from vidcls.data.manifest import Manifest, load_manifest
from vidcls.errors import UserError
from vidcls.evaluate.grad_cam import NUM_FRAMES, Explained, explain
from vidcls.run.folder import Run
from vidcls.spec.data import DataSection

CLIP = {"frames": 6, "size": [48, 64]}
KINDS: dict[str, dict[str, Any]] = {
    "cnn3d": {"kind": "cnn3d"},
    "frame_average": {"kind": "frame_average", "backbone": "small"},
    "early_fusion": {"kind": "early_fusion", "backbone": "small"},
    "late_fusion": {"kind": "late_fusion", "backbone": "small"},
}
BRIGHTNESS = """
import torch
from torch import nn


class Brightness(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.backbone = nn.Conv3d(3, 1, 1)
        self.head = nn.Linear(1, num_classes)
        with torch.no_grad():
            self.backbone.weight.fill_(1.0)
            self.backbone.bias.fill_(9.0)
            self.head.weight.zero_()
            self.head.weight[0] = 1.0
            self.head.bias.zero_()

    def forward(self, clip):
        return self.head(self.backbone(clip).mean(dim=(2, 3, 4)))
"""


def manifest_of(demo: Path, folder: Path) -> Manifest:
    return load_manifest(DataSection(root=str(demo)), cache_dir=folder / "store")


def explained(run: Run, ids: list[str]) -> list[Explained]:
    return explain(run, "best", ids, progress=lambda stage, done, total: None)


def make(demo: Path, folder: Path, model: dict[str, Any]) -> tuple[Run, list[str]]:
    manifest = manifest_of(demo, folder)
    run = untrained_run(
        folder,
        name="run",
        model=model,
        clip=CLIP,
        classes=manifest.classes,
        data={"root": str(demo)},
        manifest_hash=manifest.hash,
    )
    return run, [video.id for video in manifest.split("val")[:3]]


@pytest.mark.parametrize("kind", KINDS)
def test_each_strategy_has_a_map_of_each_video_in_the_given_order(
    kind: str, demo: Path, tmp_path: Path
) -> None:
    run, ids = make(demo, tmp_path, KINDS[kind])
    found = explained(run, ids[::-1])
    assert [each.video for each in found] == ids[::-1]
    for each in found:
        assert each.frames.shape == each.maps.shape == (48, NUM_FRAMES * 64, 3)
        assert 0 < each.probability <= 1
        assert each.frames.std() > 1  # a picture, and not one colour
        assert each.heat.shape == (48, NUM_FRAMES * 64)
        assert 0 <= each.heat.min() <= each.heat.max() <= 1


def test_the_map_is_bright_where_the_model_looks(demo: Path, tmp_path: Path) -> None:
    """The score is the mean brightness, so the map of the only step with places is the brightness."""
    (tmp_path / "own.py").write_text(BRIGHTNESS)
    run, ids = make(demo, tmp_path, {"kind": "custom", "target": f"{tmp_path}/own.py:Brightness"})
    for each in explained(run, ids):
        brightness = each.frames.astype(float).sum(axis=2)
        assert np.corrcoef(brightness.ravel(), each.heat.ravel())[0, 1] > 0.99


def test_what_has_no_map_is_said(demo: Path, tmp_path: Path) -> None:
    run, ids = make(demo, tmp_path, {"kind": "cnn3d"})
    run.checkpoint_file("best").unlink()
    with pytest.raises(UserError, match="no checkpoint 'best'"):
        explained(run, ids)
