"""The numbers of a training: each against a formula that is written down here, or against PyTorch's own.

`VIDCLS_RECORD_GOLDEN=1 pytest tests/training/test_numerics.py` records the golden losses anew: for who changes what
is computed on purpose, and says so.
"""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from vidcls.data.batches.source import Batch
from vidcls.data.manifest import Video
from vidcls.data.sampling import generator
from vidcls.models.build import build
from vidcls.models.kinds.base import VideoModel
from vidcls.spec.experiment import Spec
from vidcls.spec.model import SHIPPED_KINDS
from vidcls.spec.sections import AugmentSection, Clip, OptimSection, TrainSection
from vidcls.training.loop import Data, Loop, MetricValues
from vidcls.training.optim import build_optimizer, learning_rate
from vidcls.training.precision import Amp, resolve_precision

pytestmark = pytest.mark.usefixtures("one_thread")
GOLDEN = Path(__file__).with_name("golden_losses.json")
NUM_CLASSES, NUM_TRAIN, NUM_VAL, BATCH, EPOCHS = 3, 10, 4, 4, 3
STEPS = math.ceil(NUM_TRAIN / BATCH)
SMOOTHING = 0.1
ADAMW = {"kind": "adamw", "lr": 0.01, "weight_decay": 0.1, "betas": [0.8, 0.95], "clip_norm": 0.5}
SGD = {"kind": "sgd", "lr": 0.05, "weight_decay": 0.02, "momentum": 0.7, "clip_norm": 0.5}
OPTIMS: dict[str, dict[str, Any]] = {
    "adamw": ADAMW,
    "adamw-constant-unclipped": {**ADAMW, "schedule": "constant", "clip_norm": None, "warmup_epochs": 0},
    "sgd-nesterov": SGD,
    "sgd-momentum": {**SGD, "nesterov": False, "warmup_epochs": 1.5},
    "sgd-plain": {**SGD, "nesterov": False, "momentum": 0.0},
}
GENTLE = {"adamw": {**ADAMW, "lr": 1e-3}, "sgd": {**SGD, "lr": 0.01}}
MODELS: dict[str, dict[str, Any]] = {
    **{kind: {"kind": kind} for kind in ("cnn3d", "frame_average", "frame_statistics", "early_fusion")},
    "late_fusion": {"kind": "late_fusion", "join": "gru", "hidden": 16},
    "two_stream": {"kind": "two_stream", "rgb": {"kind": "early_fusion"}, "motion": {"kind": "cnn3d"}},
    "ensemble": {"kind": "ensemble", "members": [{"kind": "cnn3d"}, {"kind": "frame_average"}]},
}


def clip_of(kind: str) -> Clip:
    return Clip(frames=4, size=(16, 16), modality="rgb+difference" if kind == "two_stream" else "rgb")


class FixedClips:
    """Batches of random clips in an order that depends on the epoch: nothing is decoded."""

    residency = "memory"
    bad: Mapping[str, str] = {}
    decoders: Mapping[str, str] = {}

    def __init__(self, clip: Clip, dtype: torch.dtype) -> None:
        draw = torch.Generator().manual_seed(7)
        num = NUM_TRAIN + NUM_VAL
        self.clips = torch.randn((num, clip.num_channels, clip.frames, *clip.size), generator=draw).to(dtype)
        self.labels = torch.arange(num) % NUM_CLASSES

    def num_train_steps(self, videos: Sequence[Video], *, batch_size: int) -> int:
        return math.ceil(len(videos) / batch_size)

    def train_batches(
        self, videos: Sequence[Video], *, augment: AugmentSection, seed: int, batch_size: int, epoch: int,
        start_step: int = 0,
    ) -> Iterator[Batch]:  # fmt: skip
        order = np.random.default_rng([seed, epoch]).permutation(NUM_TRAIN)
        for start in range(start_step * batch_size, NUM_TRAIN, batch_size):
            yield self._batch(order[start : start + batch_size])

    def eval_batches(self, videos: Sequence[Video], *, batch_size: int) -> Iterator[Batch]:
        yield self._batch(np.arange(NUM_TRAIN, NUM_TRAIN + NUM_VAL))

    def _batch(self, rows: np.ndarray) -> Batch:
        ids = tuple(str(row) for row in rows)
        labels = self.labels[rows]
        return Batch(self.clips[rows], labels, tuple(labels.tolist()), ids, (False,) * len(rows))


