"""Weights & Biases by the real client, offline or against closed ports: nothing leaves this machine."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
import wandb

from tests.support.waiting import PATIENCE_S
from tests.support.wandb_state import WandbServer
from tests.tracking.conftest import CLOSED_PORT
from vidcls.spec.sections import TrackingSection
from vidcls.tracking import client
from vidcls.tracking import wandb as tracking
from vidcls.tracking.jsonl import Row
from vidcls.tracking.limits import LIMITS_S, limit_s, unreachable
from vidcls.tracking.mode import load_settings
from vidcls.tracking.patient_client import wait_for_sessions
from vidcls.tracking.previews import encode_clip
from vidcls.tracking.tracker import NullTracker, Preview, Tracker

KEY = "0123456789abcdef" * 3


@pytest.fixture(autouse=True)
def _isolated(unreachable: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LIMITS_S:
        monkeypatch.setenv(name, f"{PATIENCE_S:g}")


def start(
    tmp_path: Path,
    said: list[str],
    *,
    mode: str = "auto",
    history: list[Row] | None = None,
    offline: bool = True,
) -> Tracker:
    section = TrackingSection.model_validate_json(json.dumps({"mode": mode, "tags": ["a"], "notes": "n"}))
    return tracking.open_tracker(
        section,
        run_dir=tmp_path / "run",
        run_id="fixed-id",
        name="late_fusion-s0",
        group="late_fusion",
        spec={"optim": {"lr": 1e-3}},
        leak_state="leaky 92 %",
        history=history or [],
        warn=said.append,
        offline=offline,
    )


def rows(first: int, last: int) -> list[Row]:
    return [{"kind": "epoch", "epoch": i, "step": 10 * i, "val/top1": i / 10} for i in range(first, last)]


def offline_runs(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))


def inspect(run: Path) -> dict[str, Any]:
    """What the client's own reader finds in an offline run."""
    tool = shutil.which("wandb", path=Path(sys.executable).parent)
    assert tool
    command = [tool, "leet", "inspect", "--summary", "--json", str(run)]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


def test_an_offline_run_holds_all(tmp_path: Path) -> None:
    said: list[str] = []
    tracker = start(tmp_path, said, mode="offline")
    clip = np.random.default_rng(0).integers(0, 255, (4, 33, 48, 3), dtype=np.uint8)
    tracker.log_previews([Preview("a/v_1", clip, label="up", prediction="down", probability=0.75)])
    tracker.log_confusion(np.array([[3, 1], [0, 2]]), ["up", "down"])
    for row in rows(0, 3):
        tracker.log(row)
    (tmp_path / "best.pt").write_bytes(b"weights")
    tracker.log_checkpoint(tmp_path / "best.pt", metrics={"val/top1": 0.2})
    tracker.summarise({"best/val/top1": 0.2})
    tracker.finish(exit_code=0)
    assert said == []
    (run,) = offline_runs(tmp_path)
    found = inspect(run)
    assert found["run_id"] == "fixed-id"
    assert (found["name"], found["project"], found["tags"], found["notes"]) == (
        "late_fusion-s0",
        "vidcls",
        ["a"],
        "n",
    )
    assert found["config"]["optim"]["lr"] == 1e-3
    assert found["config"]["leak_state"] == found["summary"]["leak_state"] == "leaky 92 %"
    assert found["state"] == "finished"
    summary = found["summary"]
    assert (summary["_step"], summary["epoch"], summary["val/top1"]) == (2, 2, 0.2)
    assert summary["best/val/top1"] == 0.2
    assert summary["val/previews"]["captions"] == ["a/v_1: down (75%), truth: up"]
    assert summary["val/confusion_table"]["nrows"] == 3
    assert b"run-fixed-id-best" in run.read_bytes()
    assert list(run.parent.glob("files/media/videos/val/*.mp4"))


def test_a_trial_starts_no_client_that_is_offline(tmp_path: Path) -> None:
    said: list[str] = []
    tracker = start(tmp_path, said, mode="offline", offline=False)
    assert isinstance(tracker, NullTracker)
    run = tmp_path / "run"
    assert said == [
        f"Weights & Biases is offline: recorded in metrics.jsonl; send it with: vidcls sync {run}"
    ]
    assert not (run / "wandb").exists()


LIGHT = """
import sys
from pathlib import Path
from vidcls.spec.sections import TrackingSection
from vidcls.tracking.wandb import open_tracker

names = {"run_id": "a", "name": "b", "group": "c", "spec": {}, "leak_state": "clean", "history": []}
section = TrackingSection(mode="offline")
tracker = open_tracker(section, run_dir=Path(sys.argv[1]), warn=print, **names)
tracker.finish(exit_code=0)
print("wandb.sdk.launch" in sys.modules)
"""


