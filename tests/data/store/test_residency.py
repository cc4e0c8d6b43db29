from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.video import moving_square, write_clip, write_frames
from tests.support.videos import open_cpu, video
from vidcls.data.decoding.errors import DecodeError
from vidcls.data.manifest import Video
from vidcls.errors import VidclsError
from vidcls.spec.sections import AugmentSection

RESIDENCIES = ("device", "memory", "mapped", "streamed")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Video]:
    """Encoders, sizes and lengths of all kinds; two of the videos are the same file."""
    folder = tmp_path_factory.mktemp("videos")
    paths = [
        write_clip(folder / "a.mp4", moving_square(23, 48, 64), options={"bf": "3"}),
        write_clip(folder / "b.avi", moving_square(9, 64, 36, seed=1), codec="mpeg4", options={"bf": "2"}),
        write_clip(folder / "c.mkv", moving_square(2, 35, 51), codec="ffv1", pix_fmt="bgr0"),
        write_frames(folder / "d", moving_square(12, 30, 40)),
        write_clip(folder / "e.mpg", moving_square(11, 48, 64, seed=2), codec="mpeg1video"),
    ]
    named = [video(path, label=label) for label, path in enumerate(paths)]
    return [*named, video(paths[0], label=0, name="twin")]


@pytest.mark.long
@pytest.mark.parametrize(
    ("clip", "augment"),
    [
        ({}, {"flip": 0.5}),
        ({"fit": "crop"}, {"flip": 0.5, "crop": "random"}),
        ({"fit": "crop", "sampling": "segment"}, {"crop": "random_resized"}),
        ({"unit": "frame"}, {"flip": 0.5, "crop": "random_resized"}),
        ({"modality": "flow", "fit": "crop"}, {"flip": 0.5, "crop": "random_resized"}),
        ({"modality": "flow", "flow": "farneback", "sampling": "segment"}, {"flip": 0.5}),
        ({"modality": "difference", "fit": "crop"}, {"flip": 0.5, "crop": "random"}),
        ({"modality": "difference", "sampling": "segment"}, {"crop": "random_resized"}),
        ({"modality": "difference", "unit": "frame"}, {"flip": 0.5}),
    ],
)
def test_all_residencies_give_the_same_batches(
    tmp_path: Path, videos: list[Video], clip: dict[str, Any], augment: dict[str, Any]
) -> None:
    seen: dict[str, list[Any]] = {}
    for residency in RESIDENCIES:
        with open_cpu(videos, tmp_path, clip=clip, data={"residency": residency}) as clips:
            assert clips.residency == residency
            train = clips.train_batches(
                videos, augment=AugmentSection(**augment), seed=3, batch_size=4, epoch=1
            )
            seen[residency] = [*train, *clips.eval_batches(videos, batch_size=4)]
    first = seen["mapped"]
    assert len(first) >= 3
    for batches in seen.values():
        for ours, theirs in zip(first, batches, strict=True):
            assert ours.ids == theirs.ids
            assert torch.equal(ours.clip, theirs.clip)
            assert torch.equal(ours.labels, theirs.labels)


def test_auto_streams_where_the_store_does_not_fit_the_disk(
    tmp_path: Path, videos: list[Video], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_cpu(videos[:1], tmp_path) as clips:
        assert clips.residency == "mapped"
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=100))
    with open_cpu(videos, tmp_path) as clips:
        assert clips.residency == "streamed"


def test_memory_that_is_too_small_is_said(
    tmp_path: Path, videos: list[Video], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=100))
    with pytest.raises(VidclsError, match=r"residency=mapped"):
        open_cpu(videos[:1], tmp_path, data={"residency": "memory"})


def test_a_streamed_video_that_breaks_is_named(tmp_path: Path) -> None:
    paths = [write_clip(tmp_path / f"{i}.mp4", moving_square(6, 32, 32, seed=i)) for i in range(3)]
    videos = [video(path) for path in paths]
    with open_cpu(videos, tmp_path, data={"residency": "streamed"}) as clips:
        paths[1].write_bytes(b"gone")
        with pytest.raises(VidclsError, match=r"1\.mp4: was readable before"):
            list(clips.eval_batches(videos, batch_size=1))
    with open_cpu(videos, tmp_path, data={"residency": "streamed"}, report_bad=True) as clips:
        scored = [name for batch in clips.eval_batches(videos, batch_size=2) for name in batch.ids]
        assert scored == ["0", "2"]
        assert set(clips.bad) == {"1"}


def test_decode_errors_cross_processes() -> None:
    import pickle

    assert str(pickle.loads(pickle.dumps(DecodeError("why")))) == "why"


def test_stored_frames_are_not_written_to(tmp_path: Path, videos: list[Video]) -> None:
    with open_cpu(videos, tmp_path, data={"residency": "device"}) as clips:
        before = [batch.clip.clone() for batch in clips.eval_batches(videos, batch_size=4)]
        list(clips.train_batches(videos, augment=AugmentSection(flip=1.0), seed=0, batch_size=4, epoch=0))
        after = [batch.clip for batch in clips.eval_batches(videos, batch_size=4)]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert np.isfinite(before[0].numpy()).all()