class Losses:
    """Observes the loss of every step and the row of every epoch."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.norms: list[float] = []
        self.epochs: list[MetricValues] = []

    def after_step(self, loop: Loop) -> None:
        assert loop._pending is not None
        self.norms.append(loop._pending.loss_and_norm.read()[1])
        loop.check_finite()
        assert loop.recent_loss is not None
        self.steps.append(loop.recent_loss)

    def after_epoch(self, loop: Loop, row: MetricValues) -> None:
        self.epochs.append(row)


def spec_of(model: dict[str, Any], optim: dict[str, Any]) -> Spec:
    kind = str(model["kind"])
    content = {
        "name": "numbers",
        "clip": {"frames": 4, "size": [16, 16], "modality": clip_of(kind).modality},
        "model": model,
        "optim": optim,
        "train": {
            "epochs": EPOCHS,
            "batch_size": BATCH,
            "label_smoothing": SMOOTHING,
            "channels_last": False,
        },
    }
    return Spec.model_validate_json(json.dumps(content))


def model_of(spec: Spec) -> VideoModel:
    torch.manual_seed(0)
    return build(spec.model, num_classes=NUM_CLASSES, clip=clip_of(spec.model.kind))


def videos(num: int) -> list[Video]:
    return [Video(str(i), Path(str(i)), i % NUM_CLASSES, "train", None, str(i)) for i in range(num)]


def trained(spec: Spec, dtype: torch.dtype = torch.float32) -> tuple[VideoModel, Losses, FixedClips]:
    model, losses = model_of(spec).to(dtype), Losses()
    clips = FixedClips(clip_of(spec.model.kind), dtype)
    data = Data(clips, videos(NUM_TRAIN), videos(NUM_VAL))
    Loop(spec, model=model, data=data, precision="fp32", device=torch.device("cpu")).fit(losses)
    return model, losses, clips


def smoothed(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy against 1 - e for the label plus e / K for every class (Szegedy et al. 2016)."""
    shares = torch.full_like(logits, SMOOTHING / NUM_CLASSES)
    shares[torch.arange(len(labels)), labels] += 1 - SMOOTHING
    return -(shares * (logits - logits.exp().sum(1, keepdim=True).log())).sum(1).mean()


class ByHand:
    """AdamW (arXiv:1711.05101, algorithm 2) and SGD with momentum, as the papers write them."""

    def __init__(self, optim: dict[str, Any], params: Sequence[nn.Parameter]) -> None:
        self.optim, self.params, self.num = optim, params, 0
        self.first = [torch.zeros_like(param) for param in params]
        self.second = [torch.zeros_like(param) for param in params]

    @torch.no_grad()
    def step(self, lr: float) -> float:
        norm = math.sqrt(sum(float(param.grad.double().square().sum()) for param in self.params))  # type: ignore[union-attr]
        most = self.optim["clip_norm"]
        scale = 1.0 if most is None or norm <= most else most / norm
        self.num += 1
        for param, first, second in zip(self.params, self.first, self.second, strict=True):
            assert param.grad is not None
            gradient = param.grad * scale
            decay = self.optim["weight_decay"] if param.ndim > 1 else 0.0
            if self.optim["kind"] == "adamw":
                b1, b2 = self.optim["betas"]
                param *= 1 - lr * decay
                first.mul_(b1).add_((1 - b1) * gradient)
                second.mul_(b2).add_((1 - b2) * gradient**2)
                mean, square = first / (1 - b1**self.num), second / (1 - b2**self.num)
                param -= lr * mean / (square.sqrt() + 1e-8)
                continue
            gradient = gradient + decay * param
            if momentum := self.optim["momentum"]:
                first.copy_(gradient if self.num == 1 else momentum * first + gradient)
                gradient = gradient + momentum * first if self.optim.get("nesterov", True) else first
            param -= lr * gradient
        return norm


def rate_by_hand(optim: dict[str, Any], step: int) -> float:
    """Straight up to the peak, which the first step after the warm-up has; then half a cosine to zero."""
    lr, warmup = optim["lr"], optim.get("warmup_epochs", 1.0) * STEPS
    if step < warmup:
        return float(np.interp(step + 1, [0, warmup + 1], [0, lr]))
    if optim.get("schedule") == "constant":
        return float(lr)
    angle = np.interp(step, [warmup, EPOCHS * STEPS], [0, math.pi])
    return float(lr * math.cos(angle / 2) ** 2)


