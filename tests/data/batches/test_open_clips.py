from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.video import moving_square, write_clip, write_frames
from tests.support.videos import open_cpu, video
from vidcls.data.batches.clips import Clips
from vidcls.data.batches.source import Batch
from vidcls.data.decoding.decode import decode
from vidcls.data.manifest import Video
from vidcls.errors import UserError, VidclsError
from vidcls.spec.sections import AugmentSection

NUM_VIDEOS = 9


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Video]:
    folder = tmp_path_factory.mktemp("videos")
    return [
        video(write_frames(folder / f"v{i}", moving_square(6, 20, 24, seed=i)), label=i % 3)
        for i in range(NUM_VIDEOS)
    ]


@pytest.fixture(scope="module")
def clips(videos: list[Video], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clips]:
    with open_cpu(videos, tmp_path_factory.mktemp("store"), classes=("a", "b", "c")) as opened:
        yield opened


def train(clips: Clips, videos: list[Video], **options: Any) -> list[Batch]:
    given = {"augment": AugmentSection(flip=0.5), "seed": 0, "batch_size": 2, "epoch": 0, **options}
    return list(clips.train_batches(videos, **given))


def ids(batches: list[Batch]) -> list[str]:
    return [name for batch in batches for name in batch.ids]


def test_an_epoch_gives_every_video_once_in_another_order(clips: Clips, videos: list[Video]) -> None:
    names = [v.id for v in videos]
    orders = [ids(train(clips, videos, seed=seed, epoch=epoch)) for seed in range(2) for epoch in range(2)]
    assert all(sorted(order) == names for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    batch = train(clips, videos)[0]
    assert batch.clip.shape == (2, 3, 4, 16, 16)
    assert batch.labels.dtype == torch.int64
    assert batch.labels.tolist() == [videos[names.index(name)].label for name in batch.ids]


def test_a_batch_depends_on_epoch_and_step_alone(clips: Clips, videos: list[Video]) -> None:
    whole = train(clips, videos, epoch=2)
    for start in range(len(whole) + 1):
        rest = train(clips, videos, epoch=2, start_step=start)
        assert [b.ids for b in rest] == [b.ids for b in whole[start:]]
        assert all(torch.equal(a.clip, b.clip) for a, b in zip(rest, whole[start:], strict=True))


def test_what_happens_to_a_clip_does_not_depend_on_the_batch_size(clips: Clips, videos: list[Video]) -> None:
    def by_id(batch_size: int) -> dict[str, torch.Tensor]:
        batches = train(clips, videos, batch_size=batch_size)
        return {name: clip for b in batches for name, clip in zip(b.ids, b.clip, strict=True)}

    small, large = by_id(2), by_id(5)
    assert all(torch.equal(small[name], large[name]) for name in small)


@pytest.mark.parametrize(
    ("batch_size", "sizes"), [(1, [1] * 9), (2, [2, 2, 2, 3]), (4, [4, 5]), (5, [5, 4]), (8, [9]), (20, [9])]
)
def test_a_last_clip_alone_joins_the_batch_before(
    clips: Clips, videos: list[Video], batch_size: int, sizes: list[int]
) -> None:
    assert [len(b.ids) for b in train(clips, videos, batch_size=batch_size)] == sizes
    assert clips.num_train_steps(videos, batch_size=batch_size) == len(sizes)
    assert [len(b.ids) for b in train(clips, videos[:1], batch_size=batch_size)] == [1]


def test_evaluation_gives_the_frames_of_the_truth_in_order(clips: Clips, videos: list[Video]) -> None:
    batches = list(clips.eval_batches(videos, batch_size=4))
    assert [len(b.ids) for b in batches] == [4, 4, 1]
    assert ids(batches) == [v.id for v in videos]
    expected = decode(videos[5].path, [0, 1, 3, 5], size=(16, 16), decoder="images")
    normalised = (expected / 255 - 0.45) / 0.225
    assert np.allclose(batches[1].clip[1].numpy(), normalised.transpose(3, 0, 1, 2), atol=1e-5)


def test_unit_frame_trains_on_each_frame_and_evaluates_whole_videos(
    tmp_path: Path, videos: list[Video]
) -> None:
    with open_cpu(videos, tmp_path, clip={"unit": "frame"}) as clips:
        batches = train(clips, videos, batch_size=5, augment=AugmentSection())
        assert clips.num_train_steps(videos, batch_size=5) == len(batches) == 7
        assert len(batches[-1].ids) == 6
        assert batches[0].clip.shape == (5, 3, 1, 16, 16)
        assert sorted(ids(batches)) == sorted(4 * [v.id for v in videos])
        whole = {b.ids[0]: b.clip[0] for b in clips.eval_batches(videos, batch_size=1)}
        seen = {name: set[int]() for name in whole}
        for batch in batches:
            for name, frame in zip(batch.ids, batch.clip, strict=True):
                seen[name] |= {k for k in range(4) if torch.equal(whole[name][:, k], frame[:, 0])}
        assert all(found == {0, 1, 2, 3} for found in seen.values())


def test_a_mirrored_clip_has_the_mirrored_label(tmp_path: Path, videos: list[Video]) -> None:
    classes = ("go_left", "go_right", "stay")
    labels = {"go_left": "go_right", "go_right": "go_left"}
    with open_cpu(videos, tmp_path, classes=classes, data={"flip_labels": labels}) as clips:
        (batch,) = train(clips, videos, batch_size=20)
        (plain,) = clips.eval_batches(
            [next(v for v in videos if v.id == n) for n in batch.ids], batch_size=20
        )
        mirrored = [torch.equal(a.flip(3), b) for a, b in zip(batch.clip, plain.clip, strict=True)]
        assert len(set(mirrored)) == 2
        swapped = [[1, 0, 2][label] if m else label for label, m in zip(plain.labels, mirrored, strict=True)]
        assert batch.labels.tolist() == swapped
        with pytest.raises(UserError, match="no effect"):
            train(clips, videos, augment=AugmentSection())
    with (
        open_cpu(videos, tmp_path, classes=classes) as clips,
        pytest.raises(UserError, match="go_left: go_right"),
    ):
        train(clips, videos)


def test_a_batch_that_is_kept_stays_what_it_was(clips: Clips, videos: list[Video]) -> None:
    kept, copies = [], []
    for _ in range(2):
        for batch in clips.train_batches(
            videos, augment=AugmentSection(flip=0.5), seed=0, batch_size=2, epoch=0
        ):
            kept.append(batch.clip[:, 0])
            copies.append(batch.clip[:, 0].clone())
    assert all(torch.equal(a, b) for a, b in zip(kept, copies, strict=True))


@pytest.fixture
def some_bad(tmp_path: Path) -> list[Video]:
    write_clip(tmp_path / "good.mp4", moving_square(6, 32, 32))
    (tmp_path / "empty.avi").touch()
    (tmp_path / "text.mp4").write_text("no video at all")
    return [video(tmp_path / name) for name in ("empty.avi", "good.mp4", "text.mp4")]


def test_bad_videos_are_all_named(tmp_path: Path, some_bad: list[Video]) -> None:
    with pytest.raises(VidclsError) as caught:
        open_cpu(some_bad, tmp_path / "s")
    text = str(caught.value)
    assert "2 of 3 videos" in text
    assert "empty.avi: is not a video" in text
    assert "text.mp4: is not a video" in text
    assert "vidcls data check" in text
    assert "data.bad_videos=skip" in text


def test_bad_videos_are_skipped_within_the_budget(tmp_path: Path, some_bad: list[Video]) -> None:
    with open_cpu(some_bad, tmp_path / "s", data={"bad_videos": "skip", "max_bad": 2}) as clips:
        assert set(clips.bad) == {"empty", "text"}
        assert set(clips.decoders) == {"good"}
        assert ids(train(clips, some_bad)) == ["good"]
        assert ids(list(clips.eval_batches(some_bad, batch_size=2))) == ["good"]
        assert clips.num_train_steps(some_bad, batch_size=2) == 1
    with pytest.raises(VidclsError, match=r"more than data\.max_bad: 1"):
        open_cpu(some_bad, tmp_path / "s", data={"bad_videos": "skip", "max_bad": 1})


def test_prediction_does_what_it_can(tmp_path: Path, some_bad: list[Video]) -> None:
    bad_only = [some_bad[0], some_bad[2]]
    for given, expected in ((some_bad, ["good"]), (bad_only, [])):
        with open_cpu(given, tmp_path / "s", data={"residency": "streamed"}, report_bad=True) as clips:
            assert ids(list(clips.eval_batches(given, batch_size=4))) == expected
            assert set(clips.bad) == {"empty", "text"}


def test_an_abandoned_epoch_leaves_no_thread(clips: Clips, videos: list[Video]) -> None:
    batches = clips.train_batches(videos, augment=AugmentSection(), seed=0, batch_size=1, epoch=0)
    next(batches)
    assert any(thread.name.startswith("vidcls-ahead") for thread in threading.enumerate())
    del batches
    assert not any(thread.name.startswith("vidcls-ahead") for thread in threading.enumerate())
