"""RGB with its motion: the channels of both, exactly those that each alone would have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.training import Experiment, train_here
from tests.support.video import moving_square, write_clip
from tests.support.videos import open_cpu, video
from tests.support.views import seen
from vidcls.data.batches.buffers import Buffers
from vidcls.data.batches.source import Batch
from vidcls.data.batches.transforms import cut, device_levels, finish, host_batch, pack
from vidcls.data.manifest import Video
from vidcls.spec.load import SpecError
from vidcls.spec.sections import AugmentSection, Clip

PAIRS = [("rgb+flow", "flow"), ("rgb+difference", "difference")]
NUM_VIDEOS = 4


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Video]:
    folder = tmp_path_factory.mktemp("videos")
    made = (
        write_clip(folder / f"v{i}.mp4", moving_square(9 - i, 40, 48, seed=i), codec="mpeg4")
        for i in range(NUM_VIDEOS)
    )
    return [video(path, label=i % 3) for i, path in enumerate(made)]


def batch_of(videos: list[Video], store: Path, modality: str, **options: Any) -> Batch:
    """All videos, augmented, in one batch."""
    augment = AugmentSection(flip=0.5, crop="random_resized")
    clip = {"modality": modality, "frames": 3, "size": (24, 20), **options.pop("clip", {})}
    with open_cpu(videos, store, clip=clip, classes=("a", "b", "c"), **options) as clips:
        evaluated = next(iter(clips.eval_batches(videos, batch_size=9)))
        trained = next(iter(clips.train_batches(videos, augment=augment, seed=3, batch_size=9, epoch=1)))
    return Batch(
        clip=torch.cat([evaluated.clip.clone(), trained.clip.clone()]),
        labels=torch.cat([evaluated.labels, trained.labels]),
        host_labels=evaluated.host_labels + trained.host_labels,
        ids=evaluated.ids + trained.ids,
        flips=evaluated.flips + trained.flips,
    )


@pytest.mark.parametrize(("both", "motion"), PAIRS)
def test_the_motion_channels_are_those_of_motion_alone(
    videos: list[Video], tmp_path: Path, both: str, motion: str
) -> None:
    joined = batch_of(videos, tmp_path, both)
    alone = batch_of(videos, tmp_path, motion)
    assert joined.clip.shape[1] == 3 + alone.clip.shape[1]
    assert (joined.ids, joined.flips) == (alone.ids, alone.flips)
    assert len(set(joined.flips)) == 2
    assert torch.equal(joined.clip[:, 3:], alone.clip)


@pytest.mark.parametrize("both", ["rgb+flow", "rgb+difference"])
def test_the_first_channels_are_the_frames_of_the_same_moments(
    videos: list[Video], tmp_path: Path, both: str
) -> None:
    # Five moments of a clip of six frames are all of its frames but the last one.
    one = [v for v in videos if v.id == "v3"]
    joined = batch_of(one, tmp_path, both, clip={"frames": 5})
    frames = batch_of(one, tmp_path, "rgb", clip={"frames": 6})
    assert torch.equal(joined.clip[0, :3], frames.clip[0, :, :5])


@pytest.mark.parametrize("both", ["rgb+flow", "rgb+difference"])
def test_every_residency_gives_the_same(videos: list[Video], tmp_path: Path, both: str) -> None:
    mapped = batch_of(videos, tmp_path, both)
    for residency in ("memory", "streamed"):
        other = batch_of(videos, tmp_path, both, data={"residency": residency})
        assert torch.equal(mapped.clip, other.clip), residency


@pytest.mark.parametrize(("both", "motion"), PAIRS)
@pytest.mark.parametrize("flip", [False, True])
def test_the_way_of_cuda_gives_the_same(both: str, motion: str, flip: bool) -> None:
    clip = Clip(modality=both, frames=2, size=(20, 24))  # type: ignore[arg-type]
    num, channels = (4, 3) if motion == "difference" else (2, 5)
    values = np.random.default_rng(0).integers(1, 256, (num, 20, 24, channels), dtype=np.uint8)
    view = seen(0, 0, 20, 24, flip=flip)
    windows = [cut(list(torch.from_numpy(values)), view)]
    host = host_batch(windows, [view], clip=clip, buffers=Buffers(1))
    device = finish(
        pack(windows, pin=False), [view], clip=clip, levels=device_levels(clip, torch.device("cpu"))
    )
    torch.testing.assert_close(host, device, atol=1e-5, rtol=1e-5)


def test_normalisation_is_that_of_the_parts() -> None:
    clip = Clip(modality="rgb+flow", mean=(0.1, 0.2, 0.3, 0, 1), std=(1, 2, 3, 4, 5))
    assert clip.part("rgb").normalisation == ((0.1, 0.2, 0.3), (1, 2, 3))
    assert clip.part("flow").normalisation == ((0, 1), (4, 5))
    assert Clip(modality="rgb+difference").normalisation[1] == (*Clip().normalisation[1], 0.05, 0.05, 0.05)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"clip__modality": "rgb"}, "two_stream needs frames and their motion"),
        ({"clip__modality": "rgb+flow", "clip__std": [1.0, 1.0, 1.0]}, "expected 5 numbers"),
        ({"clip__modality": "rgb+difference", "model__rgb_share": 0.4}, "no effect with fusion: features"),
        ({"clip__modality": "rgb+difference", "clip__flow": "dis"}, "flow: has no effect"),
    ],
)
def test_refuses_what_has_no_meaning(experiment: Experiment, settings: dict[str, Any], words: str) -> None:
    model = {"kind": "two_stream", "rgb": {"kind": "frame_average"}, "motion": {"kind": "frame_average"}}
    with pytest.raises(SpecError) as caught:
        train_here(experiment.spec(model=model, **settings))
    assert words in str(caught.value)