@pytest.mark.parametrize("name", OPTIMS)
@pytest.mark.parametrize("kind", ["frame_average", "early_fusion"])
def test_a_training_is_what_the_formulas_give(kind: str, name: str) -> None:
    """Warm-up, schedule, smoothing, clipping, decay, momentum: a step that has one of them wrong ends elsewhere.

    In float64, in which two ways to write the same formula stay together for all steps.
    """
    optim = OPTIMS[name]
    spec = spec_of({"kind": kind}, optim)
    model, seen, clips = trained(spec, torch.float64)

    other = model_of(spec).double().train()
    hand = ByHand(optim, list(other.parameters()))
    losses, norms, rows = [], [], []
    for epoch in range(EPOCHS):
        total, hits = 0.0, 0
        for batch in clips.train_batches(
            [], augment=spec.augment, seed=spec.seed, batch_size=BATCH, epoch=epoch
        ):
            logits = other(batch.clip)
            loss = smoothed(logits, batch.labels)
            other.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            norms.append(hand.step(rate_by_hand(optim, len(losses))))
            losses.append(loss.item())
            total += loss.item() * len(batch.labels)
            hits += int((logits.argmax(1) == batch.labels).sum())
        rows.append((total / NUM_TRAIN, hits / NUM_TRAIN))
    assert len(losses) == EPOCHS * STEPS
    assert seen.steps == pytest.approx(losses, rel=1e-6)
    assert seen.norms == pytest.approx(norms, rel=1e-6)
    assert [row["train/loss"] for row in seen.epochs] == pytest.approx([loss for loss, _ in rows], rel=1e-6)
    assert [row["train/top1"] for row in seen.epochs] == [hits for _, hits in rows]
    for (key, mine), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6, msg=key)
    other.eval()
    (held_out,) = clips.eval_batches([], batch_size=BATCH)
    with torch.no_grad():
        plain = float(nn.functional.cross_entropy(other(held_out.clip), held_out.labels))
    assert seen.epochs[-1]["val/loss"] == pytest.approx(plain, rel=1e-5), "validation smooths no labels"


@pytest.mark.parametrize("warmup", [1, 2, 5])
def test_the_learning_rate_is_that_of_torchs_schedulers(warmup: int) -> None:
    section = TypeAdapter(OptimSection).validate_python({"kind": "sgd", "lr": 0.3, "warmup_epochs": warmup})
    steps, epochs = 4, 9
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    up = torch.optim.lr_scheduler.LinearLR(
        optimizer, 1 / (warmup * steps + 1), 1.0, total_iters=warmup * steps
    )
    down = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=(epochs - warmup) * steps)
    both = torch.optim.lr_scheduler.SequentialLR(optimizer, [up, down], milestones=[warmup * steps])
    for step in range(epochs * steps):
        mine = learning_rate(section, step, steps_per_epoch=steps, num_epochs=epochs)
        assert mine == pytest.approx(both.get_last_lr()[0], rel=1e-9), step
        optimizer.step()
        both.step()


def test_a_schedule_without_warm_up_begins_at_the_peak_and_never_rises() -> None:
    section = TypeAdapter(OptimSection).validate_python({"lr": 0.1, "warmup_epochs": 0})
    rates = [learning_rate(section, step, steps_per_epoch=5, num_epochs=4) for step in range(25)]
    assert rates[0] == 0.1
    assert all(a > b for a, b in itertools.pairwise(rates[:21]))
    assert rates[10] == pytest.approx(0.05)
    assert rates[20:] == [0.0] * 5, "whoever trains on beyond the end does not climb the cosine again"


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_the_first_step_after_the_warm_up_has_the_peak_to_the_bit(schedule: str) -> None:
    chosen = {"lr": 0.1, "warmup_epochs": 1, "schedule": schedule}
    section = TypeAdapter(OptimSection).validate_python(chosen)
    assert learning_rate(section, 2, steps_per_epoch=2, num_epochs=3) == 0.1 != 0.1 * 3 / 3


def test_beyond_a_training_that_is_all_warm_up_the_rate_is_zero() -> None:
    section = TypeAdapter(OptimSection).validate_python({"lr": 0.1, "warmup_epochs": 2})
    rates = [learning_rate(section, step, steps_per_epoch=3, num_epochs=2) for step in range(9)]
    assert rates == pytest.approx([0.1 * k / 7 for k in range(1, 8)] + [0.0, 0.0])


def test_only_weights_decay() -> None:
    """Without a gradient AdamW does nothing but decay."""
    spec = spec_of({"kind": "cnn3d"}, {"weight_decay": 0.5, "lr": 0.1})
    model = model_of(spec)
    optimizer = build_optimizer(spec.optim, model)
    before = {key: param.detach().clone() for key, param in model.named_parameters()}
    for param in model.parameters():
        param.grad = torch.zeros_like(param)
    optimizer.step()
    for key, param in model.named_parameters():
        torch.testing.assert_close(param.detach(), before[key] * (0.95 if param.ndim > 1 else 1.0))


