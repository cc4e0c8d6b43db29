"""The training loop: what it asks of the data and of the model, what it reports, and how it goes on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from torch import Tensor, nn

from tests.training.test_numerics import (
    ADAMW,
    BATCH,
    EPOCHS,
    NUM_CLASSES,
    NUM_TRAIN,
    NUM_VAL,
    STEPS,
    FixedClips,
    Losses,
    clip_of,
    model_of,
    rate_by_hand,
    spec_of,
    videos,
)
from vidcls.choices import Precision
from vidcls.data.batches.source import Batch
from vidcls.data.manifest import Video
from vidcls.data.sampling import generator
from vidcls.models.kinds.base import VideoModel
from vidcls.spec.experiment import Spec
from vidcls.spec.sections import AugmentSection
from vidcls.training.divergence import DivergedError
from vidcls.training.loop import LOG_EVERY_STEPS, Data, Loop, MetricValues, Speed

pytestmark = pytest.mark.usefixtures("one_thread")
TRAIN, VAL = videos(NUM_TRAIN), videos(NUM_VAL)
CPU = torch.device("cpu")


class Asked(FixedClips):
    """Remembers what it was asked for, and may take its time for it."""

    def __init__(self) -> None:
        super().__init__(clip_of("frame_average"), torch.float32)
        self.asked: list[dict[str, Any]] = []
        self.clock = Clock()
        self.wait_s = self.end_s = 0.0

    def num_train_steps(self, videos: Sequence[Video], *, batch_size: int) -> int:
        assert videos is TRAIN
        return super().num_train_steps(videos, batch_size=batch_size)

    def train_batches(self, videos: Sequence[Video], **chosen: Any) -> Iterator[Batch]:
        self.asked.append({"videos": videos, **chosen})
        for batch in super().train_batches(videos, **chosen):
            self.clock.now += self.wait_s
            yield batch
        self.clock.now += self.end_s

    def eval_batches(self, videos: Sequence[Video], *, batch_size: int) -> Iterator[Batch]:
        self.asked.append({"videos": videos, "batch_size": batch_size})
        return super().eval_batches(videos, batch_size=batch_size)


class Clock:
    """A clock that moves only where a test moves it."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Rows(Losses):
    """Also the rows of the steps, and where the loop stands after each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.step_rows: list[MetricValues] = []
        self.positions: list[tuple[int, int]] = []

    def after_step(self, loop: Loop) -> None:
        super().after_step(loop)
        self.step_rows += loop.take_rows()

    def after_epoch(self, loop: Loop, row: MetricValues) -> None:
        self.positions.append((loop.position.epoch, loop.position.step))
        super().after_epoch(loop, row)


class StopsAt(Exception):  # noqa: N818  (no error)
    """Raised by an observer."""


class Stops(Rows):
    """Ends a training after a step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self._step = step

    def after_step(self, loop: Loop) -> None:
        super().after_step(loop)
        if loop.global_step == self._step:
            raise StopsAt


class Epochs:
    """The row of every epoch; of a step it reads nothing."""

    def __init__(self) -> None:
        self.epochs: list[MetricValues] = []

    def after_step(self, loop: Loop) -> None:
        pass

    def after_epoch(self, loop: Loop, row: MetricValues) -> None:
        self.epochs.append(row)


class StopsSilently(Stops):
    """Reads nothing of the loop."""

    def after_step(self, loop: Loop) -> None:
        if loop.global_step == self._step:
            raise StopsAt


def spec_with(
    optim: dict[str, Any] = ADAMW, *, seed: int = 0, model: str = "frame_average", **train: Any
) -> Spec:
    spec = spec_of({"kind": model}, optim)
    return spec.model_copy(update={"train": spec.train.model_copy(update=train), "seed": seed})


def loop_of(
    spec: Spec, clips: FixedClips | None = None, *, precision: Precision = "fp32", device: torch.device = CPU
) -> Loop:
    return Loop(
        spec,
        model=model_of(spec),
        data=Data(clips or Asked(), TRAIN, VAL),
        precision=precision,
        device=device,
    )


