"""What a training that diverged says: at which rate, where, and what to try."""

from __future__ import annotations

from typing import Any

import pytest

from vidcls.errors import ExitCode
from vidcls.spec.experiment import Spec
from vidcls.training.divergence import diverged

KEPT = "; this makes another run, and the checkpoints of this run are kept"
NOTHING_ELSE = {"lr": 0.02, "warmup_epochs": 3, "clip_norm": 1}


def spec_with(optim: dict[str, Any], **train: Any) -> Spec:
    train = {"epochs": 10, "precision": "fp32", **train}
    return Spec.model_validate({"name": "bad", "model": {"kind": "cnn3d"}, "optim": optim, "train": train})


def test_it_names_the_rate_the_number_and_the_place() -> None:
    error = diverged(spec_with(NOTHING_ELSE), where="epoch 2, step 5", what="the loss is nan", lr=0.02)
    assert error.message == "diverged with optim.lr=0.02: the loss is nan in epoch 2, step 5"
    assert error.hint == f"try optim.lr=0.002{KEPT}"
    assert error.exit_code == ExitCode.FAILED


def test_a_rate_that_the_schedule_had_lowered_is_named_too() -> None:
    error = diverged(spec_with(NOTHING_ELSE), where="epoch 9, step 1", what="the loss is inf", lr=0.0012345)
    assert error.message == (
        "diverged with optim.lr=0.02 (0.00123 at that step): the loss is inf in epoch 9, step 1"
    )


@pytest.mark.parametrize(
    ("changed", "more", "tries"),
    [
        ({"warmup_epochs": 2.5}, {}, "optim.warmup_epochs=3"),
        ({"warmup_epochs": 2.5}, {"epochs": 4}, "optim.warmup_epochs=3"),
        ({"warmup_epochs": 2.5}, {"epochs": 3}, None),  # a warm-up is shorter than the training
        ({"warmup_epochs": 3}, {}, None),
        ({"clip_norm": None}, {}, "optim.clip_norm=1"),
        ({"clip_norm": 1.5}, {}, "optim.clip_norm=1"),
        ({"clip_norm": 0.5}, {}, None),
        ({}, {"precision": "auto"}, "train.precision=fp32"),
        ({}, {"precision": "bf16"}, "train.precision=fp32"),
    ],
)
def test_it_suggests_only_what_is_not_set_yet(
    changed: dict[str, Any], more: dict[str, Any], tries: str | None
) -> None:
    spec = spec_with(NOTHING_ELSE | changed, **more)
    error = diverged(spec, where="epoch 1, step 1", what="the loss is nan", lr=0.02)
    assert error.hint == f"try optim.lr=0.002{f', or {tries}' if tries else ''}{KEPT}"


def test_all_that_it_can_suggest_in_order() -> None:
    spec = spec_with({"kind": "sgd", "lr": 1e30, "warmup_epochs": 0, "clip_norm": 7}, precision="fp16")
    error = diverged(spec, where="epoch 1, step 1", what="the loss is nan", lr=1e30)
    assert error.hint == (
        f"try optim.lr=1e+29, or optim.warmup_epochs=3, or optim.clip_norm=1, or train.precision=fp32{KEPT}"
    )


@pytest.mark.parametrize(
    ("num", "shown"),
    [
        (1, "v0"),
        (8, "v0, v1, v2, v3, v4, v5, v6, v7"),
        (9, "v0, v1, v2, v3, v4, v5, v6, v7 and 1 more"),
        (20, "v0, v1, v2, v3, v4, v5, v6, v7 and 12 more"),
    ],
)
def test_it_names_eight_videos_of_the_batch_and_counts_the_others(num: int, shown: str) -> None:
    ids = [f"v{k}" for k in range(num)]
    error = diverged(spec_with(NOTHING_ELSE), where="epoch 1, step 1", what="the loss is nan", lr=1, ids=ids)
    assert error.hint == f"try optim.lr=0.002{KEPT}\n  videos of this batch: {shown}"
