"""A final training: on train and val, as long as the validated run found best, and named as unvalidated."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from typer.testing import CliRunner, Result

from tests.support.training import Experiment, assert_same, rows, train_child, train_here
from vidcls.cli.main import app
from vidcls.data.manifest import load_manifest
from vidcls.errors import ExitCode
from vidcls.evaluate.ledger import ledger_of
from vidcls.run.find import find_runs
from vidcls.run.folder import Run
from vidcls.spec.load import load_spec


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def said(result: Result) -> str:
    return " ".join(result.stderr.split())


def test_the_final_training_of_an_experiment(experiment: Experiment) -> None:
    spec = experiment.spec()
    early = call("train", spec, "--final")
    assert early.exit_code == ExitCode.USER_MISTAKE
    assert "train it first: the same command without --final" in said(early)
    validated = train_here(spec)
    status = validated.status()
    assert status is not None
    result = call("train", spec, "--final")
    assert result.exit_code == ExitCode.DONE, result.stderr
    assert "unvalidated" in result.stdout
    assert "--split test   opens the sealed test split" in result.stdout
    (final,) = find_runs(experiment.folder / "runs" / "small-final")
    found = final.status()
    assert found is not None
    assert (found.epoch, found.num_epochs) == (status.best_epoch, status.best_epoch)
    assert not [name for name in found.metrics if name.startswith("val/")]
    check_its_videos(final)
    check_what_is_said_of_it(final, validated)


def check_its_videos(final: Run) -> None:
    spec = final.spec()
    manifest = load_manifest(spec.data, cache_dir=experiment_store(final))
    asked = load_manifest(spec.data.model_copy(update={"join_val": False}), cache_dir=experiment_store(final))
    assert {v.id for v in manifest.split("train")} == {v.id for v in asked.training}
    assert not manifest.split("val")
    assert manifest.split("test") == asked.split("test")
    assert manifest.hash == asked.hash
    steps = len(asked.training) // spec.train.batch_size
    (last,) = [row for row in rows(final) if row["kind"] == "epoch"][-1:]
    assert last["step"] >= steps * last["epoch"]


def experiment_store(run: Run) -> Path:
    return Path(run.provenance()["store_dir"])


def check_what_is_said_of_it(final: Run, validated: Run) -> None:
    listed = json.loads(call("runs", "ls", final.folder.parents[1], "--json").stdout)
    assert {row["run"]: row["validated"] for row in listed} == {
        str(validated.folder): "",
        str(final.folder): "unvalidated",
    }
    on_val = call("evaluate", final.folder)
    assert on_val.exit_code == ExitCode.USER_MISTAKE
    assert "it is unvalidated, and val tells nothing" in said(on_val)
    assert ledger_of(final).count == 0
    assert call("evaluate", validated.folder, "--split", "test").exit_code == ExitCode.DONE
    assert call("evaluate", final.folder, "--split", "test").exit_code == ExitCode.DONE
    # Both opened the same split, so both look into the same ledger.
    assert ledger_of(final).count == ledger_of(validated).count == 2
    again = call("train", final.spec_file, "--final")
    assert again.exit_code == ExitCode.USER_MISTAKE


def test_where_there_is_no_test_split_none_is_offered(experiment: Experiment, tmp_path: Path) -> None:
    rows = (experiment.data / "metadata" / "train.csv").read_text().splitlines()
    listed = [row.split(",") for row in rows[1:]]
    table = tmp_path / "train.csv"
    videos = experiment.data / "videos" / "train"
    table.write_text("path,label\n" + "".join(f"{videos / row[1]},{row[2]}\n" for row in listed))
    spec = experiment.spec(data__root=str(table), data__join_val=True, train__epochs=1)
    done = call("train", spec)
    assert done.exit_code == ExitCode.DONE, done.stderr
    assert "this data has no test split" in done.stdout


def test_its_learning_rate_is_that_of_the_validated_run(experiment: Experiment) -> None:
    """It ends earlier, but does not cool down earlier."""
    full = train_here(experiment.spec(runs="full", train__epochs=3))
    short = train_here(experiment.spec(runs="short", train__epochs=3, train__stop_after=2))
    rates = [[row["lr"] for row in rows(run) if row["kind"] == "step"] for run in (full, short)]
    assert rates[1] == rates[0][: len(rates[1])]
    states = [torch.load(run.checkpoint_file("last"), weights_only=True) for run in (full, short)]
    assert (states[0]["epoch"], states[1]["epoch"]) == (3, 2)


def test_killed_and_resumed_it_ends_in_the_same_weights(experiment: Experiment) -> None:
    settings = {"data__join_val": True, "train__stop_after": 2}
    whole = train_here(experiment.spec(runs="whole", **settings))
    spec = experiment.spec(runs="killed", **settings)
    assert train_child(spec, die_at_step=9) == -9
    assert_same(whole, train_here(spec))


def test_nothing_can_be_chosen_by_it(experiment: Experiment) -> None:
    spec = experiment.spec(data__join_val=True)
    sweep = experiment.folder / "sweep.yaml"
    sweep.write_text(
        f"method: grid\nmetric: {{name: val/top1, goal: maximize}}\n"
        f"command: ['${{env}}', vidcls, train, {spec}, '${{args}}']\nparameters: {{optim.lr: {{values: [0.1, 0.01]}}}}\n"
    )
    launched = call("sweep", "launch", sweep)
    assert launched.exit_code == ExitCode.USER_MISTAKE
    assert "data.join_val" in said(launched)
    assert "is for a final training" in said(launched)
    usual = experiment.spec()
    text = sweep.read_text()
    for searched in ("{values: [false, true]}", None):
        changed = (
            text if searched is None else text.replace("optim.lr:", f"data.join_val: {searched}, optim.lr:")
        )
        sweep.write_text(changed)
        words = ["data.join_val=true"] if searched is None else []
        refused = call("sweep", "launch", sweep, *words)
        assert refused.exit_code == ExitCode.USER_MISTAKE, refused.output
        assert "is for a final training" in said(refused)
    assert load_spec(usual).spec.data.join_val is False
    spec = experiment.spec(data__join_val=True)
    assert call("crossval", spec).exit_code == ExitCode.USER_MISTAKE
    too_late = call("train", spec, "train.stop_after=9")
    assert "stop_after: 9 is more than epochs: 3" in said(too_late)
    assert load_spec(spec).spec.train.num_epochs == 3
