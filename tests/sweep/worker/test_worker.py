"""Workers on real trials: whatever dies, each trial ends with the result of an undisturbed run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import psutil
import pytest
import yaml
from typer.testing import CliRunner

from tests.support.scripted import METRIC, scripted_trial
from tests.support.sweeps import (
    Search,
    ended,
    results,
    run_of,
    start_worker,
    states,
    undisturbed,
    work,
)
from tests.support.training import Experiment, assert_same
from tests.support.waiting import PATIENCE_S, wait_for
from vidcls.cli import app
from vidcls.errors import ExitCode
from vidcls.sweep import actions
from vidcls.sweep.storage.folder import SweepFolder
from vidcls.sweep.storage.worker_heartbeat import Workers
from vidcls.sweep.worker.allocation import Allocation
from vidcls.sweep.worker.budget import Budget

pytestmark = [pytest.mark.long, pytest.mark.decoded]


TWO = {"optim.lr": {"values": [0.001, 0.003]}}


@pytest.fixture
def search(experiment: Experiment) -> Search:
    return Search(experiment)


def test_a_grid_is_worked_off_once_and_every_trial_is_what_training_it_alone_gives(search: Search) -> None:
    folder = search.frozen(search.file(), keep=4)
    assert work(folder).exit_code == ExitCode.DONE
    trials = folder.trials().refresh()
    assert [trial.state for trial in trials] == ["finished"] * 4
    assert len({json.dumps(dict(trial.point)) for trial in trials}) == 4
    assert_same(run_of(folder, trials[3]), undisturbed(search, trials[3], runs="alone"))
    assert work(folder).exit_code == ExitCode.DONE, "nothing is left"
    assert [trial.token for trial in folder.trials().refresh()] == [1] * 4


def children(worker: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The trials that a worker trains: children of its forkserver."""
    try:
        below = psutil.Process(worker.pid).children(recursive=True)
        return [child for child in below if child.parent() and child.parent().pid != worker.pid]
    except psutil.NoSuchProcess:
        return []


def trains(folder: SweepFolder, number: int, epoch: int = 1) -> bool:
    log = folder.trial_log(number)
    return log.exists() and f"epoch {epoch}/" in log.read_text()


def test_a_trial_whose_process_or_worker_is_killed_goes_on_from_its_checkpoint(search: Search) -> None:
    folder = search.frozen(search.file({"optim.lr": {"values": [0.001, 0.003]}}), keep=2)
    first = start_worker(folder)
    wait_for(lambda: trains(folder, 0), what="an epoch")
    for child in children(first):
        child.kill()
    wait_for(lambda: folder.trials().refresh()[0].token == 2, what="a second lease")
    wait_for(lambda: trains(folder, 1), what="the second trial")
    held = folder.trials().refresh()[1].lease
    first.kill()
    first.wait()
    assert held is not None
    assert work(folder).exit_code == ExitCode.DONE
    trials = folder.trials().refresh()
    assert [trial.state for trial in trials] == ["finished", "finished"]
    assert trials[1].token == 2
    for trial in trials:
        assert_same(run_of(folder, trial), undisturbed(search, trial, runs=f"alone-{trial.number}"))
    assert "resumed" in folder.trial_log(1).read_text()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGUSR1, ExitCode.REQUEUE), (signal.SIGTERM, ExitCode.FAILED)]
)
def test_a_signal_saves_and_gives_the_lease_back(search: Search, number: int, code: ExitCode) -> None:
    folder = search.frozen(search.file({"optim.lr": {"values": [0.003]}, "seed": {"values": [0]}}))
    worker = start_worker(folder)
    wait_for(lambda: trains(folder, 0), what="an epoch")
    worker.send_signal(number)
    assert worker.wait() == code
    trial = folder.trials().refresh()[0]
    if trial.state != "finished":  # it may have been in its last epoch
        assert (trial.state, ended(trial)["kind"]) == ("waiting", "released")
    assert work(folder).exit_code == ExitCode.DONE
    assert states(folder) == ["finished"]


def test_children_end_with_their_worker(search: Search) -> None:
    folder = search.frozen(search.file(settings={"train__epochs": 50}))
    worker = start_worker(folder)
    wait_for(lambda: trains(folder, 0), what="an epoch")
    mine = children(worker)
    assert mine
    worker.kill()
    worker.wait()
    psutil.wait_procs(mine, timeout=PATIENCE_S)
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in mine)


