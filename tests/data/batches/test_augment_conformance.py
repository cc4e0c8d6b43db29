"""What every operation of augmentation must do: a new one is added to `OPERATIONS`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from vidcls.choices import Modality
from vidcls.data.batches import augment
from vidcls.data.batches.augment.flip import Flip
from vidcls.data.batches.augment.mixup import Mixup
from vidcls.data.batches.augment.view import BatchOperation, Operation
from vidcls.data.sampling import generator
from vidcls.spec.sections import AugmentSection, Clip

OPERATIONS: tuple[Operation, ...] = (Flip(),)
MIXES: tuple[BatchOperation, ...] = (Mixup(0.3), Mixup(0.8))
MODALITIES: tuple[Modality, ...] = ("rgb", "flow", "difference", "rgb+flow")

each = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: type(operation).__name__)
each_mix = pytest.mark.parametrize("mix", MIXES, ids=repr)
each_modality = pytest.mark.parametrize("modality", MODALITIES)


def pixels(modality: Modality, shape: Sequence[int] = (4, 18, 22)) -> np.ndarray:
    channels = {"rgb": 3, "difference": 3, "flow": 2, "rgb+flow": 5}[modality]
    return np.random.default_rng(0).integers(0, 256, (*shape, channels), dtype=np.uint8)


@each
@each_modality
def test_host_and_device_give_the_same_bytes(operation: Operation, modality: Modality) -> None:
    clip, host = Clip(modality=modality), pixels(modality)
    device = torch.from_numpy(host.copy())
    operation.on_host(host, clip)
    operation.on_device(device, clip)
    assert np.array_equal(host, device.numpy())
    assert not np.array_equal(host, pixels(modality)), "it does something"


@each
@each_modality
def test_all_frames_of_a_clip_are_changed_alike(operation: Operation, modality: Modality) -> None:
    frames = np.repeat(pixels(modality)[:1], 4, axis=0)
    operation.on_host(frames, Clip(modality=modality))
    assert all(np.array_equal(frame, frames[0]) for frame in frames)


@each
def test_a_part_of_a_larger_array_is_changed_alone(operation: Operation) -> None:
    """A device keeps the clips of a batch in one tensor."""
    batch = torch.from_numpy(np.stack([pixels("rgb")] * 3))
    operation.on_device(batch[1], Clip())
    assert torch.equal(batch[0], batch[2])
    assert not torch.equal(batch[0], batch[1])


@each
def test_whether_it_mirrors_is_declared(operation: Operation) -> None:
    frames = pixels("rgb")
    operation.on_host(frames, Clip())
    assert operation.mirrors == np.array_equal(frames, pixels("rgb")[:, :, ::-1])


@each_mix
def test_a_mix_of_clips_has_targets_of_the_same_shares(mix: BatchOperation) -> None:
    """A clip that is its own one-hot label is mixed to its target, whatever its place in the batch."""
    labels = torch.tensor([0, 2, 2, 1, 3])
    clip = torch.eye(5)[labels][:, :, None, None, None].expand(-1, -1, 2, 4, 4).contiguous()
    mix.on_clips(clip)
    targets = mix.targets(labels, 5)
    assert torch.allclose(clip.mean(dim=(2, 3, 4)), targets, atol=1e-6)
    assert torch.allclose(targets.sum(1), torch.ones(5), atol=1e-6)
    assert not torch.equal(targets, torch.eye(5)[labels]), "it does something"
    assert labels.tolist() == [0, 2, 2, 1, 3]


@each_mix
def test_a_mix_keeps_the_layout_in_memory(mix: BatchOperation) -> None:
    clip = torch.rand((4, 3, 2, 8, 8)).contiguous(memory_format=torch.channels_last_3d)
    plain = clip.clone(memory_format=torch.contiguous_format)
    mix.on_clips(clip)
    mix.on_clips(plain)
    assert clip.is_contiguous(memory_format=torch.channels_last_3d)
    assert torch.equal(clip, plain)


def test_what_is_switched_off_draws_no_random_numbers() -> None:
    """So an operation that is added changes no clip of a run that does not ask for it; the flip always drew one."""
    rng, other = generator("a"), generator("a")
    assert augment.draw_mix(AugmentSection(), step=(0, 0, 0)) is None
    view = augment.train_view((20, 24), Clip(size=(20, 24)), augment=AugmentSection(), rng=rng)
    assert view.operations == ()
    other.random()
    assert rng.random() == other.random()


class _Least(np.random.Generator):
    """Draws the least number that there is."""

    def random(self, *_: object, **__: object) -> float:  # type: ignore[override]
        return 0.0


def test_a_clip_is_mirrored_with_the_probability_that_is_asked_for() -> None:
    for flip in (0.0, 0.3, 1.0):
        for i in range(20):
            view = augment.train_view(
                (20, 24), Clip(size=(20, 24)), augment=AugmentSection(flip=flip), rng=generator(i)
            )
            assert view.operations == ((Flip(),) if generator(i).random() < flip else ())
    least = _Least(np.random.Philox())
    assert not augment.train_view((8, 8), Clip(size=(8, 8)), augment=AugmentSection(), rng=least).operations


def test_mixup_draws_the_share_of_a_clip_from_a_beta_distribution() -> None:
    for i, mixup in enumerate((0.2, 0.8, 3.0)):
        mix = augment.draw_mix(AugmentSection(mixup=mixup), step=(0, 1, i))
        assert mix == Mixup(generator("mix", 0, 1, i).beta(mixup, mixup))


def test_mixup_blends_a_clip_with_the_one_at_the_same_place_from_the_end() -> None:
    clip = torch.tensor([1.0, 10.0, 100.0]).view(3, 1, 1, 1, 1).expand(3, 3, 2, 4, 4).contiguous()
    Mixup(0.75).on_clips(clip)
    assert clip[:, 0, 0, 0, 0].tolist() == [25.75, 10.0, 75.25]
    targets = Mixup(0.75).targets(torch.tensor([0, 1, 1]), 3)
    assert targets.tolist() == [[0.75, 0.25, 0.0], [0.0, 1.0, 0.0], [0.25, 0.75, 0.0]]
    assert targets.dtype == torch.float32


def test_targets_of_a_mix_are_made_on_the_device_of_the_labels() -> None:
    for mix in MIXES:
        assert mix.targets(torch.zeros(4, dtype=torch.int64, device="meta"), 5).device.type == "meta"
