"""A data set of one's own trains as any other data: resumed to the bit, with test sealed."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from tests.support.own_dataset import data_of, write_dataset
from tests.support.training import Experiment, assert_same, train_child, train_here
from tests.support.waiting import wait_for
from vidcls.cli import app
from vidcls.data.user_dataset.seeding import seeded
from vidcls.errors import UserError, VidclsError
from vidcls.evaluate.ledger import ledger_of
from vidcls.evaluate.run_data import data_of as data_of_run
from vidcls.process.signals import StoppedError
from vidcls.run.folder import Run
from vidcls.study.evidence import load_evidence

pytestmark = [pytest.mark.long]


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.fixture
def own(tmp_path: Path) -> Experiment:
    data = data_of(write_dataset(tmp_path), num=13, log=str(tmp_path / "log"))
    return Experiment(tmp_path, tmp_path, settings={"data": data | {"workers": 0}})


def splits_made(folder: Path) -> set[str]:
    return set((folder / "log").read_text().split())


BYTES = """
class Bytes(Squares):
    def __getitem__(self, index):
        return torch.from_numpy(self.frames(index)).permute(3, 0, 1, 2), self.labels[index]
"""


@pytest.mark.parametrize("change", ["", BYTES], ids=["float", "bytes"])
def test_a_killed_training_ends_in_the_same_weights_with_any_number_of_workers(
    tmp_path: Path, change: str
) -> None:
    target = write_dataset(tmp_path, change)
    data = data_of(target, num=13)
    own = Experiment(tmp_path, tmp_path, settings={"data": data | {"workers": 0}})
    assert train_child(own.spec(runs="alone")) == 0
    spec = own.spec(runs="killed", data__workers=2, train__checkpoint_every_s=0.01)
    assert train_child(spec, die_at_step=5) == -signal.SIGKILL
    assert train_child(spec) == 0
    assert_same(own.run("alone"), own.run("killed"))
    assert own.run("killed").provenance()["residency"] == "dataset"


PID = """
import os

class Known(Squares):
    def __init__(self, folder, **others):
        super().__init__(**others)
        (Path(folder) / f"{os.getpid()}.pid").touch()
"""


def test_the_workers_of_a_killed_training_end_too(tmp_path: Path) -> None:
    own = Experiment(
        tmp_path, tmp_path, settings={"data": data_of(write_dataset(tmp_path, PID), folder=str(tmp_path))}
    )
    assert train_child(own.spec(data__workers=2), die_at_step=1) == -signal.SIGKILL
    made = [int(path.stem) for path in tmp_path.glob("*.pid")]
    assert len(made) > 1  # the training, which made it for its labels, and workers
    wait_for(lambda: not any(map(psutil.pid_exists, made)), what="the workers to end")


def test_the_test_split_is_made_by_its_evaluation_alone(own: Experiment, tmp_path: Path) -> None:
    spec = own.spec()
    assert run("train", spec, "--dry-run", "--device", "cpu").exit_code == 0
    assert run("train", spec, "--device", "cpu").exit_code == 0
    found = run(
        "data", "scan", own.settings["data"]["target"], "--args", "num=13", "--args", f"log={tmp_path}/log"
    )
    assert (found.exit_code, "13" in found.output) == (0, True), found.output
    assert run("evaluate", own.run().folder).exit_code == 0
    assert splits_made(tmp_path) == {"train", "val"}
    scored = run("evaluate", own.run().folder, "--split", "test", "--json")
    assert scored.exit_code == 0, scored.output
    assert splits_made(tmp_path) == {"train", "val", "test"}
    ledgers = list((tmp_path / "store" / "ledgers").glob("*.jsonl"))
    assert [line for line in ledgers[0].read_text().splitlines() if line.strip()]
    assert len(ledgers) == 1


@pytest.mark.parametrize("groups", [True, False])
def test_groups_say_whether_test_leaks(tmp_path: Path, groups: bool) -> None:
    change = """
class Grouped(Squares):
    @property
    def groups(self):
        return [self.split + str(n) if n or self.split == "val" else "film" for n in range(len(self))]