def test_a_suspended_worker_learns_that_its_trial_was_taken(search: Search) -> None:
    folder = search.frozen(search.file({"optim.lr": {"values": [0.003, 0.001]}}), lease_s=10.0)
    worker = start_worker(folder)
    wait_for(lambda: trains(folder, 0), what="an epoch")
    for child in children(worker):
        child.kill()  # so that its run can be taken at once; the lease is the worker's
    worker.send_signal(signal.SIGSTOP)
    try:
        assert work(folder).exit_code == ExitCode.DONE
        before = results(folder)
    finally:
        worker.send_signal(signal.SIGCONT)
    assert worker.wait() == ExitCode.DONE
    assert results(folder) == before
    kinds = [state for state, _, _ in before.values()]
    assert kinds == ["finished", "finished"]


def test_a_loss_that_is_no_number_fails_its_trial_once_and_no_other(search: Search) -> None:
    values = {"optim.lr": {"values": [1e18, 0.003]}, "optim.clip_norm": {"value": 1e30}}
    folder = search.frozen(search.file(values))
    assert work(folder).exit_code == ExitCode.DONE
    failed, fine = folder.trials().refresh()
    assert (failed.state, failed.token, fine.state) == ("failed", 1, "finished")
    assert "the loss is" in ended(failed)["message"]
    assert folder.trial_log(0).is_file()


def test_a_trial_that_crashes_again_and_again_has_failed_and_can_be_tried_again(search: Search) -> None:
    from vidcls.sweep import actions

    search.experiment.store = store = search.experiment.folder / "store"
    folder = search.frozen(search.file({"optim.lr": {"values": [0.003, 0.001]}}), attempts=2)
    store.write_text("in the way")  # no folder can be made where the store should be
    assert work(folder).exit_code == ExitCode.DONE
    trials = folder.trials().refresh()
    assert [(trial.state, trial.token) for trial in trials] == [("failed", 2), ("failed", 2)]
    assert ended(trials[0])["message"]
    store.unlink()
    assert actions.retry(folder, []) == [0, 1]
    assert work(folder).exit_code == ExitCode.DONE
    assert states(folder) == ["finished", "finished"]


def test_two_trials_share_a_place(search: Search) -> None:
    folder = search.frozen(search.file(TWO), per_gpu=2)
    worker = start_worker(folder)
    wait_for(lambda: states(folder).count("running") == 2, what="two trials at once")
    assert worker.wait() == ExitCode.DONE
    assert states(folder) == ["finished"] * 2


def test_hyperband_stops_what_lags_behind_and_keeps_its_value(search: Search) -> None:
    file = search.file(
        {"optim.lr": {"values": [0.003, 0.002, 0.004, 0.005]}},
        settings={"train__epochs": 6},
        metric={"name": METRIC, "goal": "minimize"},
        early_terminate={"type": "hyperband", "min_iter": 2, "eta": 2},
    )
    folder = search.frozen(file)
    assert work(folder, scripted_trial).exit_code == ExitCode.DONE
    trials = folder.trials().refresh()
    assert [trial.state for trial in trials] == ["finished", "finished", "stopped", "stopped"]
    assert [trial.value for trial in trials] == [0.003, 0.002, 0.004, 0.005]
    for trial in trials[2:]:
        assert trial.epoch == 2
        assert "hyperband" in ended(trial)["message"]


ASHA = {
    "metric": {"name": METRIC, "goal": "minimize"},
    "early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 2},
}


def test_asha_promotes_the_best_of_each_rung(search: Search) -> None:
    file = search.file(
        {"optim.lr": {"values": [0.004, 0.002, 0.003, 0.001]}}, settings={"train__epochs": 4}, **ASHA
    )
    folder = search.frozen(file, asha=True)
    assert work(folder, scripted_trial).exit_code == ExitCode.DONE
    trials = folder.trials().refresh()
    # Rungs of 1, 2 and 4 epochs: of four trials the best two reach the second, the best of them the last.
    assert [(trial.state, trial.epoch) for trial in trials] == [
        ("paused", 1),
        ("paused", 2),
        ("paused", 1),
        ("finished", 4),
    ]
    assert [trial.token for trial in trials] == [1, 2, 1, 3]
    assert "resumed at epoch 3" in folder.trial_log(3).read_text()


