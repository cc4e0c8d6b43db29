"""Heads on stored features, which one child trains one after the other: each as if it was trained alone."""

from __future__ import annotations

import os
import shutil
import signal
from multiprocessing.connection import Connection

import pytest

from tests.support.sweeps import Search, run_of, states, undisturbed, work
from tests.support.training import Experiment, assert_same
from vidcls.data.manifest import Manifest, load_manifest
from vidcls.errors import ExitCode
from vidcls.kept import MOST, keeping, kept
from vidcls.spec.data import DataSection
from vidcls.sweep.search.scheduler import Scheduler
from vidcls.sweep.storage.folder import SweepFolder
from vidcls.sweep.worker.messages import TrialOutcome, TrialRequest, enter
from vidcls.sweep.worker.trial_process import TrialLauncher

pytestmark = pytest.mark.decoded

STREAM = {
    "kind": "frame_statistics",
    "backbone": "efficientnet_lite0",
    "weights": "default",
    "freeze": ["backbone"],
}
HEADS = {
    "model": {"kind": "two_stream", "rgb": {**STREAM}, "motion": {**STREAM}, "fusion": "logits"},
    "clip__modality": "rgb+difference",
    "clip__size": [32, 32],
}
PARAMETERS = {"model.rgb.dropout": {"values": [0.0, 0.3]}}


@pytest.fixture
def search(experiment: Experiment) -> Search:
    experiment.settings.update(HEADS)
    return Search(experiment)


def counted(request: TrialRequest, worker: Connection, alive: Connection) -> None:
    """Main function of a child that leaves a line when it starts."""
    with (request.log_file.parent / "starts").open("a") as file:
        file.write(f"{os.getpid()}\n")
    enter(request, worker, alive)


def starts(folder: SweepFolder) -> list[str]:
    """The process of every child that was started."""
    return [pid for file in folder.path.rglob("starts") for pid in file.read_text().split()]


@pytest.mark.long
def test_one_child_trains_all_heads_and_each_is_what_training_it_alone_gives(search: Search) -> None:
    folder = search.frozen(search.file(PARAMETERS), keep=4, repeats=2)
    assert work(folder, counted).exit_code == ExitCode.DONE
    trials = folder.trials().refresh()
    assert [trial.state for trial in trials] == ["finished"] * 4
    assert len({trial.seed for trial in trials}) == 2
    assert len(starts(folder)) == 1
    for trial in trials:
        assert_same(run_of(folder, trial), undisturbed(search, trial, runs=f"alone{trial.number}"))


def test_data_that_changes_between_two_heads_is_read_again(experiment: Experiment) -> None:
    data = DataSection(root=str(shutil.copytree(experiment.data, experiment.folder / "own")))

    def read() -> Manifest:
        return load_manifest(data, cache_dir=experiment.folder)

    with keeping():
        before = kept("data", read, state_of=Manifest.state_on_disk)
        assert kept("data", read, state_of=Manifest.state_on_disk) is before, "read once"
        video = before.videos[0].path
        video.write_bytes(video.read_bytes() + bytes(8))  # it plays as before, with another digest
        after = kept("data", read, state_of=Manifest.state_on_disk)
    assert after.hash != before.hash
    assert after.hash == read().hash


def test_only_the_values_that_were_asked_for_last_are_kept() -> None:
    made: list[str] = []

    def ask(key: str) -> None:
        def make() -> str:
            made.append(key)
            return key

        assert kept(key, make) == key

    with keeping():
        ask("of every trial")
        for number in range(MOST):
            ask(f"of trial {number}")
            ask("of every trial")
        assert len(made) == MOST + 1, "what every trial asks for is made once"
        ask("of trial 0")
        ask(f"of trial {MOST - 1}")
    assert made[MOST + 1 :] == ["of trial 0"], "it was the oldest"


@pytest.mark.long
def test_other_trials_get_a_child_each(experiment: Experiment) -> None:
    search = Search(experiment)
    folder = search.frozen(search.file({"optim.lr": {"values": [0.001, 0.003]}}))
    assert work(folder, counted).exit_code == ExitCode.DONE
    assert states(folder) == ["finished"] * 2
    assert len(starts(folder)) == 2


def staying(request: TrialRequest, worker: Connection, alive: Connection) -> None:
    """Main function of a child that has done every request at once, and stays."""
    while True:
        worker.send(TrialOutcome("finished", "", {"pid": os.getpid()}, stays=True))
        worker.recv()


def test_a_child_that_was_killed_while_it_waited_is_replaced(search: Search) -> None:
    folder = search.frozen(search.file(PARAMETERS))
    scheduler = Scheduler(folder, worker="me", is_dead=lambda _: False, epoch_of=lambda _: 0)
    launcher = TrialLauncher(staying)
    request = TrialRequest(folder.base_file, (), 0, "cpu", 1, folder.trial_log(0), 1.0, 60.0)
    pids = []
    for kills in (False, True, False):
        taken = scheduler.take(set())
        assert taken is not None
        child = launcher.start(*taken, request)
        while not isinstance(outcome := child.listen(), TrialOutcome):
            child.pipe.poll(None)
        pids.append(outcome.facts["pid"])
        launcher.end(child, outcome)
        if kills:
            os.kill(pids[-1], signal.SIGKILL)
            child.process.join()
    launcher.close()
    assert pids[0] == pids[1] != pids[2]
    assert not child.process.is_alive()
