from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.support.views import seen
from vidcls.choices import Modality
from vidcls.data.batches.augment import eval_view, train_view
from vidcls.data.batches.augment.flip import flip_map
from vidcls.data.batches.augment.view import View
from vidcls.data.batches.buffers import Buffers
from vidcls.data.batches.transforms import cut, device_levels, finish, host_batch, pack
from vidcls.data.sampling import generator
from vidcls.errors import UserError
from vidcls.spec.sections import AugmentSection, Clip

CPU, META = torch.device("cpu"), torch.device("meta")


def frames(seed: int, num_frames: int = 3, height: int = 20, width: int = 24) -> list[torch.Tensor]:
    rng = np.random.default_rng(seed)
    return [
        torch.from_numpy(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)) for _ in range(num_frames)
    ]


def on_the_host(clips: list[list[torch.Tensor]], views: list[View], clip: Clip) -> torch.Tensor:
    windows = [cut(f, v) for f, v in zip(clips, views, strict=True)]
    return host_batch(windows, views, clip=clip, buffers=Buffers(1))


def on_the_device(clips: list[list[torch.Tensor]], views: list[View], clip: Clip) -> torch.Tensor:
    """What CUDA does, on the CPU."""
    packed = pack([cut(f, v) for f, v in zip(clips, views, strict=True)], pin=False)
    return finish(packed, views, clip=clip, levels=device_levels(clip, CPU))


Way = Callable[[list[list[torch.Tensor]], list[View], Clip], torch.Tensor]


@pytest.fixture(params=[on_the_host, on_the_device])
def batch(request: pytest.FixtureRequest) -> Way:
    way: Way = request.param
    return way


def test_evaluation_normalises_the_centre(batch: Way) -> None:
    clip = Clip(frames=3, size=(16, 18), fit="crop", mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    given_frames = frames(0)
    made = batch([given_frames], [eval_view((20, 24), clip)], clip)
    pixels = np.stack([f.numpy() for f in given_frames])[:, 2:18, 3:21].astype(np.float64)
    mean, std = clip.normalisation
    expected = (pixels / 255 - np.array(mean)) / np.array(std)
    assert made.shape == (1, 3, 3, 16, 18)
    assert made.dtype == torch.float32
    assert made.permute(0, 2, 3, 4, 1).is_contiguous()
    assert np.allclose(made[0].numpy(), expected.transpose(3, 0, 1, 2), atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"crop": "none"},
        {"crop": "random"},
        {"crop": "random_resized"},
        {"crop": "random_resized", "scale": (0.5, 0.5), "ratio": (1.0, 1.0)},
    ],
)
@pytest.mark.parametrize("widths", [(20,), (20, 23, 26)])
def test_a_clip_does_not_depend_on_its_batch(
    batch: Way, options: dict[str, Any], widths: tuple[int, ...]
) -> None:
    clip = Clip(frames=3, size=(16, 16), fit="crop")
    augment = AugmentSection(flip=0.5, **options)
    # Sizes may differ between videos under fit: crop.
    clips = [frames(seed, width=widths[seed % len(widths)]) for seed in range(7)]
    views = [
        train_view((20, c[0].shape[1]), clip, augment=augment, rng=generator("clip", 0, 0, str(i), 0))
        for i, c in enumerate(clips)
    ]
    assert {view.is_mirrored for view in views} == {True, False}
    together = batch(clips, views, clip)
    for i in range(len(clips)):
        assert torch.equal(batch([clips[i]], [views[i]], clip)[0], together[i])


def test_one_draw_serves_all_frames_of_a_clip(batch: Way) -> None:
    clip = Clip(frames=3, size=(16, 16), fit="crop")
    augment = AugmentSection(flip=0.5, crop="random_resized")
    still = frames(0, num_frames=1) * 3
    for i in range(8):
        view = train_view((20, 24), clip, augment=augment, rng=generator(i))
        made = batch([still], [view], clip)[0]
        assert torch.equal(made[:, 0], made[:, 1])
        assert torch.equal(made[:, 0], made[:, 2])