def test_it_asks_for_the_batches_of_the_spec_from_the_step_on_where_it_stands() -> None:
    clips = Asked()
    spec = spec_with(seed=5).model_copy(update={"augment": AugmentSection(flip=0.25)})
    loop = loop_of(spec, clips)
    loop.one_step()
    loop.fit(Losses())
    train = {"videos": TRAIN, "augment": spec.augment, "seed": 5, "batch_size": BATCH}
    val = {"videos": VAL, "batch_size": BATCH}
    assert clips.asked == [
        {**train, "epoch": 0, "start_step": 0},
        {**train, "epoch": 0, "start_step": 1},
        val,
        {**train, "epoch": 1, "start_step": 0},
        val,
        {**train, "epoch": 2, "start_step": 0},
        val,
    ]


def test_every_tenth_step_has_a_row_about_itself() -> None:
    spec = spec_with(epochs=2 * LOG_EVERY_STEPS // STEPS + 1)
    seen = Rows()
    loop = loop_of(spec)
    loop.fit(seen)
    for row, step in zip(seen.step_rows, (10, 20), strict=True):
        angle = np.interp(step - 1, [STEPS, spec.train.epochs * STEPS], [0, np.pi])
        assert row == {
            "epoch": (step - 1) // STEPS + 1,
            "step": step,
            "train/step_loss": seen.steps[step - 1],
            "lr": pytest.approx(ADAMW["lr"] * np.cos(angle / 2) ** 2),
            "grad_norm": seen.norms[step - 1],
        }
    assert loop.global_step == len(seen.steps) == spec.train.epochs * STEPS
    assert seen.positions == [(epoch, 0) for epoch in range(1, spec.train.epochs + 1)]


def test_the_row_of_an_epoch_says_how_long_it_took_and_how_long_it_waited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a clock that each part moves: 1 s for a batch, 8 s for the end of the batches, 2 s for the model, 4 s for
    whoever observes a step."""
    clips = Asked()
    clips.wait_s, clips.end_s = 1.0, 8.0
    monkeypatch.setattr("time.perf_counter", clips.clock)

    class Slow(Losses):
        def after_step(self, loop: Loop) -> None:
            super().after_step(loop)
            clips.clock.now += 4.0

    def compute(*_: Any) -> None:
        clips.clock.now += 2.0

    seen = Slow()
    loop = loop_of(spec_with(), clips)
    assert loop.speed.clips_per_s == 0.0
    loop.model.register_forward_hook(compute)
    loop.fit(seen)
    for epoch, row in enumerate(seen.epochs, start=1):
        assert (row["epoch"], row["step"]) == (epoch, epoch * STEPS)
        assert row["clips_per_s"] == NUM_TRAIN / (STEPS * (1 + 2 + 4) + 8)
        assert row["waiting_s"] == STEPS * 1
    assert len(seen.epochs) == EPOCHS
    assert loop.speed == Speed()
    loop = loop_of(spec_with(), clips)
    for _ in range(2):
        loop.one_step()
    assert vars(loop.speed) == {"clips": 2 * BATCH, "total_s": 0.0, "waiting_s": 2.0}
    assert loop.speed.clips_per_s == 0.0


def test_rows_are_given_once_and_by_the_time_that_a_checkpoint_is_made() -> None:
    loop = loop_of(spec_with(epochs=2 * LOG_EVERY_STEPS // STEPS + 1))
    with pytest.raises(StopsAt):
        loop.fit(StopsSilently(LOG_EVERY_STEPS))
    assert loop.take_rows() == [], "the loss of the last step has not been read"
    loop.state_dict()
    (row,) = loop.take_rows()
    assert (row["step"], row["epoch"]) == (LOG_EVERY_STEPS, (LOG_EVERY_STEPS - 1) // STEPS + 1)
    loop.check_finite()
    assert loop.take_rows() == []


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_steps_that_overflow_are_counted_under_fp16_alone(precision: Precision) -> None:
    loop, seen = loop_of(spec_with(), precision=precision), Losses()
    state = loop.state_dict()
    state["scaler"] |= {"scale": 2.0**40} if precision == "fp16" else {}
    loop.load_state_dict(state)
    loop.fit(seen)
    counts = [row.get("overflow_steps") for row in seen.epochs]
    if precision == "fp32":
        assert counts == [None] * EPOCHS
        return
    factor, num = 2.0, sum(not np.isfinite(norm) for norm in seen.norms)
    assert sum(int(count or 0) for count in counts) == num > STEPS
    assert counts[0] == STEPS
    assert loop.state_dict()["scaler"]["scale"] == 2.0**40 / factor**num
    assert int(loop.state_dict()["sums"]["overflows"]) == 0, "of the epoch that comes next"


def test_a_model_is_compiled_as_the_spec_says_and_its_first_steps_are_no_part_of_the_speed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first step with each size of a batch takes long; by a clock that only the model moves."""
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr("vidcls.training.loop.compile_model", lambda *args: asked.append(args))
    clips = Asked()
    monkeypatch.setattr("time.perf_counter", clips.clock)
    plain = loop_of(spec_with(), Asked())
    assert asked == []
    loop, seen = loop_of(spec_with(compile=True), clips), Epochs()
    assert asked == [(loop.model, True, CPU)]
    sizes: set[int] = set()

    def compute(model: nn.Module, args: tuple[Tensor, ...]) -> None:
        size = len(args[0])
        if model.training:
            clips.clock.now += 2.0 if size in sizes else 1000.0
            sizes.add(size)

    loop.model.register_forward_pre_hook(compute)
    loop.fit(seen)
    assert len(sizes) == len({len(batch.ids) for batch in batches_of(clips)})
    first = {len(batch.ids): batch for batch in reversed(batches_of(clips)[:STEPS])}
    counted = NUM_TRAIN - sum(first)
    assert seen.epochs[0]["clips_per_s"] == counted / (2.0 * (STEPS - len(first)))
    assert seen.epochs[1]["clips_per_s"] == NUM_TRAIN / (2.0 * STEPS)
    assert plain.speed == Speed()


def test_one_step_is_the_next_step_of_a_fit() -> None:
    spec = spec_with()
    seen = Losses()
    loop_of(spec).fit(seen)
    loop = loop_of(spec)
    assert loop.recent_loss is None
    for k in range(STEPS):
        loop.model.eval()
        loop.one_step()
        assert loop.model.training
        assert loop.recent_loss == seen.steps[k]
        assert (loop.position.epoch, loop.position.step, loop.global_step) == (0, k + 1, k + 1)
    row = loop.close_epoch()
    times = {"clips_per_s", "waiting_s", "resident_mib"}
    assert {key: row[key] for key in row.keys() - times} == {
        key: value for key, value in seen.epochs[0].items() if key not in times
    }
    assert row["resident_mib"] == pytest.approx(psutil.Process().memory_info().rss / 2**20, rel=0.3)
    assert not loop.model.training, "validation"


def batches_of(clips: FixedClips, seed: int = 0) -> list[Batch]:
    return [
        batch
        for epoch in range(EPOCHS)
        for batch in clips.train_batches(
            [], augment=AugmentSection(), seed=seed, batch_size=BATCH, epoch=epoch
        )
    ]


@pytest.mark.parametrize("bad_step", [0, STEPS + 1, EPOCHS * STEPS - 1])
def test_a_loss_that_is_not_finite_names_its_own_step(bad_step: int) -> None:
    """It is read while the next step computes, whose place, rate and videos are other ones."""
    clips = FixedClips(clip_of("frame_average"), torch.float32)
    bad = batches_of(clips)[bad_step]

    class Spoilt(FixedClips):
        def train_batches(self, videos: Sequence[Video], **chosen: Any) -> Iterator[Batch]:
            for batch in super().train_batches(videos, **chosen):
                if batch.ids == bad.ids and chosen["epoch"] == bad_step // STEPS:
                    batch.clip.fill_(torch.nan)
                yield batch

    class Silent:
        def after_step(self, loop: Loop) -> None:
            pass

        def after_epoch(self, loop: Loop, row: MetricValues) -> None:
            pass

    loop = loop_of(spec_with(), Spoilt(clip_of("frame_average"), torch.float32))
    with pytest.raises(DivergedError) as caught:
        loop.fit(Silent())
    epoch, step = divmod(bad_step, STEPS)
    rate = f"{rate_by_hand(ADAMW, bad_step):.3g}"
    assert caught.value.message == (
        f"diverged with optim.lr=0.01 ({rate} at that step): the loss is nan in epoch {epoch + 1}, step {step + 1}"
    )
    assert caught.value.hint is not None
    assert caught.value.hint.endswith(f"\n  videos of this batch: {', '.join(bad.ids)}")


def test_outputs_that_are_not_finite_in_validation_stop_a_training_too() -> None:
    clips = FixedClips(clip_of("frame_average"), torch.float32)
    clips.clips[-1] = torch.inf
    optim = {**ADAMW, "layer_decay": 0.5, "schedule": "constant", "warmup_epochs": 0}
    with pytest.raises(DivergedError) as caught:
        loop_of(spec_with(optim), clips).fit(Losses())
    assert caught.value.message == (
        "diverged with optim.lr=0.01: the output of the model is not finite in validation after epoch 1"
    )
    assert caught.value.hint == (
        "try optim.lr=0.001, or train.precision=fp32; this makes another run, and the checkpoints of this run are"
        " kept"
    )


def test_a_loop_goes_on_from_the_state_of_another_one_as_if_it_had_been_its_own() -> None:
    """In the middle of an epoch, with sums and moments of the optimiser that are under way."""
    spec = spec_with()
    alone, stops, goes_on = Losses(), Stops(STEPS + 2), Losses()
    loop_of(spec).fit(alone)
    first, second = loop_of(spec), loop_of(spec)
    with pytest.raises(StopsAt):
        first.fit(stops)
    state = first.state_dict()
    assert state["position"] == {"epoch": 1, "step": 2}
    assert (state["sums"]["seen"], state["speed"]["clips"]) == (2 * BATCH, 2 * BATCH)
    with torch.no_grad():
        for param in second.model.parameters():
            param.fill_(0.5)
    second.load_state_dict(state)
    assert second.speed == first.speed
    torch.testing.assert_close(second.state_dict(), state, rtol=0, atol=0)
    second.fit(goes_on)
    assert state["position"] == {"epoch": 1, "step": 2}, "a state is of its own moment"
    assert stops.steps + goes_on.steps == alone.steps
    times = {"clips_per_s": 0.0, "waiting_s": 0.0, "resident_mib": 0.0}
    assert [row | times for row in goes_on.epochs] == [row | times for row in alone.epochs[1:]]


def test_the_scale_of_half_precision_goes_on_too() -> None:
    first, second = (loop_of(spec_with(), precision="fp16") for _ in range(2))
    state = first.state_dict()
    assert state["scaler"]["scale"] == 65536.0
    state["scaler"]["scale"] = 512.0
    second.load_state_dict(state)
    assert second.state_dict()["scaler"] == state["scaler"]
    second.one_step()
    assert second.state_dict()["scaler"]["scale"] == 512.0


def test_a_loop_keeps_all_of_its_numbers_on_its_device() -> None:
    """The device `meta` has shapes and no values, so what is on it was made for it."""
    meta = torch.device("meta")
    loop = loop_of(spec_with(), device=meta)
    sums = loop.state_dict()["sums"]
    assert [(sums[name].device, sums[name].dtype, sums[name].shape) for name in ("loss", "correct")] == [
        (meta, torch.float64, ()),
        (meta, torch.int64, ()),
    ]
    assert {param.device for param in loop.model.parameters()} == {meta}
    state = loop_of(spec_with()).state_dict() | {"model": loop.model.state_dict()}
    loop.load_state_dict(state)
    sums = loop.state_dict()["sums"]
    assert (sums["loss"].device, sums["correct"].device) == (meta, meta)


def test_a_fit_computes_on_its_device_wherever_new_tensors_are_made_by_default() -> None:
    """Plain gradient descent: torch's AdamW itself counts its steps on the default device."""
    optim = {"kind": "sgd", "momentum": 0.0, "nesterov": False}
    here, there = Losses(), Losses()
    loop_of(spec_with(optim)).fit(here)
    loop = loop_of(spec_with(optim))
    with torch.device("meta"):
        loop.fit(there)
    assert there.steps == here.steps
    assert [row["train/loss"] for row in there.epochs] == [row["train/loss"] for row in here.epochs]


@pytest.mark.parametrize("channels_last", [True, False])
def test_weights_and_clips_are_in_the_memory_format_of_the_spec(channels_last: bool) -> None:
    wide = torch.channels_last_3d
    loop = loop_of(
        spec_with(model="early_fusion", channels_last=channels_last),
        FixedClips(clip_of("early_fusion"), torch.float32),
    )
    seen: list[tuple[bool, bool]] = []
    loop.model.register_forward_pre_hook(
        lambda model, clips: seen.append((model.training, clips[0].is_contiguous(memory_format=wide)))
    )
    loop.one_step()
    loop.validate()
    assert seen == [(True, channels_last), (False, channels_last)]
    filters = [param for param in loop.model.parameters() if param.ndim == 4 and min(param.shape[:2]) > 1]
    assert filters
    assert all(param.is_contiguous(memory_format=torch.channels_last) == channels_last for param in filters)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16), ("fp32", None)]
)
def test_steps_and_validations_compute_in_the_precision(
    precision: Precision, dtype: torch.dtype | None
) -> None:
    loop = loop_of(spec_with(), precision=precision)
    seen: list[torch.dtype | None] = []

    def record(*_: Any) -> None:
        seen.append(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None)

    loop.model.register_forward_pre_hook(record)
    loop.one_step()
    loop.validate()
    assert seen == [dtype, dtype]
    assert loop.state_dict()["scaler"].get("scale") == (65536.0 if precision == "fp16" else None)


