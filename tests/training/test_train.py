"""A training from spec to report: what it leaves, how it stops, how it goes on."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from tests.support.suspended import before_operation
from tests.support.training import (
    STRATEGIES,
    Child,
    Experiment,
    QuietDisplay,
    assert_same,
    rows,
    train_child,
    train_here,
)
from vidcls.cli import app
from vidcls.errors import UserError, VidclsError
from vidcls.evaluate.predictions import load_predictions
from vidcls.installed import code_digest
from vidcls.process.signals import Interruption
from vidcls.run.find import open_run
from vidcls.run.folder import Run
from vidcls.training.divergence import DivergedError

pytestmark = [pytest.mark.long, pytest.mark.decoded]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, demo: Path, decoded: Path) -> Run:
    """The run of an experiment as it is, trained without a disturbance."""
    experiment = Experiment(tmp_path_factory.mktemp("alone"), demo, store=decoded)
    assert train_child(experiment.spec()) == 0
    return experiment.run()


def test_a_finished_run_holds_all_that_is_promised(experiment: Experiment) -> None:
    assert train_child(experiment.spec(train__keep_last=False)) == 0
    run = experiment.run()
    names = {str(path.relative_to(run.folder)) for path in run.folder.rglob("*") if path.is_file()}
    assert names == {
        ".lock.guard", "spec.yaml", "provenance.json", "status.json", "metrics.jsonl", "checkpoints/best.pt",
        "predictions/val-best.npz", "report/curves.png", "report/val-best/confusion.csv",
        "report/val-best/confusion.png", "report/val-best/metrics.json", "report/val-best/per_class.csv",
        "report/val-best/predictions.csv", "report/val-best/predictions.parquet",
    }  # fmt: skip
    status = run.status()
    assert status is not None
    assert (status.state, status.epoch, run.state) == ("finished", 3, "finished")
    provenance = run.provenance()
    assert provenance["precision"] in {"fp32", "bf16", "fp16"}
    assert provenance["residency"] in {"device", "memory", "mapped", "streamed"}
    assert sum(provenance["decoders"].values()) == 40


def test_the_best_is_the_epoch_of_the_highest_val_top1_and_what_is_stored(alone: Run) -> None:
    epochs = [row for row in rows(alone) if row["kind"] == "epoch"]
    best = max(epochs, key=lambda row: (row["val/top1"], -row["val/loss"]))
    status = alone.status()
    assert status is not None
    assert status.best_epoch == best["epoch"]
    predictions = load_predictions(alone.predictions_file("val", "best"))
    assert predictions.metrics().top1 == best["val/top1"]
    assert len(predictions.ids) == 20
    assert len(set(predictions.ids)) == 20


def test_the_same_spec_trains_to_the_same_weights_and_another_seed_does_not(
    experiment: Experiment, alone: Run
) -> None:
    for runs, seed in (("same", 0), ("other", 1)):
        assert train_child(experiment.spec(runs=runs, seed=seed)) == 0
    assert_same(alone, experiment.run("same"))
    one, other = (
        torch.load(run.checkpoint_file("best"), weights_only=True)["model"]
        for run in (alone, experiment.run("other"))
    )
    assert any(not torch.equal(value, other[key]) for key, value in one.items())


def test_a_finished_run_is_not_trained_again(experiment: Experiment) -> None:
    spec = experiment.spec()
    assert train_child(spec) == 0
    before = experiment.run().metrics_file.read_bytes()
    assert train_child(spec) == 0
    assert experiment.run().metrics_file.read_bytes() == before


@pytest.mark.parametrize(
    ("number", "code", "state"),
    [(signal.SIGUSR1, 75, "interrupted"), (signal.SIGUSR2, 75, "interrupted"), (signal.SIGTERM, 1, "interrupted"),
     (signal.SIGINT, 1, "interrupted"), (signal.SIGHUP, 1, "interrupted")],
)  # fmt: skip
def test_a_signal_saves_and_the_next_start_goes_on(
    experiment: Experiment, alone: Run, number: int, code: int, state: str
) -> None:
    spec = experiment.spec(runs="stopped")
    assert train_child(spec, signal_at=(7, number)) == code
    run = experiment.run("stopped")
    status = run.status()
    assert status is not None
    assert status.state == state
    assert (
        "give the same command again to continue from there" in (experiment.folder / "error.txt").read_text()
    )
    content = torch.load(run.checkpoint_file("last"), weights_only=True)
    assert (content["epoch"], content["step"]) == (1, 2)
    assert train_child(spec) == 0
    assert_same(alone, run)


class _Impatient(QuietDisplay):
    """Asks for the end at a step, and again before a file operation of the save that follows."""

    def __init__(self, *, operation: int) -> None:
        super().__init__(signal_at=(7, signal.SIGINT))
        self._operation = operation

    def say(self, text: str) -> None:
        if "saving" in text:
            before_operation(self._operation, lambda: os.kill(os.getpid(), signal.SIGINT))


def _train_impatiently(spec: Path, operation: int) -> None:
    try:
        train_here(spec, _Impatient(operation=operation))
    except Interruption as error:
        raise SystemExit(error.exit_code) from None
    except VidclsError as error:
        raise SystemExit(int(error.exit_code)) from None


@pytest.mark.parametrize("operation", [0, 3, 6])
def test_a_second_int_ends_at_once_and_the_checkpoint_from_before_stands(
    experiment: Experiment, alone: Run, operation: int
) -> None:
    spec = experiment.spec(runs="stopped")
    child = Child(target=_train_impatiently, args=(spec, operation))
    child.start()
    child.join()
    run = experiment.run("stopped")
    assert child.exitcode == 130
    status = run.status()
    assert status is not None
    assert (run.state, status.message) == (
        "interrupted",
        "SIGINT: ended at once; what was saved before is kept",
    )
    content = torch.load(run.checkpoint_file("last"), weights_only=True)
    assert (content["epoch"], status.epoch) == (1, 1)
    assert not list(run.folder.rglob("*.tmp"))
    assert train_child(spec) == 0
    assert_same(alone, run)


def test_code_that_changed_since_the_start_is_refused_or_accepted_or_restarted(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = experiment.spec()
    assert train_child(spec, die_at_step=7) == -signal.SIGKILL
    # A digest is a fact of the installed files; another one stands for an edit between two starts.
    provenance = json.loads(experiment.run().provenance_file.read_text())
    experiment.run().provenance_file.write_text(json.dumps(provenance | {"code": "0" * 16}))
    with pytest.raises(
        VidclsError, match="changed since this run was last trained: the code of vidcls"
    ) as caught:
        train_here(spec)
    assert "--accept-code" in str(caught.value.hint)
    display = QuietDisplay()
    run = train_here(spec, display, accept_code=True)
    assert any("the code of vidcls" in line for line in display.said)
    assert [resume["code"] for resume in run.provenance()["resumes"]] == [code_digest()]
    display = QuietDisplay()
    train_here(spec, display, restart=True)
    assert "the old run was moved to" in display.said[0]
    assert experiment.run().provenance()["resumes"] == []


def test_packages_that_changed_since_are_refused_and_another_processor_is_said(
    experiment: Experiment,
) -> None:
    spec = experiment.spec()
    assert train_child(spec, die_at_step=7) == -signal.SIGKILL
    # What the files say of the first start stands for an update, or another node, between two starts.
    file = experiment.run().provenance_file
    provenance = json.loads(file.read_text())
    release = provenance["versions"]["torch"]
    changed = {
        "processor": "another one",
        "versions": provenance["versions"] | {"torch": "1.0", "decord2": "9.9"},
    }
    file.write_text(json.dumps(provenance | changed))
    with pytest.raises(VidclsError) as caught:
        train_here(spec)
    assert f"decord2 (9.9 then, none now), torch (1.0 then, {release} now)" in caught.value.message
    display = QuietDisplay()
    run = train_here(spec, display, accept_code=True)
    assert any("torch (1.0 then" in line for line in display.said)
    assert any("trained on cpu (another one) so far" in line for line in display.said)
    assert run.provenance()["resumes"][0]["versions"]["torch"] == release


def test_two_trainings_of_one_run_exclude_each_other(experiment: Experiment) -> None:
    spec = experiment.spec()
    run = train_here(spec)
    run.status_file.unlink()
    with run.hold(print), pytest.raises(VidclsError, match="is training this run"):
        train_here(spec)


def test_a_loss_that_is_not_finite_stops_and_names_the_videos(experiment: Experiment) -> None:
    spec = experiment.spec(optim={"kind": "sgd", "lr": 1e30, "clip_norm": None, "warmup_epochs": 0})
    with pytest.raises(DivergedError) as caught:
        train_here(spec)
    message, tries, videos = str(caught.value).splitlines()
    rate = r"optim.lr=1e\+30( \(\S+ at that step\))?"
    assert re.fullmatch(rf"diverged with {rate}: the loss is (nan|inf) in epoch 1, step \d+", message)
    assert tries.startswith("  try optim.lr=1e+29, or optim.clip_norm=1, ")
    assert re.match(r"  videos of this batch: \w+/v_", videos)
    assert experiment.run().state == "failed"
    status = experiment.run().status()
    assert status is not None
    assert status.message == str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system: run the tests as root")
def test_a_full_disk_leaves_the_last_checkpoint_and_the_run_goes_on_later(
    experiment: Experiment, alone: Run
) -> None:
    small = experiment.folder / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", small], check=False)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here: run outside of this container")
    try:
        (small / "ballast").write_bytes(bytes(1_000_000))
        spec = experiment.spec(runs="small", train__checkpoint_every_s=0.01)
        display = _FillAfter(small / "ballast", step=7)
        with pytest.raises(VidclsError, match="the disk or the quota is full"):
            train_here(spec, display)
        run = open_run(small / "small")
        content = torch.load(run.checkpoint_file("last"), weights_only=True)
        assert content["training"]["loop"]["optimizer"]["state"]
        (small / "ballast").unlink()
        assert train_child(spec) == 0
        assert_same(alone, run)
    finally:
        subprocess.run(["umount", small], check=True)


class _FillAfter(QuietDisplay):
    """Leaves no room on the disk from a step on."""

    def __init__(self, ballast: Path, *, step: int) -> None:
        super().__init__()
        self._ballast = ballast
        self._step = step

    def step(self, loop: object) -> None:
        if getattr(loop, "global_step", 0) == self._step:
            free = os.statvfs(self._ballast.parent)
            with self._ballast.open("ab") as file:
                file.write(bytes(free.f_bavail * free.f_frsize))


def test_flipping_classes_that_have_sides_is_refused_before_anything_is_done(experiment: Experiment) -> None:
    with pytest.raises(UserError, match="flip"):
        train_here(experiment.spec(augment={"flip": 0.5}))
    assert not (experiment.folder / "runs").exists()


def test_the_golden_loss_curve(experiment: Experiment) -> None:
    """Whoever changes the loop shows the same curve: this recipe learns these clips, smoothly."""
    assert (
        train_child(
            experiment.spec(train__epochs=12, train__precision="fp32", model=STRATEGIES["early_fusion"])
        )
        == 0
    )
    losses = [row["train/loss"] for row in rows(experiment.run()) if row["kind"] == "epoch"]
    assert losses[0] == pytest.approx(math.log(10), abs=0.6)
    assert losses[-1] < 0.75 * losses[0]


def test_a_brief_trial_draws_nothing_and_evaluate_draws_what_is_missing(experiment: Experiment) -> None:
    run = train_here(experiment.spec(train__epochs=1), is_trial=True)
    report = run.report_dir("val", "best")
    pictures = [
        run.curves_file,
        report / "confusion.png",
        report / "predictions.csv",
        report / "predictions.parquet",
    ]
    assert not any(picture.exists() for picture in pictures)
    assert (run.report_dir("val", "best") / "confusion.csv").exists()
    assert CliRunner().invoke(app, ["evaluate", str(run.folder)]).exit_code == 0
    assert all(picture.stat().st_size for picture in pictures)


def test_what_is_published_is_computed_in_float32(experiment: Experiment) -> None:
    run = train_here(experiment.spec(train__epochs=2, train__precision="bf16"))
    status = run.status()
    assert status is not None
    published = load_predictions(run.predictions_file("val", "best")).metrics().named("val")
    assert {name: status.metrics[name] for name in published} == published
    (of_epoch,) = (row for row in rows(run) if row["kind"] == "epoch" and row["epoch"] == status.best_epoch)
    assert of_epoch["val/loss"] != published["val/loss"], "the epochs are validated in bf16"
