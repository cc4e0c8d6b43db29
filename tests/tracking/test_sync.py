"""`vidcls sync` brings runs up from their folders, whole and once, to a server that stands in."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wandb
from typer.testing import CliRunner

from tests.support.scored import PROVENANCE
from tests.support.training import Experiment
from tests.support.waiting import PATIENCE_S
from tests.support.wandb_records import ServerRun
from tests.support.wandb_state import WandbServer
from vidcls.cli import app
from vidcls.errors import UserError, VidclsError
from vidcls.evaluate.predictions import Predictions
from vidcls.leaks.state import LeakState
from vidcls.run.folder import Run
from vidcls.run.shapes import RunState, Status
from vidcls.spec.load import load_spec
from vidcls.tracking import sync
from vidcls.tracking.jsonl import MetricsFile, Row
from vidcls.tracking.wandb import open_tracker

NUM_ROWS = 6


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return Experiment(tmp_path, tmp_path / "no data")


def rows(num: int = NUM_ROWS) -> list[Row]:
    return [{"kind": "epoch", "epoch": i + 1, "step": 5 * i, "val/top1": i / 10} for i in range(num)]


def make_run(experiment: Experiment, name: str = "a", *, num_rows: int = NUM_ROWS, **settings: Any) -> Run:
    """A run as training leaves it: finished if it has all rows, else interrupted."""
    spec = load_spec(experiment.spec(name=name, **{"tracking__mode": "auto", **settings})).spec
    run = Run.at(spec, "0123456789ab")
    if not run.spec_file.exists():
        clean = LeakState.of({"val": (0, 2)}, by="group")
        data = {"manifest": {"hash": "0"}, "data_root": spec.data.root, "store_dir": spec.store_dir}
        run.create(spec, PROVENANCE | data | {"leaks": clean.as_dict()})
    file = MetricsFile(run.metrics_file)
    file.truncate_to(0)
    for row in rows(num_rows):
        file.append(row)
    file.close()
    state: RunState = "finished" if num_rows == NUM_ROWS else "interrupted"
    run.write_status(Status(state, num_rows, NUM_ROWS, metrics={"val/top1": 0.5}))
    if state == "finished":
        run.checkpoint_file("best").parent.mkdir(exist_ok=True)
        run.checkpoint_file("best").write_bytes(b"weights")
        logits, labels = np.eye(2, dtype=np.float32), np.array([0, 1])
        Predictions(
            ids=("v", "w"),
            labels=labels,
            groups=("", ""),
            views=np.ones(2, dtype=np.int64),
            logits=logits,
            classes=("up", "down"),
            split="val",
            checkpoint="best",
            epoch=1,
            manifest_hash="0",
        ).save(run.predictions_file("val", "best"))
    return run


def vidcls_sync(*folders: Path) -> tuple[int, list[dict[str, Any]]]:
    done = CliRunner().invoke(app, ["sync", *map(str, folders), "--json"])
    return done.exit_code, json.loads(done.stdout) if done.stdout else []


def assert_whole(shown: ServerRun) -> None:
    metrics = [row for row in shown.rows if "val/top1" in row]
    assert [row["_step"] for row in shown.rows] == list(range(len(shown.rows)))
    assert [(row["epoch"], row["val/top1"]) for row in metrics] == [(i + 1, i / 10) for i in range(NUM_ROWS)]


def test_a_sweeps_runs_come_up_as_one_group_as_often_as_one_likes(
    online: WandbServer, experiment: Experiment
) -> None:
    first = make_run(experiment, "a", tracking__group="lr", tracking__project="motion")
    make_run(experiment, "b", tracking__group="lr", tracking__project="motion")
    assert vidcls_sync(experiment.folder / "runs")[0] == 0
    seen = {name: list(shown.lines) for name, shown in online.runs.items()}
    artifacts = len(online.artifacts)
    code, results = vidcls_sync(experiment.folder / "runs")
    assert code == 0
    assert results[0]["wandb"] == [f"team/motion/{first.wandb_id}"]

    assert len(online.runs) == 2
    for shown in online.runs.values():
        assert_whole(shown)
        assert shown.lines == seen[shown.id]
        assert (shown.state, shown.group, shown.project) == ("finished", "lr", "motion")
        assert shown.summary["best/val/top1"] == 0.5
        assert "val/confusion" in str(shown.files) + str(shown.lines)
        assert shown.config["clip"]["value"]["frames"] == 4
        assert shown.config["leak_state"]["value"] == "clean"
    weights = [a for a in online.artifacts.values() if a["artifactTypeName"] == "model"]
    assert [(a["state"], a["files"]["best.pt"]) for a in weights] == [("COMMITTED", b"weights")] * 2
    assert len(online.artifacts) == artifacts
    assert online.unknown == set()


def test_what_an_interrupted_run_lacks_is_filled_in(online: WandbServer, experiment: Experiment) -> None:
    sync.upload(make_run(experiment, num_rows=2), leak_state="leaky 92 %")
    (shown,) = online.runs.values()
    assert (shown.state, len(shown.rows)) == ("preempted", 2)
    sync.upload(make_run(experiment), leak_state="leaky 92 %")
    assert shown.state == "finished"
    assert_whole(shown)


CUT_OFF = """
import sys
import time
from pathlib import Path
import psutil
from tests.tracking.test_sync import rows, track
from vidcls.run.folder import Run

run = Run(Path(sys.argv[1]))
tracker = track(run, warn=print)
for row in rows(3):
    tracker.log(row)
while not list(run.folder.glob("wandb/mirrors.json")):
    time.sleep(0.01)
