"""Killed at any moment, a training goes on and ends as if nothing had happened, to the bit."""

from __future__ import annotations

import random
import signal
import time
from typing import get_args
from zlib import crc32

import pytest

from tests.support.training import STRATEGIES, Experiment, assert_same, start_child, train_child
from vidcls.choices import Residency

pytestmark = [pytest.mark.long, pytest.mark.decoded]


RESIDENCIES = get_args(Residency)
NUM_KILLS = 20
STEPS_PER_EPOCH = 5


def kill_at_random(experiment: Experiment, spec: object, *, kills: int, seed: int, longest_s: float) -> int:
    """Start the training again and again, killing each start at a random moment; the number of kills."""
    draw = random.Random(seed)
    done = 0
    while done < kills:
        child = start_child(spec)  # type: ignore[arg-type]
        child.join(draw.uniform(0, longest_s))
        if not child.is_alive():
            assert child.exitcode == 0
            break
        child.kill()
        child.join()
        done += 1
    return done


def check(experiment: Experiment, *, kills: int, seed: int) -> None:
    started = time.monotonic()
    assert train_child(experiment.spec(runs="alone")) == 0
    undisturbed_s = time.monotonic() - started
    # Checkpoints inside epochs, so that kills find all kinds of moments: in a step, in a save, between two.
    spec = experiment.spec(runs="killed", train__checkpoint_every_s=0.01)
    # Twice in a row inside one epoch, before any checkpoint of the second start.
    for step in (STEPS_PER_EPOCH + 2, STEPS_PER_EPOCH + 4):
        assert train_child(spec, die_at_step=step) == -signal.SIGKILL
    kill_at_random(experiment, spec, kills=kills - 2, seed=seed, longest_s=undisturbed_s)
    assert train_child(spec) == 0
    assert_same(experiment.run("alone"), experiment.run("killed"))


@pytest.mark.parametrize(
    ("strategy", "residency", "modality"),
    [("cnn3d", "mapped", "rgb"), ("frame_average", "memory", "difference"), ("early_fusion", "device", "flow"),
     ("late_fusion", "streamed", "rgb"), ("ensemble", "mapped", "rgb")],
)  # fmt: skip
def test_a_killed_training_ends_as_if_left_alone(
    experiment: Experiment, strategy: str, residency: str, modality: str
) -> None:
    experiment.settings = {
        "model": STRATEGIES[strategy],
        "data__residency": residency,
        "clip__modality": modality,
    }
    check(experiment, kills=4, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("residency", RESIDENCIES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_and_residency_survives_twenty_kills(
    experiment: Experiment, strategy: str, residency: str
) -> None:
    experiment.settings = {"model": STRATEGIES[strategy], "data__residency": residency}
    check(experiment, kills=NUM_KILLS, seed=crc32(f"{strategy} {residency}".encode()))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_every_precision_resumes_to_the_bit(experiment: Experiment, precision: str) -> None:
    experiment.settings = {"train__precision": precision, "model": STRATEGIES["late_fusion"]}
    assert train_child(experiment.spec(runs="alone")) == 0
    spec = experiment.spec(runs="killed", train__checkpoint_every_s=0.01)
    assert train_child(spec, die_at_step=8) == -signal.SIGKILL
    assert train_child(spec) == 0
    assert_same(experiment.run("alone"), experiment.run("killed"))


@pytest.mark.parametrize(
    "settings",
    [
        {
            "augment": {"crop": "random_resized", "mixup": 0.4},
            "clip__fit": "crop",
            "clip__sampling": "segment",
        },
        {"clip__unit": "frame", "model": STRATEGIES["frame_average"]},
        {"optim": {"kind": "sgd"}, "train__channels_last": False, "train__label_smoothing": 0.1},
    ],
    ids=["augmented", "frames", "sgd"],
)
def test_every_kind_of_draw_resumes_to_the_bit(experiment: Experiment, settings: dict[str, object]) -> None:
    experiment.settings = settings
    assert train_child(experiment.spec(runs="alone")) == 0
    spec = experiment.spec(runs="killed", train__checkpoint_every_s=0.01)
    assert train_child(spec, die_at_step=8) == -signal.SIGKILL
    assert train_child(spec) == 0
    assert_same(experiment.run("alone"), experiment.run("killed"))