def test_a_mirror_reverses_columns_only(batch: Way) -> None:
    clip = Clip(frames=3, size=(20, 24))
    plain = batch([frames(0)], [seen(0, 0, 20, 24)], clip)
    assert torch.equal(batch([frames(0)], [seen(0, 0, 20, 24, flip=True)], clip), plain.flip(4))


def test_what_was_given_is_not_changed(batch: Way) -> None:
    clip = Clip(frames=3, size=(20, 24))
    given_frames = frames(0)
    batch([given_frames], [seen(0, 0, 20, 24, flip=True)], clip)
    assert all(torch.equal(a, b) for a, b in zip(given_frames, frames(0), strict=True))


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    size=st.tuples(st.integers(8, 40), st.integers(8, 40)),
    num_frames=st.integers(1, 3),
    flip=st.booleans(),
)
def test_host_and_device_agree_to_a_grey_level(
    height: int, width: int, size: tuple[int, int], num_frames: int, flip: bool
) -> None:
    clip = Clip.model_construct(size=size, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    clips = [frames(seed, num_frames=num_frames, height=height + 3, width=width + 5) for seed in range(2)]
    views = [seen(1, 2, height, width, flip=flip), seen(0, 0, height, width)]
    ours, theirs = on_the_host(clips, views, clip), on_the_device(clips, views, clip)
    assert ours.shape == theirs.shape == (2, 3, num_frames, *size)
    assert ours.stride() == theirs.stride()
    level = 1 / (255 * torch.tensor(clip.std).view(3, 1, 1, 1))
    assert ((ours - theirs).abs() <= 1.01 * level).all()
    if size == (height, width):
        assert torch.equal(ours, theirs)


def test_a_byte_is_normalised_by_one_product_and_one_sum_in_single_precision(batch: Way) -> None:
    """To the last bit, so that a run on the host is the run on a device."""
    clip = Clip(frames=3, size=(20, 24), mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    given_frames = frames(0)
    made = batch([given_frames], [seen(0, 0, 20, 24)], clip)[0].permute(1, 2, 3, 0)
    mean, std = np.array((0.1, 0.2, 0.3)), np.array((0.5, 0.6, 0.7))
    scale, shift = (1 / 255 / std).astype(np.float32), (-mean / std).astype(np.float32)
    pixels = torch.stack(given_frames).numpy().astype(np.float32)
    assert np.array_equal(made.numpy(), pixels * scale + shift)


@pytest.mark.parametrize("size", [(9, 11), (31, 40), (20, 11)])
def test_a_resize_is_that_of_pillow_to_a_grey_level(batch: Way, size: tuple[int, int]) -> None:
    clip = Clip(frames=2, size=size, mean=(0, 0, 0), std=(1, 1, 1))
    given_frames = frames(0, num_frames=2)
    made = batch([given_frames], [seen(2, 1, 16, 20)], clip)[0].permute(1, 2, 3, 0) * 255
    for frame, ours in zip(given_frames, made, strict=True):
        window = Image.fromarray(frame.numpy()[2:18, 1:21])
        theirs = np.asarray(window.resize(size[::-1], Image.Resampling.BILINEAR), np.float64)
        assert np.abs(ours.numpy() - theirs).max() <= 1.01


def test_clips_are_packed_together_if_their_windows_are_of_one_size() -> None:
    narrow, other, wide = frames(0), frames(1), frames(2, width=26)
    (together,) = pack([narrow, other], pin=False)
    assert torch.equal(together, torch.stack([torch.stack(narrow), torch.stack(other)]))
    apart = pack([narrow, wide], pin=False)
    assert torch.equal(apart[0], torch.stack(narrow)[None])
    assert torch.equal(apart[1], torch.stack(wide)[None])
    assert {packed.dtype for packed in (together, *apart)} == {torch.uint8}


def test_windows_on_a_device_are_packed_there() -> None:
    (packed,) = pack([[frame.to(META) for frame in frames(seed)] for seed in range(2)], pin=False)
    assert packed.device.type == "meta"
    assert packed.shape == (2, 3, 20, 24, 3)


@pytest.mark.parametrize("widths", [(24, 24), (24, 26)])
def test_packed_windows_are_pinned_if_asked(widths: tuple[int, int]) -> None:
    windows = [frames(0, width=width) for width in widths]
    if torch.cuda.is_available():
        assert all(packed.is_pinned() for packed in pack(windows, pin=True))
    else:  # torch cannot, and says so
        with pytest.raises(RuntimeError):
            pack(windows, pin=True)
    assert not any(packed.is_pinned() for packed in pack(windows, pin=False))


@pytest.mark.parametrize("modality", ["rgb", "difference"])
@pytest.mark.parametrize("size", [(20, 24), (16, 18)])
def test_a_batch_is_made_on_the_device_that_is_asked_for(size: tuple[int, int], modality: Modality) -> None:
    clip = Clip(frames=2, size=size, modality=modality)
    given_frames = frames(0, num_frames=4 if modality == "difference" else 2)
    packed = [windows.to(META) for windows in pack([given_frames], pin=False)]
    made = finish(packed, [seen(0, 0, 20, 24, flip=True)], clip=clip, levels=device_levels(clip, META))
    assert made.device.type == "meta"
    assert made.dtype == torch.float32
    assert made.shape == (1, 3, 2, *size)


def test_a_clip_without_a_view_is_refused() -> None:
    clip, views = Clip(frames=3, size=(20, 24)), [seen(0, 0, 20, 24)]
    windows = [frames(0), frames(1)]
    with pytest.raises(ValueError, match="zip"):
        host_batch(windows, views, clip=clip, buffers=Buffers(1))
    with pytest.raises(ValueError, match="zip"):
        finish(pack(windows, pin=False), views, clip=clip, levels=device_levels(clip, CPU))


@given(st.integers(16, 60), st.integers(16, 60), st.integers(0, 1000))
def test_windows_lie_within_the_frame(height: int, width: int, key: int) -> None:
    clip = Clip(size=(16, 16), fit="crop")
    for crop in ("random", "random_resized"):
        view = train_view((height, width), clip, augment=AugmentSection(crop=crop), rng=generator(key))
        assert view.window.top >= 0
        assert view.window.left >= 0
        assert 0 < view.window.height <= height - view.window.top
        assert 0 < view.window.width <= width - view.window.left
        if crop == "random":
            assert (view.window.height, view.window.width) == clip.size


def test_random_resized_covers_the_asked_area_and_ratio() -> None:
    clip = Clip(size=(100, 100), fit="crop")
    augment = AugmentSection(crop="random_resized", scale=(0.2, 0.6), ratio=(0.5, 2.0))
    views = [train_view((200, 200), clip, augment=augment, rng=generator(i)) for i in range(500)]
    areas = np.array([v.window.height * v.window.width / 200**2 for v in views])
    ratios = np.array([v.window.width / v.window.height for v in views])
    assert 0.19 < areas.min() < 0.22
    assert 0.55 < areas.max() < 0.61
    assert 0.49 < ratios.min() < 0.55
    assert 1.85 < ratios.max() < 2.03
    assert abs(np.log(ratios).mean()) < 0.08  # log-uniform: as often wide as tall


CLASSES = ("wave", "TurnLeft", "TurnRight", "push_left", "push_right", "leftover", "Copyright")


def test_a_flip_of_sided_classes_is_refused_and_the_answer_given() -> None:
    with pytest.raises(UserError) as caught:
        flip_map(AugmentSection(flip=0.5), flip_labels=None, classes=CLASSES)
    text = str(caught.value)
    assert "TurnLeft: TurnRight" in text
    assert "push_right: push_left" in text
    assert "leftover" not in text
    assert "Copyright" not in text
    assert "augment.flip=0" in text


def test_flip_labels_map_both_ways_and_leave_the_rest() -> None:
    labels = {"TurnLeft": "TurnRight", "TurnRight": "TurnLeft", "push_left": "push_left"}
    made = flip_map(AugmentSection(flip=0.5), flip_labels=labels, classes=CLASSES)
    assert made == (0, 2, 1, 3, 4, 5, 6)
    assert flip_map(AugmentSection(flip=0.5), flip_labels=None, classes=("a", "b")) == (0, 1)
    assert flip_map(AugmentSection(), flip_labels=None, classes=CLASSES) == tuple(range(7))


@pytest.mark.parametrize(
    ("flip", "labels", "said"),
    [
        (0.0, {"TurnLeft": "TurnRight", "TurnRight": "TurnLeft"}, "has no effect with augment.flip: 0"),
        (0.5, {"TurnLeft": "TurnWrite", "TurnWrite": "TurnLeft"}, "no such class: TurnWrite"),
        (0.5, {"TurnLeft": "TurnRight"}, "in both directions"),
    ],
)
def test_flip_labels_that_cannot_be_meant(flip: float, labels: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        flip_map(AugmentSection(flip=flip), flip_labels=labels, classes=CLASSES)


@pytest.mark.parametrize(
    ("flip", "labels", "message", "hint"),
    [
        (
            0.0,
            {"TurnLeft": "TurnRight", "TurnRight": "TurnLeft"},
            "data.flip_labels: has no effect with augment.flip: 0",
            "set augment.flip=0.5, or leave data.flip_labels out",
        ),
        (
            0.5,
            {"TurnLeft": "TurnWrite", "TurnRite": "TurnRight"},
            "data.flip_labels: no such class: TurnRite, TurnWrite",
            "classes: wave, TurnLeft, TurnRight, push_left, push_right, leftover, Copyright",
        ),
        (
            1.0,
            {"push_left": "push_right", "wave": "wave", "TurnRight": "TurnLeft"},
            "data.flip_labels: each pair must be given in both directions, unlike push_left: push_right, "
            "TurnRight: TurnLeft",
            "write {left: right, right: left}",
        ),
        (
            1.0,
            None,
            "augment.flip: a left-right mirror would change the label of TurnLeft, TurnRight, push_left, "
            "push_right",
            "set augment.flip=0, or write which classes the mirror exchanges: data.flip_labels: "
            "{TurnLeft: TurnRight, TurnRight: TurnLeft, push_left: push_right, push_right: push_left}",
        ),
    ],
)
def test_a_flip_that_cannot_be_meant_is_explained(
    flip: float, labels: dict[str, str] | None, message: str, hint: str
) -> None:
    with pytest.raises(UserError) as caught:
        flip_map(AugmentSection(flip=flip), flip_labels=labels, classes=CLASSES)
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("classes", "pairs"),
    [
        (("TURN_LEFT", "TURN_RIGHT"), "TURN_LEFT: TURN_RIGHT, TURN_RIGHT: TURN_LEFT"),
        (("go-left", "go-right"), "go-left: go-right, go-right: go-left"),
        (("turnLeft", "turnRight"), "turnLeft: turnRight, turnRight: turnLeft"),
        (("HTTPLeft", "HTTPRight"), "HTTPLeft: HTTPRight, HTTPRight: HTTPLeft"),
        (("Left2", "Right2"), "Left2: Right2, Right2: Left2"),
        (("left_to_Right", "right_to_Left"), "left_to_Right: right_to_Left, right_to_Left: left_to_Right"),
        (("go_left", "go_on", "aleft", "Leftover"), "go_left: go_left"),
    ],
)
def test_sides_are_exchanged_as_the_name_is_written(classes: tuple[str, ...], pairs: str) -> None:
    """A class whose counterpart there is not keeps its label."""
    with pytest.raises(UserError) as caught:
        flip_map(AugmentSection(flip=0.5), flip_labels=None, classes=classes)
    assert str(caught.value).endswith(f" data.flip_labels: {{{pairs}}}")