"""
    target = write_dataset(tmp_path, change if groups else "")
    own = Experiment(tmp_path, tmp_path, settings={"data": data_of(target) | {"workers": 0}})
    trained = train_here(own.spec(train__epochs=1))
    assert trained.provenance()["leaks"]["state"] == ("clean" if groups else "unknown")
    scored = run("evaluate", trained.folder, "--split", "test", "--json")
    assert scored.exit_code == 0, scored.output
    report = json.loads((trained.report_dir("test", "best") / "metrics.json").read_text())
    assert report["leak_state"] == ("leaky 16 %" if groups else "unknown")


FAILING = """
class Failing(Squares):
    def __getitem__(self, index):
        if index == 7:
            raise OSError("the disk is gone")
        return super().__getitem__(index)
"""


@pytest.mark.parametrize("workers", [0, 1])
def test_an_item_that_fails_is_named_with_its_line(tmp_path: Path, workers: int) -> None:
    target = write_dataset(tmp_path, FAILING)
    own = Experiment(tmp_path, tmp_path, settings={"data": data_of(target, num=13) | {"workers": workers}})
    line = 1 + Path(target.rpartition(":")[0]).read_text().splitlines().index(
        '            raise OSError("the disk is gone")'
    )
    with pytest.raises(UserError, match=rf"own\.py:{line}: OSError: the disk is gone \(in train\[7\]\)"):
        train_here(own.spec())


@pytest.mark.parametrize("workers", [0, 1])
def test_an_item_that_ends_the_program_is_named_with_its_line(tmp_path: Path, workers: int) -> None:
    target = write_dataset(
        tmp_path, FAILING.replace('raise OSError("the disk is gone")', "raise SystemExit(2)")
    )
    own = Experiment(tmp_path, tmp_path, settings={"data": data_of(target, num=13) | {"workers": workers}})
    done = run("train", own.spec(), "--device", "cpu")
    assert done.exit_code == 2
    assert "SystemExit: 2 (in train[7])" in done.output
    assert "raise an error in its place" in done.output


def test_a_worker_that_dies_is_said(tmp_path: Path) -> None:
    dies = "\n\nclass Dies(Squares):\n    def __getitem__(self, index):\n        import os\n        os._exit(3)\n"
    target = write_dataset(tmp_path, dies)
    own = Experiment(tmp_path, tmp_path, settings={"data": data_of(target) | {"workers": 1}})
    done = run("train", own.spec(), "--device", "cpu")
    assert done.exit_code == 1
    assert "a worker that makes clips died: exit code 3" in done.output


HANGS = """
class Hangs(Squares):
    def __init__(self, split="train", flag=None):
        super().__init__(split, num=13)
        self.flag = flag

    def __getitem__(self, index):
        import os, signal, threading
        if self.split == "train" and index == 7 and Path(self.flag).exists():
            if training := Path(self.flag).read_text():
                os.kill(int(training), signal.SIGINT)
            threading.Event().wait()
        return super().__getitem__(index)
"""


def test_a_signal_ends_the_wait_for_an_item_that_hangs(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    data = data_of(write_dataset(tmp_path, HANGS), flag=str(flag))
    own = Experiment(tmp_path, tmp_path, settings={"data": data | {"workers": 1}})
    train_here(own.spec(runs="alone"))
    flag.write_text(str(os.getpid()))
    spec = own.spec(runs="stopped")
    with pytest.raises(StoppedError, match=r"SIGINT: saved at epoch 1, step \d"):
        train_here(spec)
    flag.unlink()
    train_here(spec)
    assert_same(own.run("alone"), own.run("stopped"))


def test_an_item_that_hangs_is_named_after_the_time_limit(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    data = data_of(write_dataset(tmp_path, HANGS), flag=str(flag))
    own = Experiment(tmp_path, tmp_path, settings={"data": data | {"workers": 1, "timeout_s": 1}})
    with pytest.raises(
        VidclsError, match=r"a batch of \d items was not made in \d+ s: one of .*train\[7\].* hangs"
    ):
        train_here(own.spec())


def test_a_frozen_backbone_computes_in_each_epoch_since_clips_may_differ(own: Experiment) -> None:
    done = run("train", own.spec(train__epochs=1, model__freeze=["backbone"]), "--device", "cpu")
    assert done.exit_code == 0
    assert "data.target may draw other clips in each epoch" in done.output


def test_arguments_are_overridden_and_searched(own: Experiment, tmp_path: Path) -> None:
    spec = own.spec(train__epochs=1)
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text(
        "method: grid\nmetric: {name: val/top1, goal: maximize}\n"
        f"command: [vidcls, train, {spec}, '${{args}}']\nparameters: {{data.args.num: {{values: [6, 9]}}}}\n"
    )
    found = run("sweep", "check", sweep)
    assert found.exit_code == 0, found.output
    assert "2 points" in found.output
    assert run("train", spec, "data.args.num=9", "--device", "cpu").exit_code == 0
    assert own.run().spec().data.args["num"] == 9
    wrong = run("train", spec, "data.args.nun=9", "--device", "cpu")
    assert (wrong.exit_code, "did you mean data.args.num?" in wrong.output) == (2, True)


def test_what_needs_files_is_refused_with_the_reason(own: Experiment) -> None:
    spec = own.spec(train__epochs=1)
    target = own.settings["data"]["target"]
    train_here(spec)
    for words in (
        ["predict", own.run().folder, spec.parent / "own.py"],
        ["crossval", spec, "--folds", "2"],
        ["leak", spec],
        ["data", "audit", target],
        ["data", "split", target, "--out", "x.csv"],
    ):
        refused = run(*words)
        assert refused.exit_code == 2, (words, refused.output)
        assert "own" in refused.output


def test_making_an_item_leaves_the_generators_of_a_training_alone() -> None:
    def drawn() -> list[float]:
        return [random.random(), float(np.random.rand()), float(torch.rand(1))]  # noqa: NPY002

    def states() -> list[str]:
        return [str(state()) for state in (random.getstate, np.random.get_state, torch.get_rng_state)]

    before = states()
    with seeded(1, 2, "train", 3):
        first = drawn()
    with seeded(1, 2, "train", 3):
        assert drawn() == first
    with seeded(1, 3, "train", 3):
        assert not set(drawn()) & set(first)
    assert states() == before


MADE_OF_FILMS = """
class Films(Squares):
    groups = property(lambda self: [f"{self.split}-film{n // 2}" for n in range(len(self))])
