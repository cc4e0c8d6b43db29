"""What only a CUDA device can show. Each test has its CPU counterpart on the same code path elsewhere."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import torch

import vidcls
from tests.support.training import STRATEGIES, Experiment, assert_same, train_child
from vidcls.evaluate.predictions import load_predictions

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(),
        reason="needs a CUDA device: run `pytest -m gpu` on a machine that has one",
    ),
]


@pytest.mark.parametrize("residency", ["device", "memory", "mapped", "streamed"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_killed_training_ends_as_if_left_alone(
    experiment: Experiment, residency: str, precision: str
) -> None:
    experiment.settings = {
        "data__residency": residency,
        "train__precision": precision,
        "train__deterministic": True,
        "model": STRATEGIES["late_fusion"],
    }
    assert train_child(experiment.spec(runs="alone")) == 0
    spec = experiment.spec(runs="killed", train__checkpoint_every_s=0.01)
    assert train_child(spec, die_at_step=8) == -signal.SIGKILL
    assert train_child(spec) == 0
    assert experiment.run("killed").provenance()["device"] == "cuda"
    assert_same(experiment.run("alone"), experiment.run("killed"))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_trains_under_fp16(experiment: Experiment, strategy: str) -> None:
    spec = experiment.spec(model=STRATEGIES[strategy], train__precision="fp16")
    assert train_child(spec) == 0


def test_the_cpu_predicts_what_the_gpu_validated(experiment: Experiment) -> None:
    assert train_child(experiment.spec(train__precision="fp32")) == 0
    run = experiment.run()
    stored = load_predictions(run.predictions_file("val", "best"))
    paths = {path.stem: path for path in (experiment.data / "videos" / "val").rglob("v_*")}
    predictions = vidcls.load(run.folder, device="cpu").predict([paths[name] for name in stored.ids])
    logits = np.stack([prediction.logits for prediction in predictions if prediction.logits is not None])
    np.testing.assert_allclose(logits, stored.logits, atol=1e-3)


def test_features_stored_on_the_device_train_as_the_backbone_in_the_loop(experiment: Experiment) -> None:
    model = {"kind": "frame_statistics", "freeze": ["backbone"]}
    chosen = {"model": model, "train__precision": "fp32", "train__deterministic": True}
    assert train_child(experiment.spec(runs="stored", **chosen)) == 0
    assert train_child(experiment.spec(runs="loop", data__residency="streamed", **chosen)) == 0
    stored, in_the_loop = (experiment.run(name) for name in ("stored", "loop"))
    assert stored.provenance()["residency"] == "features"
    a, b = (load_predictions(run.predictions_file("val", "last")).logits for run in (stored, in_the_loop))
    np.testing.assert_allclose(a, b, atol=1e-2)  # each batch rounds in its own way


def test_the_energy_of_a_training_is_counted(experiment: Experiment) -> None:
    assert train_child(experiment.spec()) == 0
    status = experiment.run().status()
    assert status is not None
    if status.energy_j is None:
        pytest.skip("needs a driver that counts energy: a whole card, from the generation Volta on")
    assert 0 < status.energy_j < 1500 * status.elapsed_s, "no card takes 1500 W"
