"""Flow and differences on their way into a batch: exact, on the host and as CUDA does it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.support.video import moving_square, write_clip, write_frames
from tests.support.videos import open_cpu, video
from tests.support.views import seen
from vidcls.choices import Modality
from vidcls.data.batches.augment.view import View
from vidcls.data.batches.buffers import Buffers
from vidcls.data.batches.transforms import cut, device_levels, finish, host_batch, pack
from vidcls.data.decoding.decode import Probe, decode
from vidcls.data.decoding.flow import STEP_PX, STILL, compute_fields
from vidcls.data.modality import needed_frames, num_moments
from vidcls.data.sampling import frame_indices, generator, reachable_frames
from vidcls.errors import VidclsError
from vidcls.models.build import build
from vidcls.spec.model import EarlyFusionSection
from vidcls.spec.sections import AugmentSection, Clip

Frames = list[torch.Tensor]
Way = Callable[[list[Frames], list[View], Clip], torch.Tensor]


def on_the_host(clips: list[Frames], views: list[View], clip: Clip) -> torch.Tensor:
    windows = [cut(frames, view) for frames, view in zip(clips, views, strict=True)]
    return host_batch(windows, views, clip=clip, buffers=Buffers(1))


def on_the_device(clips: list[Frames], views: list[View], clip: Clip) -> torch.Tensor:
    """What CUDA does, on the CPU."""
    packed = pack([cut(frames, view) for frames, view in zip(clips, views, strict=True)], pin=False)
    return finish(packed, views, clip=clip, levels=device_levels(clip, torch.device("cpu")))


@pytest.fixture(params=[on_the_host, on_the_device])
def batch(request: pytest.FixtureRequest) -> Way:
    way: Way = request.param
    return way


def random_bytes(num: int, height: int, width: int, channels: int, *, seed: int = 0) -> Frames:
    values = np.random.default_rng(seed).integers(1, 256, (num, height, width, channels), dtype=np.uint8)
    return list(torch.from_numpy(values))


def in_pixels(fields: Frames) -> torch.Tensor:
    """`[2, T, H, W]`."""
    return (torch.stack(fields).permute(3, 0, 1, 2).float() - STILL) * STEP_PX


def test_flow_is_given_in_pixels_of_the_clip(batch: Way) -> None:
    clip = Clip(modality="flow", frames=3, size=(20, 24), mean=(0.5, -0.25), std=(2.0, 0.5))
    fields = random_bytes(3, 20, 24, 2)
    made = batch([fields], [seen(0, 0, 20, 24)], clip)
    assert made.shape == (1, 2, 3, 20, 24)
    assert made.permute(0, 2, 3, 4, 1).is_contiguous()
    mean, std = (torch.tensor(values).view(2, 1, 1, 1) for values in (clip.mean, clip.std))
    torch.testing.assert_close(made[0], (in_pixels(fields) - mean) / std, rtol=1e-6, atol=1e-5)
    still = batch([[torch.full((20, 24, 2), STILL, dtype=torch.uint8)] * 3], [seen(0, 0, 20, 24)],
                  Clip(modality="flow", frames=3, size=(20, 24)))  # fmt: skip
    assert not still.any()


def test_a_mirror_of_flow_reverses_columns_and_negates_u(batch: Way) -> None:
    clip = Clip(modality="flow", frames=3, size=(20, 24))
    fields = random_bytes(3, 20, 24, 2)
    plain = batch([fields], [seen(0, 0, 20, 24)], clip)
    mirrored = batch([fields], [seen(0, 0, 20, 24, flip=True)], clip)
    assert torch.equal(mirrored, plain.flip(4) * torch.tensor([-1, 1]).view(1, 2, 1, 1, 1))
    assert torch.equal(torch.stack(fields), torch.stack(random_bytes(3, 20, 24, 2)))


@given(
    motion=st.tuples(st.integers(-100, 100), st.integers(-100, 100)),
    window=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    size=st.tuples(st.integers(8, 40), st.integers(8, 40)),
    flip=st.booleans(),
)
def test_a_resize_of_flow_scales_it_as_it_does_the_picture(
    motion: tuple[int, int], window: tuple[int, int], size: tuple[int, int], flip: bool
) -> None:
    clip = Clip(modality="flow", frames=1, size=size, std=(1.0, 1.0))
    u, v = (steps * STEP_PX for steps in motion)
    field = (
        (torch.tensor(motion) + STILL).to(torch.uint8).expand(window[0] + 2, window[1] + 3, 2).contiguous()
    )
    expected = torch.tensor([(-u if flip else u) * size[1] / window[1], v * size[0] / window[0]])
    for way in (on_the_host, on_the_device):
        made = way([[field]], [seen(1, 2, *window, flip=flip)], clip)
        torch.testing.assert_close(made, expected.view(1, 2, 1, 1, 1).expand_as(made), rtol=1e-4, atol=1e-4)


@given(
    modality=st.sampled_from(["flow", "difference"]),
    window=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    size=st.tuples(st.integers(8, 30), st.integers(8, 30)),
    flip=st.booleans(),
)
def test_host_and_device_agree_to_a_step(
    modality: Modality, window: tuple[int, int], size: tuple[int, int], flip: bool
) -> None:
    clip = Clip(modality=modality, frames=2, size=size)
    num = 4 if modality == "difference" else 2
    clips = [random_bytes(num, window[0] + 1, window[1] + 2, clip.num_channels, seed=i) for i in range(2)]
    views = [seen(1, 2, *window, flip=flip), seen(0, 0, *window)]
    ours, theirs = on_the_host(clips, views, clip), on_the_device(clips, views, clip)
    assert ours.shape == theirs.shape == (2, clip.num_channels, 2, *size)
    assert ours.stride() == theirs.stride()
    if modality == "flow":
        step = STEP_PX * torch.tensor([size[1] / window[1], size[0] / window[0]])
    else:
        step = torch.full((3,), 2 / 255)  # each of two frames is rounded
    step = 1.01 * step / torch.tensor(clip.normalisation[1])
    assert ((ours - theirs).abs() <= step.view(-1, 1, 1, 1)).all()
    if window == size:
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_a_difference_is_the_next_frame_less_the_sampled_one(batch: Way) -> None:
    clip = Clip(modality="difference", frames=2, size=(20, 24), mean=(0, 0.1, 0), std=(0.5, 1, 2))
    frames = random_bytes(4, 20, 24, 3)
    made = batch([frames], [seen(0, 0, 20, 24, flip=True)], clip)[0]
    stack = torch.stack(frames).permute(3, 0, 1, 2).flip(3).double() / 255
    mean, std = (torch.tensor(values).view(3, 1, 1, 1) for values in (clip.mean, clip.std))
    expected = (stack[:, 1::2] - stack[:, ::2] - mean) / std
    torch.testing.assert_close(made.double(), expected, rtol=0, atol=1e-5)


@given(st.integers(1, 60), st.integers(1, 20), st.sampled_from(["uniform", "segment"]), st.integers(0, 9))
def test_moments_stay_within_the_video(num_frames: int, frames: int, sampling: Any, seed: int) -> None:
    for modality in ("flow", "difference"):
        clip = Clip(modality=modality, frames=frames, sampling=sampling)
        num = num_moments(Probe(num_frames + 1, 8, 8, None, "pyav"), clip)
        assert num == num_frames
        moments = frame_indices(num, clip, rng=generator(seed))
        needed = needed_frames(moments, clip)
        assert needed.max() <= (num_frames if modality == "difference" else num_frames - 1)
        assert np.isin(needed, reachable_frames(num, clip)).all()
    assert num_moments(Probe(9, 8, 8, None, "fields"), Clip(modality="flow")) == 9


def test_a_clip_holds_the_moments_of_the_truth(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", moving_square(9, 32, 40))
    one = video(path)
    moments = [0, 2, 4, 7]  # four of the eight steps between nine frames
    frames = decode(path, None, size=(32, 40), decoder="pyav").astype(np.float64) / 255
    with open_cpu([one], tmp_path / "s", clip={"modality": "difference", "size": (32, 40)}) as clips:
        (made,) = clips.eval_batches([one], batch_size=1)
    expected = np.stack([frames[k + 1] - frames[k] for k in moments]).transpose(3, 0, 1, 2) / 0.05
    assert np.allclose(
        made.clip[0].numpy(), expected, atol=3 * 2 / 255 / 0.05
    )  # decord and PyAV differ by two
    with open_cpu(
        [one], tmp_path / "s", clip={"modality": "flow", "size": (32, 40)}, data={"decoder": "pyav"}
    ) as clips:
        (made,) = clips.eval_batches([one], batch_size=1)
    fields = compute_fields(path, moments, size=(32, 40), probe=Probe(9, 32, 40, 25.0, "pyav"), method="dis")
    assert np.allclose(made.clip[0].numpy(), in_pixels(list(torch.from_numpy(fields))) / 0.5, atol=1e-5)
    assert made.clip.abs().max() > 1


@pytest.mark.parametrize("modality", ["flow", "difference"])
def test_a_single_frame_has_no_motion(tmp_path: Path, modality: str) -> None:
    videos = [video(write_frames(tmp_path / f"v{n}", moving_square(n, 20, 24))) for n in (1, 2)]
    clip = {"modality": modality}
    with pytest.raises(
        VidclsError, match=rf"v1: has only one frame, but clip.modality: {modality} needs two"
    ):
        open_cpu(videos, tmp_path / "s", clip=clip)
    for residency in ("mapped", "streamed"):
        data = {"bad_videos": "skip", "residency": residency}
        with open_cpu(videos, tmp_path / "s", clip=clip, data=data) as clips:
            assert set(clips.bad) == {"v1"}
            (made,) = clips.train_batches(videos, augment=AugmentSection(), seed=0, batch_size=2, epoch=0)
            assert made.ids == ("v2",)
            assert torch.equal(made.clip[:, :, 0], made.clip[:, :, 3])


def test_early_fusion_stacks_u1_v1_u2_v2() -> None:
    clip = Clip(modality="flow", frames=3, size=(8, 8))
    model = build(EarlyFusionSection(kind="early_fusion"), num_classes=2, clip=clip)
    seen: list[torch.Tensor] = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))  # type: ignore[operator,union-attr]
    fields = torch.arange(6.0).view(3, 2).T.view(1, 2, 3, 1, 1).expand(1, 2, 3, 8, 8)  # u1 v1 u2 v2 u3 v3
    model.eval()(fields)
    assert seen[0][0, :, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