def test_rungs_follow_the_epochs_of_each_trial(search: Search) -> None:
    """The experiment trains one epoch, which has no rung; the sweep sets the epochs, here two lengths."""
    parameters = {"optim.lr": {"values": [0.002, 0.001]}, "train.epochs": {"values": [3, 4]}}
    folder = search.frozen(search.file(parameters, settings={"train__epochs": 1}, **ASHA), asha=True)
    assert work(folder, scripted_trial).exit_code == ExitCode.DONE
    trials = folder.trials().refresh()
    assert [(trial.point["train.epochs"], trial.state, trial.epoch) for trial in trials] == [
        (3, "paused", 2),
        (4, "paused", 1),
        (3, "finished", 3),
        (4, "paused", 2),
    ]


def test_a_promotion_that_nobody_made_is_work_that_is_left(search: Search) -> None:
    file = search.file({"optim.lr": {"values": [0.002, 0.001]}}, settings={"train__epochs": 4}, **ASHA)
    folder = search.frozen(file, asha=True)
    trials = folder.trials()
    for number, lr in enumerate((0.002, 0.001)):
        assert trials.add(number, configuration=number, repeat=0, point={"optim.lr": lr}, seed=0)
        lease = trials.claim(trials.refresh()[number], worker="gone", until_epoch=1)
        assert lease is not None
        trials.rung(lease, 1, lr)
        assert trials.end(lease, "paused", epoch=1, value=lr) == (number == 1 or actions.has_work(folder))
    assert actions.has_work(folder)
    assert work(folder, scripted_trial).exit_code == ExitCode.DONE
    assert not actions.has_work(folder)
    assert states(folder) == ["paused", "paused"]
    assert actions.winner(folder).trials[0].number == 1
    assert actions.winner(folder).paused_at == 2


def test_what_asha_promotes_goes_on_from_its_checkpoint(search: Search) -> None:
    file = search.file(
        {"optim.lr": {"values": [1e-9, 0.003, 1e-8, 0.001]}}, settings={"train__epochs": 4}, **ASHA
    )
    folder = search.frozen(file, asha=True)
    assert work(folder).exit_code == ExitCode.DONE
    trials = folder.trials().refresh()
    assert {trial.state for trial in trials} == {"finished", "paused"}
    (finished,) = [trial for trial in trials if trial.state == "finished"]
    assert finished.token > 1, "promoted"
    assert finished.rungs[1] <= sorted(trial.rungs[1] for trial in trials)[1]
    assert "resumed" in folder.trial_log(finished.number).read_text()
    alone = undisturbed(search, finished, runs="alone")
    assert json.loads(alone.status_file.read_text())["metrics"] == ended(finished)["metrics"]


def test_repeats_train_one_point_under_several_seeds(search: Search) -> None:
    folder = search.frozen(search.file({"optim.lr": {"values": [0.003, 0.001]}}), repeats=2)
    assert work(folder).exit_code == ExitCode.DONE
    trials = folder.trials().refresh()
    assert [(t.configuration, t.repeat, t.seed) for t in trials] == [
        (0, 0, 0),
        (0, 1, 1),
        (1, 0, 0),
        (1, 1, 1),
    ]
    assert trials[0].point == trials[1].point != trials[2].point


def test_a_point_drawn_again_costs_nothing(search: Search) -> None:
    file = search.file({"optim.lr": {"values": [0.003]}, "seed": {"values": [1]}}, method="random", run_cap=3)
    folder = search.frozen(file)
    assert work(folder).exit_code == ExitCode.DONE
    trials = folder.trials().refresh()
    assert len({ended(trial)["run"] for trial in trials}) == 1
    assert len({trial.value for trial in trials}) == 1
    assert folder.trial_log(2).read_text().count("epoch") == 0


def test_only_the_best_keep_their_weights(search: Search) -> None:
    folder = search.frozen(search.file(TWO), keep=1)
    assert work(folder).exit_code == ExitCode.DONE
    kept = list(folder.runs_dir.rglob("best.pt"))
    assert len(kept) == 1
    best = max(folder.trials().refresh(), key=lambda trial: (trial.value or 0.0, -trial.number))
    assert kept[0].is_relative_to(run_of(folder, best).folder)


def test_without_a_metric_trials_are_ranked_by_the_best_val_top1(search: Search) -> None:
    file = search.file(TWO | {"optim.lr": {"values": [0.003, 1e-9]}}, settings={"train__epochs": 2})
    content = yaml.safe_load(file.read_text())
    del content["metric"]
    file.write_text(yaml.safe_dump(content))
    folder = search.frozen(file, keep=1)
    assert work(folder).exit_code == ExitCode.DONE
    trials = folder.trials().refresh()
    for trial in trials:
        history = run_of(folder, trial).metrics_file.read_text().splitlines()
        tops = [row["val/top1"] for row in map(json.loads, history) if "val/top1" in row]
        assert trial.value == max(tops)
    (kept,) = folder.runs_dir.rglob("best.pt")
    best = max(trials, key=lambda trial: (trial.value or 0.0, -trial.number))
    assert kept.is_relative_to(run_of(folder, best).folder)


