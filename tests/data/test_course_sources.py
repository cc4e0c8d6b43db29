"""A course root with videos, frames and flows: each read alone, RGB with the flow beside it, and fused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.data.decoding.test_fields import write_fields
from tests.support.roots import Clip, build
from tests.support.training import Experiment, train_here
from tests.support.videos import open_cpu
from vidcls.data.manifest import Manifest, read_manifest
from vidcls.spec.data import DataSection
from vidcls.study.fuse import FusionPlan, fuse

STREAMS = {"kind": "two_stream", "rgb": {"kind": "frame_average"}, "motion": {"kind": "early_fusion"}}
NUM_FRAMES, NUM_FIELDS = 3, 2
"""Of a folder of frames; a video has eleven, of which these are the first, the sixth and the last."""


@pytest.fixture
def root(tmp_path: Path, clips: tuple[Clip, ...]) -> Path:
    root = build("course-both", tmp_path / "root", clips)
    for number, clip in enumerate(clips):
        folder = root / "flows" / clip.split / clip.action / clip.name
        write_fields(folder, num=NUM_FIELDS, seed=number)
    return root


def read(root: Path, source: str) -> Manifest:
    return read_manifest(DataSection.model_validate({"root": str(root), "source": source}), cache_dir=None)


def seen(manifest: Manifest, store: Path, modality: str, **options: Any) -> torch.Tensor:
    clip = {"modality": modality, "frames": options.pop("frames", NUM_FIELDS), "size": (16, 20)}
    with open_cpu(manifest.videos, store, clip=clip, **options) as clips:
        return torch.cat([b.clip.clone() for b in clips.eval_batches(manifest.videos, batch_size=9)])


@pytest.mark.long
@pytest.mark.parametrize("residency", ["mapped", "streamed"])
def test_rgb_and_flow_are_those_of_each_alone(root: Path, tmp_path: Path, residency: str) -> None:
    data = {"residency": residency}
    flow = seen(read(root, "flows"), tmp_path / "s", "flow", data=data)
    # Field k starts at frame k of three frames, the last of which starts none.
    frames = seen(read(root, "frames"), tmp_path / "s", "rgb", data=data, frames=NUM_FRAMES)[
        :, :, :NUM_FIELDS
    ]
    videos = seen(read(root, "videos"), tmp_path / "s", "rgb", data=data, frames=NUM_FRAMES)[
        :, :, :NUM_FIELDS
    ]
    for source, alone in (("frames+flows", frames), ("videos+flows", videos)):
        both = seen(read(root, source), tmp_path / "s", "rgb+flow", data=data)
        assert torch.equal(both[:, 3:], flow), source
        assert torch.equal(both[:, :3], alone), source


def test_videos_are_the_same_whatever_is_read_of_them(root: Path) -> None:
    rows = [
        [(video.id, video.label, video.split, video.group) for video in read(root, source).videos]
        for source in ("videos", "frames", "flows", "videos+flows", "frames+flows")
    ]
    assert all(each == rows[0] for each in rows)


def test_a_written_manifest_names_the_flow_of_each_video(root: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    for source in ("videos+flows", "frames+flows"):
        manifest = read(root, source)
        manifest.write_csv(table)
        assert "flows" in table.read_text().splitlines()[0].split(",")
        assert {v.digest for v in read(table, source).videos} == {v.digest for v in manifest.videos}
    read(root, "videos").write_csv(table)
    assert "flows" not in table.read_text().splitlines()[0].split(",")


def test_a_video_without_its_flow_is_named(root: Path, clips: tuple[Clip, ...]) -> None:
    clip = clips[0]
    folder = root / "flows" / clip.split / clip.action / clip.name
    folder.rename(folder.with_name("aside"))
    problems = {problem.kind: problem.message for problem in read(root, "videos+flows").problems}
    assert clip.name in problems["missing"]
    assert str(folder) in problems["missing"]
    assert "flows/train/" in problems["extra"]


@pytest.mark.long
def test_from_runs_on_frames_and_on_flows_to_their_fusion(root: Path, experiment: Experiment) -> None:
    runs = [
        train_here(
            experiment.spec(
                runs=f"runs-{source}", data__root=str(root), data__source=source, clip__modality=modality,
                clip__frames=NUM_FIELDS, clip__size=[16, 16], train__epochs=1, model=model,
            )
        )
        for source, modality, model in (
            ("frames", "rgb", {"kind": "cnn3d"}),
            ("flows", "flow", {"kind": "cnn3d"}),
            ("videos+flows", "rgb+flow", STREAMS),
        )
    ]  # fmt: skip
    assert [run.provenance()["decoders"] for run in runs] == [{"images": 12}, {"fields": 12}, {"pyav": 12}]
    plan = FusionPlan(runs=tuple(runs), checkpoint="best", split="val", how="equal")
    fusion = fuse(plan, folder=experiment.folder / "fused", say=print)
    assert fusion.unit == "groups"
    assert [metrics.num_videos for metrics in fusion.singles] == [6, 6, 6]
    assert np.isclose(sum(fusion.weights), 1)
