"""A sweep's folder is the whole sweep: moved, copied or reached through a link, and never another one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.support.clusters import said, vidcls
from tests.support.sweeps import Search, ended, run_of, start_worker, states, undisturbed, work
from tests.support.training import Experiment, assert_same
from tests.support.waiting import wait_for
from vidcls.cli import app
from vidcls.errors import ExitCode, VidclsError
from vidcls.sweep.clean import clean as clean_sweep
from vidcls.sweep.storage.folder import SweepFolder

pytestmark = pytest.mark.long

LEASE_S = 2.0


@pytest.fixture
def search(experiment: Experiment) -> Search:
    return Search(experiment)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, demo: Path) -> SweepFolder:
    """Four finished trials, of which three keep their weights."""
    search = Search(Experiment(tmp_path_factory.mktemp("moved"), demo))
    folder = search.frozen(search.file(settings={"train__epochs": 1}), keep=3)
    assert work(folder).exit_code == ExitCode.DONE
    assert weights(folder) == 3
    return folder


@pytest.fixture
def worked(finished: SweepFolder, tmp_path: Path) -> SweepFolder:
    """A copy of that sweep, which a test may change."""
    return copied(finished, tmp_path / "worked")


def weights(folder: SweepFolder) -> int:
    return len(list(folder.runs_dir.rglob("best.pt")))


def clean(folder: SweepFolder, keep: int) -> int:
    return clean_sweep(folder, keep=keep, say=lambda _: None)


def copied(folder: SweepFolder, path: Path) -> SweepFolder:
    """A copy, also of a sweep at work: what is being written beside its name is gone before it can be copied."""
    shutil.copytree(folder.path, path, symlinks=True, ignore=shutil.ignore_patterns("*.tmp"))
    return SweepFolder(path)


def linked(folder: SweepFolder, path: Path) -> SweepFolder:
    path.symlink_to(folder.path)
    return SweepFolder(path)


def best_of(folder: SweepFolder, number: int) -> Sequence[Path]:
    trials = sorted(folder.trials().refresh(), key=lambda trial: (-(trial.value or 0.0), trial.number))
    return [run_of(folder, trial).folder for trial in trials[:number]]


def test_clean_keeps_what_it_was_told_to_keep_by_whatever_path(worked: SweepFolder, tmp_path: Path) -> None:
    link, copy = linked(worked, tmp_path / "link"), copied(worked, tmp_path / "copy")
    assert clean(link, 3) == 0
    assert clean(copy, 3) == 0
    assert weights(worked) == weights(copy) == 3
    assert clean(copy, 1) > 0
    assert (weights(worked), weights(copy)) == (3, 1)
    assert all((run / "checkpoints" / "best.pt").is_file() for run in best_of(copy, 1))
    moved = SweepFolder(worked.path.rename(tmp_path / "moved"))
    assert clean(moved, 2) > 0
    assert (weights(moved), weights(copy)) == (2, 1)
    assert all((run / "checkpoints" / "best.pt").is_file() for run in best_of(moved, 2))
    shown = said("sweep", "status", moved.path)
    assert [Path(row["run"]) for row in shown["best"]] == list(best_of(moved, 4))


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["copy", "link", "move", "clean"]), st.integers(0, 99), st.integers(0, 4)),
    min_size=1,
    max_size=10,
)


def after(operations: Sequence[tuple[str, int, int]], finished: SweepFolder, root: Path) -> None:
    """Do all of it, and after each look at the weights of every sweep: the best, as many as were asked for."""
    sweeps = {copied(finished, root / "0").path: 3}
    paths = dict.fromkeys(sweeps, next(iter(sweeps)))  # a path or a link, and the sweep that it leads to
    for number, (what, chosen, keep) in enumerate(operations, start=1):
        path = list(paths)[chosen % len(paths)]
        real, new = paths[path], root / str(number)
        match what:
            case "copy":
                shutil.copytree(path, new, symlinks=True)
                sweeps[new], paths[new] = sweeps[real], new
            case "link":
                new.symlink_to(path)
                paths[new] = real
            case "move":
                real.rename(new)
                sweeps[new] = sweeps.pop(real)
                paths = {link: to for link, to in paths.items() if to != real} | {new: new}
            case "clean":
                clean(SweepFolder(path), keep)
                sweeps[real] = min(keep, sweeps[real])
        for sweep, num_kept in sweeps.items():
            folder = SweepFolder(sweep)
            kept = {file.parents[1] for file in folder.runs_dir.rglob("best.pt")}
            assert kept == set(best_of(folder, num_kept)), (what, path, sweep)


@given(OPERATIONS)
@settings(max_examples=8)
def test_no_order_of_moves_copies_links_and_cleans_removes_what_is_to_be_kept(
    finished: SweepFolder, operations: Sequence[tuple[str, int, int]]
) -> None:
    with tempfile.TemporaryDirectory() as root:
        after(operations, finished, Path(root))


@pytest.mark.slow
@given(OPERATIONS)
@settings(max_examples=300)
def test_three_hundred_orders_of_moves_copies_links_and_cleans(
    finished: SweepFolder, operations: Sequence[tuple[str, int, int]]
) -> None:
    with tempfile.TemporaryDirectory() as root:
        after(operations, finished, Path(root))


def test_clean_removes_nothing_while_a_run_that_must_be_kept_is_missing(worked: SweepFolder) -> None:
    (best,) = best_of(worked, 1)
    aside = best.rename(worked.path / "aside")
    done = vidcls("sweep", "clean", worked.path, "--keep", 1)
    assert done.returncode == ExitCode.FAILED
    assert "is missing; nothing was removed" in " ".join(done.stderr.split())
    aside.rename(best)
    assert weights(worked) == 3
    assert clean(worked, 1) > 0
    assert (best / "checkpoints" / "best.pt").is_file()


def test_a_trial_names_no_run_outside_of_its_sweep(worked: SweepFolder) -> None:
    run = str(ended(worked.trials().refresh()[0])["run"])
    file = worked.path / "trials" / "00000" / "end-001.json"
    for name in ("/runs/small/a-s0", "../other/runs/small/a-s0"):
        file.write_text(file.read_text().replace(run, name))
        with pytest.raises(VidclsError, match="names a run outside of the sweep"):
            clean(worked, 4)
        run = name
    assert weights(worked) == 3


def test_a_sweep_that_was_moved_goes_on_where_it_is(search: Search, tmp_path: Path) -> None:
    search.experiment.settings["train__epochs"] = 20
    folder = search.frozen(search.file({"optim.lr": {"values": [0.003]}}), lease_s=LEASE_S)
    worker = start_worker(folder)
    wait_for(lambda: "epoch 2/" in log_of(folder), what="two epochs")
    worker.terminate()
    worker.wait()
    assert states(folder) == ["waiting"]
    assert clean(folder, 0) == 0, "what a trial goes on from is not removed"
    moved = SweepFolder(folder.path.rename(tmp_path / "moved"))
    assert work(moved).exit_code == ExitCode.DONE
    (trial,) = moved.trials().refresh()
    assert f"{run_of(moved, trial).folder}: resumed" in log_of(moved)
    assert run_of(moved, trial).folder.is_relative_to(moved.path)
    assert not folder.path.exists()
    assert_same(run_of(moved, trial), undisturbed(search, trial, runs="alone"))


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def log_of(folder: SweepFolder) -> str:
    log = folder.trial_log(0)
    return log.read_text() if log.exists() else ""


@pytest.mark.slow
def test_a_checkpoint_that_is_gone_is_said_in_the_log(search: Search) -> None:
    parameters = {"optim.lr": {"values": [0.003]}}
    folder = search.frozen(search.file(parameters, settings={"train__epochs": 20}), lease_s=LEASE_S)
    worker = start_worker(folder)
    wait_for(lambda: "epoch 1/" in log_of(folder), what="an epoch")
    worker.terminate()
    worker.wait()
    shutil.rmtree(folder.runs_dir)
    assert work(folder).exit_code == ExitCode.DONE
    assert "epochs of this trial were finished, but its checkpoint is from epoch 0" in log_of(folder)


def test_a_copy_leaves_the_workers_of_the_original_alone(search: Search, tmp_path: Path) -> None:
    file = search.file({"optim.lr": {"values": [0.003]}}, settings={"train__epochs": 500})
    launched = vidcls("sweep", "launch", file, "--workers", 1, "--lease", LEASE_S)
    assert launched.returncode == 0, launched.stderr
    folder = SweepFolder.open(search.experiment.folder / "runs")
    wait_for(lambda: "epoch 1/" in log_of(folder), what="an epoch")
    copy = copied(folder, tmp_path / "copy")
    (task,) = said("sweep", "status", folder.path)["workers"]
    status = said("sweep", "status", copy.path)
    assert any("this folder is a copy of that one" in note for note in status["notes"])
    assert vidcls("sweep", "cancel", copy.path).returncode == 0
    before = log_of(folder).count("epoch ")
    assert not has_ended(int(task["name"].rpartition("_")[2]))
    wait_for(lambda: log_of(folder).count("epoch ") > before, what="the original to go on")
    assert said("sweep", "status", folder.path)["state"] == "running"
    assert task["name"] == said("sweep", "status", folder.path)["workers"][0]["name"]
    assert vidcls("sweep", "cancel", folder.path).returncode == 0
    pid = int(task["name"].rpartition("_")[2])
    wait_for(lambda: has_ended(pid), what="the worker to end")


def test_removing_a_sweep_through_a_link_removes_the_sweep_and_the_link(
    worked: SweepFolder, tmp_path: Path
) -> None:
    copy, link = copied(worked, tmp_path / "copy"), linked(worked, tmp_path / "link")
    assert vidcls("sweep", "clean", link.path, "--all", "--yes").returncode == 0
    assert not worked.path.exists()
    assert not link.path.is_symlink()
    assert weights(copy) == 3


def test_videos_that_are_not_where_they_were_are_said_before_anything_is_submitted(search: Search) -> None:
    folder = search.frozen(search.file())
    folder.base_file.write_text(folder.base_file.read_text().replace(folder.base().data.root, "/nowhere"))
    done = vidcls("sweep", "resume", folder.path, "--workers", 1)
    assert done.returncode == ExitCode.USER_MISTAKE
    assert "/nowhere: the videos of the sweep are not here" in " ".join(done.stderr.split())
    assert folder.submissions().all() == []


def test_what_cannot_go_on_is_not_extended_first(search: Search) -> None:
    """So that the same command, given again once the videos are back, adds its trials once."""
    folder = search.frozen(search.file())
    folder.base_file.write_text(folder.base_file.read_text().replace(folder.base().data.root, "/nowhere"))
    extend = ["sweep", "extend", "5", str(folder.path), "--workers", "1", "--cluster", "local"]
    done = CliRunner().invoke(app, extend)
    assert done.exit_code == ExitCode.USER_MISTAKE
    assert "the videos of the sweep are not here" in " ".join(done.stderr.split())
    assert folder.control().current().extra_trials == 0


def test_a_launch_on_videos_that_are_not_there_leaves_nothing(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(search.experiment.folder)
    file = search.file(settings={"data__root": str(search.experiment.data) + "s"})
    launched = CliRunner().invoke(app, ["sweep", "launch", str(file)])
    assert launched.exit_code == ExitCode.USER_MISTAKE
    assert f"did you mean {search.experiment.data}?" in "".join(launched.stderr.split("\n"))
    assert not (search.experiment.folder / "runs").exists()