for child in psutil.Process().children(recursive=True):
    child.kill()
for row in rows()[3:]:
    tracker.log(row)
tracker.finish(exit_code=0)
"""


def track(run: Run, **options: Any) -> Any:
    spec = run.spec()
    return open_tracker(
        spec.tracking,
        run_dir=run.folder,
        run_id=run.wandb_id,
        name="a",
        group="a",
        spec={},
        leak_state="leaky 92 %",
        history=[],
        **options,
    )


@pytest.mark.parametrize("gone", [False, True])
def test_a_run_whose_client_was_killed_becomes_whole(
    gone: bool, online: WandbServer, experiment: Experiment
) -> None:
    run = make_run(experiment)
    command = [sys.executable, "-c", CUT_OFF, str(run.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    assert "vidcls sync" in done.stdout
    (shown,) = online.runs.values()
    assert len(shown.rows) < NUM_ROWS
    if gone:  # W&B's own files were on a scratch disk that was cleaned
        for path in sorted((run.folder / "wandb").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    sync.upload(run, leak_state="leaky 92 %")
    assert list(online.runs) == [shown.id]
    assert_whole(shown)
    assert shown.state == "finished"


def test_a_run_of_an_agent_stays_the_agents(
    online: WandbServer, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(experiment)
    with monkeypatch.context() as agent:
        for name, value in (("SWEEP_ID", "s1"), ("RUN_ID", "given"), ("PROJECT", "theirs")):
            agent.setenv(f"WANDB_{name}", value)
        wandb.teardown()
        tracker = track(run, warn=pytest.fail)
        for row in rows(2):
            tracker.log(row)
        tracker.finish(exit_code=75, preempted=True)
    wandb.teardown()
    sync.upload(run, leak_state="leaky 92 %")
    (shown,) = online.runs.values()
    assert (shown.id, shown.project, shown.sweep, shown.state) == ("given", "theirs", "s1", "finished")
    assert_whole(shown)
    assert online.artifacts == {}


def test_a_restarted_run_is_another_one(online: WandbServer, experiment: Experiment) -> None:
    run = make_run(experiment)
    sync.upload(run, leak_state="leaky 92 %")
    run.set_aside()
    sync.upload(make_run(experiment, num_rows=1), leak_state="leaky 92 %")
    assert [len(shown.values("val/top1")) for shown in online.runs.values()] == [NUM_ROWS, 1]


def test_a_server_in_trouble_for_a_while_costs_nothing(online: WandbServer, experiment: Experiment) -> None:
    troubles = iter([503, 0, 500])
    online.fault = lambda operation: next(troubles, None) if operation in ("file_stream", "put") else None
    sync.upload(make_run(experiment), leak_state="leaky 92 %")
    (shown,) = online.runs.values()
    assert_whole(shown)
    assert next(troubles, None) is None


def test_what_cannot_be_sent_is_named_and_the_rest_goes_up(
    online: WandbServer, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(experiment, "a")
    damaged = make_run(experiment, "b")
    damaged.metrics_file.write_text("no json\n")
    code, results = vidcls_sync(experiment.folder / "runs")
    assert (code, [r["state"] for r in results]) == (3, ["uploaded", "failed"])
    assert "metrics.jsonl:1" in results[1]["detail"]

    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "1")
    online.fault = lambda _: 0
    code, results = vidcls_sync(experiment.folder / "runs" / "a")
    assert (code, results[0]["state"]) == (1, "failed")
    with pytest.raises(VidclsError, match="not everything was sent"):
        sync.upload(make_run(experiment, "a"), leak_state="leaky 92 %")


def test_without_a_key_nothing_begins(
    online: WandbServer, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("NETRC", str(experiment.folder / "none"))
    with pytest.raises(UserError, match="no credentials"):
        sync.check_login()
    assert online.operations == {}


def test_the_clients_own_sync_and_public_interface(
    online: WandbServer, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(experiment, tracking__mode="offline")
    tracker = track(run, warn=pytest.fail)
    for row in rows():
        tracker.log(row)
    tracker.finish(exit_code=0)
    (record,) = (run.folder / "wandb").glob("offline-run-*")
    command = [sys.executable, "-m", "wandb", "sync", str(record)]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)
    (shown,) = online.runs.values()
    assert_whole(shown)

    sync.upload(run, leak_state="leaky 92 %")  # afterwards there is nothing to fill in
    assert_whole(shown)
    (found,) = wandb.Api().runs("team/vidcls")
    assert (found.id, found.state, found.summary["val/top1"]) == (run.wandb_id, "finished", 0.5)


def test_an_upload_that_takes_too_long_is_said_and_made_good(
    online: WandbServer, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "1")
    run = make_run(experiment)
    said: list[str] = []
    online.fault = lambda operation: 503 if operation == "file_stream" else None
    tracker = track(run, warn=said.append)
    for row in rows():
        tracker.log(row)
    tracker.finish(exit_code=0)
    assert len(said) == 1
    assert f"vidcls sync {run.folder}" in said[0]
    wandb.teardown()
    online.fault = lambda _: None
    sync.upload(run, leak_state="leaky 92 %")
    assert_whole(*online.runs.values())


def test_a_run_that_is_trained_now_is_left_out(online: WandbServer, experiment: Experiment) -> None:
    run = make_run(experiment, num_rows=2)
    run.write_status(Status("running", 2, NUM_ROWS))
    with run.hold(print):
        code, results = vidcls_sync(run.folder)
    assert (code, results[0]["state"], online.runs) == (0, "left out", {})