def test_a_step_that_overflows_in_half_precision_is_left_out() -> None:
    model = nn.Linear(2, 1)
    before = [param.detach().clone() for param in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    amp = Amp("fp16", torch.device("cpu"))
    scale = amp.scaler.get_scale()
    amp.step(
        model(torch.tensor([[math.inf, 1.0]])).sum(),
        optimizer,
        params=list(model.parameters()),
        clip_norm=1.0,
    )
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))
    assert amp.scaler.get_scale() < scale
    norm = amp.step(
        model(torch.tensor([[3.0, 4.0]])).sum(), optimizer, params=list(model.parameters()), clip_norm=1.0
    )
    assert float(norm) == pytest.approx(math.sqrt(26)), "of the gradient itself, not of the scaled one"
    moved = torch.cat([(a.detach() - b).flatten() for a, b in zip(model.parameters(), before, strict=True)])
    assert float(moved.norm()) == pytest.approx(1.0, rel=1e-4), "clipped to one"


@pytest.mark.parametrize(
    ("device", "native", "expected"),
    [("cuda", True, "bf16"), ("cuda", False, "fp16"), ("cpu", "avx512_bf16", "bf16"), ("cpu", "amx_bf16", "bf16"),
     ("cpu", "avx512_f", "fp32")],
)  # fmt: skip
def test_auto_is_the_fastest_precision_that_the_device_computes_natively(
    device: str, native: Any, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "torch.cuda.is_bf16_supported", lambda including_emulation=True: native or including_emulation
    )
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {native: True}, raising=False)
    assert resolve_precision(TrainSection(), torch.device(device)) == expected
    for asked in ("fp32", "bf16", "fp16"):
        assert resolve_precision(TrainSection(precision=asked), torch.device(device)) == asked


def test_a_release_of_torch_that_does_not_know_the_processor_computes_in_fp32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("torch.cpu.get_capabilities", raising=False)
    assert resolve_precision(TrainSection(), torch.device("cpu")) == "fp32"


def test_half_precision_asks_the_scaler_of_its_own_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which says on a machine without CUDA that it cannot scale there."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.warns(UserWarning, match="GradScaler is enabled, but CUDA is not available"):
        Amp("fp16", torch.device("cuda"))


def test_a_weight_that_no_loss_reaches_stays_where_it_is() -> None:
    """No gradient is not a gradient of zero, with which the momentum of the step before would go on."""
    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([a, b], lr=0.1, momentum=0.9)
    amp = Amp("fp32", torch.device("cpu"))
    for loss in (lambda: (a + b).sum(), lambda: a.sum()):
        amp.step(loss(), optimizer, params=[a, b], clip_norm=None)
    torch.testing.assert_close(a.detach(), torch.full((2,), 1 - 0.1 - 0.19))
    torch.testing.assert_close(b.detach(), torch.full((2,), 1 - 0.1))


@pytest.mark.parametrize(
    ("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16), ("fp32", torch.float32)]
)
def test_what_a_step_computes_in(precision: Any, dtype: torch.dtype) -> None:
    with Amp(precision, torch.device("cpu")).autocast():
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == dtype


def test_mixup_trains_on_blends_of_clips_and_of_labels() -> None:
    """The loss of the first step is the share of the own label's plus that of the other one's (arXiv:1710.09412)."""
    spec = spec_of(MODELS["cnn3d"], ADAMW)
    spec = spec.model_copy(update={"augment": AugmentSection(mixup=0.4)})
    _, losses, clips = trained(spec)
    batch = next(clips.train_batches([], augment=spec.augment, seed=spec.seed, batch_size=BATCH, epoch=0))
    share = generator("mix", spec.seed, 0, 0).beta(0.4, 0.4)
    logits = model_of(spec).train()(share * batch.clip + (1 - share) * batch.clip[[3, 2, 1, 0]])
    own, other = (smoothed(logits, labels) for labels in (batch.labels, batch.labels[[3, 2, 1, 0]]))
    assert losses.steps[0] == pytest.approx((share * own + (1 - share) * other).item(), rel=1e-4)
    plain = trained(spec_of(MODELS["cnn3d"], ADAMW))[1]
    assert losses.steps[0] != pytest.approx(plain.steps[0], rel=1e-3)


def test_golden_losses_cover_every_kind() -> None:
    assert set(MODELS) == set(SHIPPED_KINDS)


@pytest.mark.parametrize("optim", GENTLE)
@pytest.mark.parametrize("name", MODELS)
def test_golden_losses(name: str, optim: str) -> None:
    """Step by step, in fp32 on one thread, with rates at which the rounding of a processor stays small."""
    _, losses, _ = trained(spec_of(MODELS[name], GENTLE[optim]))
    key = f"{name} {optim}"
    if os.environ.get("VIDCLS_RECORD_GOLDEN"):
        golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
        golden[key] = [round(loss, 6) for loss in losses.steps]
        GOLDEN.write_text(json.dumps(dict(sorted(golden.items())), indent=1) + "\n")
    assert losses.steps == pytest.approx(json.loads(GOLDEN.read_text())[key], rel=2e-3)