def test_the_client_starts_without_its_package_for_launch(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIGHT, str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert len(offline_runs(tmp_path)) == 1


def test_a_resumed_offline_run_is_whole_under_the_same_id(tmp_path: Path) -> None:
    said: list[str] = []
    tracker = start(tmp_path, said, mode="offline")
    for row in rows(0, 3):
        tracker.log(row)
    tracker.finish(exit_code=75, preempted=True)
    tracker = start(tmp_path, said, mode="offline", history=rows(0, 2))
    for row in rows(2, 4):
        tracker.log(row)
    tracker.finish(exit_code=0)
    assert said == []
    first, second = (inspect(run) for run in offline_runs(tmp_path))
    assert first["run_id"] == second["run_id"] == "fixed-id"
    assert (first["step"], first["exit_code"]) == (2, 75)
    # What is synced last replaces what was there, so it must hold the rows from before as well.
    assert (second["step"], second["summary"]["_step"]) == (3, 3)


@pytest.mark.parametrize("mode", ["auto", "online"])
def test_without_credentials_it_goes_offline_and_says_so(mode: str, tmp_path: Path) -> None:
    said: list[str] = []
    tracker = start(tmp_path, said, mode=mode)
    tracker.log(rows(0, 1)[0])
    tracker.finish(exit_code=0)
    assert len(said) == 1
    assert "wandb login" in said[0]
    assert inspect(offline_runs(tmp_path)[0])["step"] == 0


@pytest.mark.parametrize("source", ["environment", "netrc"])
def test_a_dead_network_is_said_once_and_the_run_goes_offline(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if source == "environment":
        monkeypatch.setenv("WANDB_API_KEY", KEY)
    else:
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1:9\n  login user\n  password {KEY}\n")
    said: list[str] = []
    tracker = start(tmp_path, said)
    for row in rows(0, 3):
        tracker.log(row)
    tracker.finish(exit_code=0)
    assert len(said) == 1
    assert "vidcls sync" in said[0]
    assert inspect(offline_runs(tmp_path)[0])["step"] == 2
    written = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert written
    assert not any(KEY.encode() in path.read_bytes() for path in written)


def test_a_malformed_key_goes_offline(
    wandb_server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", wandb_server.url)
    monkeypatch.setenv("WANDB_API_KEY", "short")
    said: list[str] = []
    tracker = start(tmp_path, said)
    tracker.log(rows(0, 1)[0])
    tracker.finish(exit_code=0)
    assert len(said) == 1
    assert len(offline_runs(tmp_path)) == 1


@pytest.mark.long
def test_a_server_that_never_answers_is_given_up_and_the_run_goes_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_INIT_TIMEOUT", "5")
        said: list[str] = []
        tracker = start(tmp_path, said)
        assert said == [], "the start does not wait to find out"
        tracker.log(rows(0, 1)[0])
        tracker.finish(exit_code=0)
    assert len(said) == 1
    assert "vidcls sync" in said[0]
    assert inspect(offline_runs(tmp_path)[0])["step"] == 0


def test_only_what_cannot_be_connected_to_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "127.0.0.1:9" in (unreachable(CLOSED_PORT) or "")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert unreachable(f"http://127.0.0.1:{silent.getsockname()[1]}") is None
    monkeypatch.setenv("http_proxy", CLOSED_PORT)
    assert unreachable("http://nowhere.invalid") is None, "the client may reach it through the proxy"


def test_a_limit_of_the_environment_wins_over_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB__SERVICE_WAIT", "7")
    assert load_settings().x_service_wait == 7
    wandb.teardown()
    monkeypatch.delenv("WANDB__SERVICE_WAIT")
    assert load_settings().x_service_wait == LIMITS_S["WANDB__SERVICE_WAIT"] == 300
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "long")
    with pytest.raises(ValueError, match="WANDB_INIT_TIMEOUT=long: expected a number of seconds"):
        limit_s("WANDB_INIT_TIMEOUT")


@pytest.mark.parametrize(("asked", "environment"), [("disabled", ""), ("auto", "disabled")])
def test_disabled_writes_nothing(
    asked: str, environment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if environment:
        monkeypatch.setenv("WANDB_MODE", environment)
    said: list[str] = []
    tracker = start(tmp_path, said, mode=asked)
    assert isinstance(tracker, NullTracker)
    tracker.log(rows(0, 1)[0])
    tracker.log_previews([])
    tracker.log_confusion(np.eye(2, dtype=np.int64), ["a", "b"])
    tracker.log_checkpoint(tmp_path / "absent.pt", metrics={})
    tracker.summarise({"a": 1.0})
    tracker.finish(exit_code=0)
    assert said == []
    assert not (tmp_path / "run").exists()


def test_the_environment_chooses_under_auto(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    said: list[str] = []
    start(tmp_path, said).finish(exit_code=0)
    assert said == []
    assert len(offline_runs(tmp_path)) == 1


def test_an_absent_client_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    said: list[str] = []
    assert isinstance(start(tmp_path, said), NullTracker)
    assert "not installed" in said[0]


def test_what_fails_is_said_once_and_costs_nothing_else(tmp_path: Path) -> None:
    said: list[str] = []
    tracker = start(tmp_path, said, mode="offline")
    grey = np.zeros((2, 8, 8), dtype=np.uint8)  # not a clip: encoding it fails
    for row in rows(0, 3):
        tracker.log_previews([Preview("a", grey, label="up", prediction="up", probability=1.0)])
        tracker.log(row)
    tracker.log_checkpoint(tmp_path / "absent.pt", metrics={})
    tracker.finish(exit_code=0)
    assert len(said) == 1
    assert "metrics.jsonl" in said[0]
    assert inspect(offline_runs(tmp_path)[0])["step"] == 2


def test_a_folder_that_cannot_be_written_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").write_text("a file is in the way")
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where the client goes instead
    said: list[str] = []
    tracker = start(tmp_path, said, mode="offline")
    tracker.log(rows(0, 1)[0])
    tracker.finish(exit_code=0)
    assert len(said) <= 1


def test_no_artifact_inside_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep")
    said: list[str] = []
    tracker = start(tmp_path, said, mode="offline")
    (tmp_path / "best.pt").write_bytes(b"weights")
    tracker.log_checkpoint(tmp_path / "best.pt", metrics={})
    tracker.finish(exit_code=0)
    assert said == []
    (run,) = offline_runs(tmp_path)
    assert b"best.pt" not in run.read_bytes()


@pytest.mark.parametrize("size", [(32, 48), (33, 47)])
def test_previews_decode_to_what_they_show(size: tuple[int, int]) -> None:
    height, width = size
    ramp = np.linspace(30, 220, width).astype(np.uint8)
    clip = np.broadcast_to(ramp[None, None, :, None], (5, height, width, 3))
    with av.open(encode_clip(clip), "r") as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 5
    for frame in frames:
        assert frame.shape == (height + height % 2, width + width % 2, 3)
        assert np.abs(frame[:height, :width].astype(int) - clip[0]).mean() < 4


KILLED_SERVICE = """
import sys, time
from pathlib import Path
import psutil
from vidcls.spec.sections import TrackingSection
from vidcls.tracking.wandb import open_tracker

run = Path(sys.argv[1])
tracker = open_tracker(
    TrackingSection(mode="offline"),
    run_dir=run,
    run_id="a",
    name="a",
    group="a",
    spec={},
    leak_state="clean",
    history=[],
    warn=print,
)
tracker.log({"epoch": 0})
while not list(run.glob("wandb/offline-run-*/*.wandb")):
    time.sleep(0.01)
for child in psutil.Process().children(recursive=True):
    child.kill()
for epoch in range(1, 4):
    tracker.log({"epoch": epoch})
tracker.finish(exit_code=0)
print("trained")
"""


def test_a_killed_service_process_stops_nothing(tmp_path: Path) -> None:
    # A SIGTERM to the job reaches the service like this.
    done = subprocess.run(
        [sys.executable, "-c", KILLED_SERVICE, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=True,
    )
    warning, last = done.stdout.splitlines()
    assert "metrics.jsonl" in warning
    assert last == "trained"


@pytest.mark.slow
def test_a_session_is_asked_for_again_while_the_service_process_is_busy(wandb_server: WandbServer) -> None:
    """A quarter of a minute, because the client's own limit is ten seconds."""
    from wandb.sdk.lib.service.service_connection import ServiceConnection

    before = ServiceConnection.api_init_request
    load_settings()
    service = psutil.Process(wandb.setup().ensure_service()._proc._process.pid)
    api = wandb.Api(overrides={"base_url": wandb_server.url}, api_key=KEY)
    service.suspend()
    waking = threading.Timer(12, service.resume)
    waking.start()
    try:
        wait_for_sessions()
        assert api.default_entity == "team"
    finally:
        waking.join()
        ServiceConnection.api_init_request = before


def test_a_confusion_matrix_has_no_more_cells_than_wandb_shows_and_keeps_the_largest() -> None:
    small = client.confusion_cells(np.array([[0, 2], [0, 3]]), ["up", "do\nwn"])
    assert small == [["do\\nwn", "do\\nwn", 3], ["up", "do\\nwn", 2], ["up", "up", 0]]
    counts = np.ones((150, 150), np.int64)
    counts[3, 4] = 9
    cells = client.confusion_cells(counts, [str(k) for k in range(150)])
    assert len(cells) == client.MAX_CELLS
    assert ["3", "4", 9] in cells
    assert len({true for true, _, _ in cells}) == 150