def test_each_step_mixes_by_a_share_of_its_own_and_counts_the_likelier_label() -> None:
    clips = FixedClips(clip_of("frame_average"), torch.float32)
    spec = spec_with(seed=4).model_copy(update={"augment": AugmentSection(mixup=0.4)})
    loop, seen = loop_of(spec, clips), Losses()
    inputs: list[Tensor] = []
    choices: list[Tensor] = []

    def record(model: nn.Module, args: tuple[Tensor, ...], logits: Tensor) -> None:
        if model.training:
            inputs.append(args[0].clone())
            choices.append(logits.argmax(1))

    loop.model.register_forward_hook(record)
    loop.fit(seen)
    hits, hits_of_own = [0] * EPOCHS, [0] * EPOCHS
    for k, batch in enumerate(batches_of(FixedClips(clip_of("frame_average"), torch.float32), seed=4)):
        share = generator("mix", 4, k // STEPS, k % STEPS).beta(0.4, 0.4)
        torch.testing.assert_close(inputs[k], share * batch.clip + (1 - share) * batch.clip.flip(0))
        likelier = batch.labels if share > 0.5 else batch.labels.flip(0)
        hits[k // STEPS] += int((choices[k] == likelier).sum())
        hits_of_own[k // STEPS] += int((choices[k] == batch.labels).sum())
    assert hits != hits_of_own, "there are steps in which the other clip is the likelier one"
    assert [row["train/top1"] for row in seen.epochs] == [num / NUM_TRAIN for num in hits]


def test_gradual_unfreezing_follows_the_epochs_of_a_fit() -> None:
    spec = spec_with(unfreeze_every=2)
    loop = loop_of(spec)
    trains: list[list[bool]] = []
    body = loop.model.leaves()[0].backbone.get_submodule("body")

    def record(model: VideoModel, _: Any) -> None:
        if model.training:
            trains.append([next(part.parameters()).requires_grad for part in list(body.children())[:3]])

    loop.model.register_forward_pre_hook(record)
    loop.fit(Losses())
    assert [key for key, _ in itertools.groupby(trains)] == [[False] * 3, [False, False, True]]
    assert trains.index([False, False, True]) == 2 * STEPS
    assert loop.unfreezing.never(EPOCHS) == ["body.1", "body.0"]
    assert loop_of(spec_with()).unfreezing.never(EPOCHS) == []
    assert loop.validate().logits.shape[1] == NUM_CLASSES