"""


@pytest.fixture(scope="module")
def scored_on_test(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on a data set with groups, whose test split was scored."""
    folder = tmp_path_factory.mktemp("films")
    data = data_of(write_dataset(folder, MADE_OF_FILMS), num=13, log=str(folder / "log"))
    trained = train_here(
        Experiment(folder, folder, settings={"data": data | {"workers": 0}}).spec(train__epochs=1)
    )
    assert run("evaluate", trained.folder).exit_code == 0
    assert run("evaluate", trained.folder, "--split", "test").exit_code == 0
    return trained


def test_groups_of_test_items_are_known_once_test_was_scored(scored_on_test: Run) -> None:
    table = scored_on_test.report_dir("test", "best") / "predictions.csv"
    before = table.read_text()
    assert "test-film6" in before
    table.unlink()
    assert run("evaluate", scored_on_test.folder, "--split", "test").exit_code == 0
    assert table.read_text() == before
    exported = run("runs", "export", scored_on_test.folder, "--per-video", "--split", "test")
    assert exported.stdout.count("test-film") == 13
    evidence = load_evidence([scored_on_test], "test", checkpoint="best")
    assert (evidence.unit, evidence.num_groups) == ("groups", 7)


def test_groups_of_test_items_do_not_open_test(scored_on_test: Run, tmp_path: Path) -> None:
    ledger = ledger_of(scored_on_test).path
    kept = ledger.rename(tmp_path / "ledger")
    log = scored_on_test.folder.parents[2] / "log"
    log.unlink()
    _, manifest = data_of_run(scored_on_test, "test")
    assert not [video.id for video in manifest.videos if video.id.startswith("test/")]
    assert set(log.read_text().split()) == {"train", "val"}
    kept.rename(ledger)


def test_mistakes_are_drawn_from_the_clips_of_the_data_set(scored_on_test: Run, tmp_path: Path) -> None:
    for split in ("val", "test"):
        sheet = tmp_path / f"{split}.png"
        drawn = run("mistakes", scored_on_test.folder, "--split", split, "--out", sheet)
        assert (drawn.exit_code, "no frames" in drawn.output) == (0, False), drawn.output
        with Image.open(sheet) as picture:
            assert len(picture.convert("RGB").getcolors(2**24)) > 1000  # noises of the clips


def test_groups_are_known_without_the_code_of_the_data_set(scored_on_test: Run, tmp_path: Path) -> None:
    code = scored_on_test.code_dir
    kept = code.rename(tmp_path / "code")
    exported = run("runs", "export", scored_on_test.folder, "--per-video", "--split", "test")
    assert exported.stdout.count("test-film") == 13
    kept.rename(code)