def test_what_cannot_reach_a_checkpoint_is_not_started(search: Search) -> None:
    folder = search.frozen(search.file(TWO))
    spec = folder.base()

    def can_start(seconds_left: float) -> bool:
        ends_at = time.monotonic() + seconds_left
        allocation = Allocation(job=None, num_gpus=0, device="cpu", threads=1, ends_at=ends_at)
        budget = Budget(folder.options(), folder.control(), Workers(folder.storage), allocation, spec)
        return budget.can_start(folder.trials())

    assert can_start(60), "nothing is known before the first trial, so that one is tried"
    assert work(folder).exit_code == ExitCode.DONE
    took = max(ended(trial)["startup_s"] + ended(trial)["epoch_s"] for trial in folder.trials().refresh())
    assert not can_start(took)
    assert can_start(took + 60)


@pytest.mark.parametrize("said", ["pause", "cancel"])
def test_a_word_from_the_person_stops_a_worker_and_nothing_is_lost(search: Search, said: str) -> None:
    from vidcls.sweep import actions

    folder = search.frozen(
        search.file(
            settings={"train__epochs": 30},
            parameters={"optim.lr": {"values": [0.003]}, "seed": {"values": [0]}},
        )
    )
    worker = start_worker(folder)
    wait_for(lambda: trains(folder, 0), what="an epoch")
    assert actions.stop(folder, kind=said, wait_s=120, say=lambda _: None)
    assert worker.wait() == ExitCode.DONE
    trial = folder.trials().refresh()[0]
    assert (trial.state, ended(trial)["kind"]) == ("waiting", "released")
    assert work(folder).reason == ("the sweep is paused" if said == "pause" else "the sweep is cancelled")
    folder.control().say("resume")
    assert work(folder).exit_code == ExitCode.DONE
    assert states(folder) == ["finished"]


def test_a_spent_budget_ends_workers_and_can_be_extended(search: Search) -> None:
    from vidcls.sweep import actions

    folder = search.frozen(search.file(TWO), until=time.time() + 3600)
    os.environ.pop("VIDCLS_JOB", None)
    actions.extend(folder, trials=0, hours=-1.0 + 1e-9, gpu_hours=0.0)
    assert "is over" in work(folder).reason
    assert states(folder) == []
    actions.extend(folder, trials=0, hours=1.0, gpu_hours=0.0)
    assert work(folder).exit_code == ExitCode.DONE
    assert states(folder) == ["finished"] * 2


def test_of_repeats_the_best_configurations_keep_their_weights(search: Search) -> None:
    """Every repeat of the best one, and none of the other, though one of its repeats may be above."""
    folder = search.frozen(search.file({"optim.lr": {"values": [1e-9, 0.003]}}), keep=1, repeats=2)
    assert work(folder).exit_code == ExitCode.DONE
    trials = folder.trials().refresh()
    best = actions.winner(folder).trials[0].configuration
    kept = {path.parent.parent for path in folder.runs_dir.rglob("best.pt")}
    assert kept == {run_of(folder, trial).folder for trial in trials if trial.configuration == best}
    for trial in trials:
        why = run_of(folder, trial).why_removed()
        assert (why is None) == (trial.configuration == best)
        assert why is None or "its best configuration (--keep 1)" in why
    result = CliRunner().invoke(app, ["evaluate", str(folder.path), "--json"])
    assert result.exit_code == 0, result.output
    shown = {row["run"]: row for row in json.loads(result.stdout)["evaluations"]}
    for trial in trials:
        row = shown[str(run_of(folder, trial).folder)]
        assert row["stored"]
        assert row["metrics"]["val/top1"] == trial.value
        assert row["point"] == {"optim.lr": trial.point["optim.lr"], "seed": trial.seed}
    table = CliRunner().invoke(app, ["evaluate", str(folder.path)])
    assert "small: optim.lr=0.003 seed=1 (best)" in table.stdout
    sealed = CliRunner().invoke(app, ["evaluate", str(folder.path), "--split", "test"])
    assert sealed.exit_code == ExitCode.PARTLY_DONE
    assert "2 runs left out: its weights were removed" in sealed.stderr
    assert "the sweep keeps the weights of its best configuration (--keep 1)" in sealed.stderr
