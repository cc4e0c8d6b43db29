"""Small real trainings in processes of their own, which a test may kill."""

from __future__ import annotations

import copy
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import forkserver, popen_forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from vidcls.process.sockets import use_short_socket_paths
from vidcls.run.find import find_runs
from vidcls.run.folder import Run

STRATEGIES: dict[str, dict[str, Any]] = {
    "cnn3d": {"kind": "cnn3d", "dropout": 0.2},
    "frame_average": {"kind": "frame_average", "dropout": 0.2},
    "early_fusion": {"kind": "early_fusion", "dropout": 0.2},
    "late_fusion": {"kind": "late_fusion", "join": "concat", "hidden": 16, "dropout": 0.2},
    "ensemble": {"kind": "ensemble", "members": [{"kind": "cnn3d"}, {"kind": "frame_average"}]},
}
TIMES = ("time", "clips_per_s", "waiting_s", "resident_mib")


@dataclass
class Experiment:
    """A spec file over small demo data, and the folders of its runs and stores."""

    folder: Path
    data: Path
    settings: dict[str, Any] = field(default_factory=dict)
    store: Path | None = None
    """None: in `folder`."""

    def spec(self, *, runs: str = "runs", **settings: Any) -> Path:
        """Write the spec; `a__b=1` sets `a.b`."""
        content: dict[str, Any] = {
            "name": "small",
            "data": {"root": str(self.data), "workers": 1},
            "clip": {"frames": 4, "size": [24, 24]},
            "model": copy.deepcopy(STRATEGIES["cnn3d"]),  # a setting such as model__kind changes it
            "train": {"epochs": 3, "batch_size": 4, "keep_last": True, "threads": 1},
            "tracking": {"mode": "disabled"},
            "runs_dir": str(self.folder / runs),
            "store_dir": str(self.store or self.folder / "store"),
        }
        for key, value in (self.settings | settings).items():
            section = content
            *parents, leaf = key.split("__")
            for part in parents:
                section = section.setdefault(part, {})
            section[leaf] = copy.deepcopy(value)  # a later one may change what is in it
        path = self.folder / f"{runs}.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    def run(self, runs: str = "runs") -> Run:
        """The one run below a folder of runs."""
        (run,) = find_runs(self.folder / runs)
        return run


class QuietDisplay:
    """Shows nothing; ends its own process at a given step, as a power cut would."""

    def __init__(self, *, die_at_step: int | None = None, signal_at: tuple[int, int] | None = None) -> None:
        self.said: list[str] = []
        self.stages: list[tuple[str, int, int]] = []
        self._die_at_step = die_at_step
        self._signal_at = signal_at

    def say(self, text: str) -> None:
        self.said.append(text)

    def stage(self, name: str, done: int, total: int) -> None:
        self.stages.append((name, done, total))

    def step(self, loop: Any) -> None:
        if loop.global_step == self._die_at_step:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._signal_at and loop.global_step == self._signal_at[0]:
            os.kill(os.getpid(), self._signal_at[1])

    def epoch(self, loop: Any, row: Any, *, is_best: bool) -> None:
        pass


def train_here(spec: Path, display: QuietDisplay | None = None, **options: Any) -> Run:
    """Train in this process."""
    from vidcls.spec.load import load_spec
    from vidcls.training.run_training import Options, train

    return train(load_spec(spec), options=Options(**options), display=display or QuietDisplay()).run


def _child(spec: Path, die_at_step: int | None, signal_at: tuple[int, int] | None) -> None:
    from vidcls.errors import VidclsError

    try:
        train_here(spec, QuietDisplay(die_at_step=die_at_step, signal_at=signal_at))
    except VidclsError as error:
        (spec.parent / "error.txt").write_text(str(error))
        raise SystemExit(int(error.exit_code)) from None


# Not multiprocessing's own, of which a process has one: that is the decoders', which has no torch to share.
_SERVER = forkserver.ForkServer()
_SERVER.set_forkserver_preload(["tests.support.preload"])


@contextmanager
def started_warm() -> Iterator[None]:
    """Children that this process starts by a forkserver have imported all that trains."""
    use_short_socket_paths()  # wherever TMPDIR is
    with patch.object(forkserver, "connect_to_new_process", _SERVER.connect_to_new_process):
        yield


class _Popen(popen_forkserver.Popen):
    def _launch(self, process_obj: Any) -> None:
        with started_warm():
            super()._launch(process_obj)  # type: ignore[misc]


class Child(ForkServerProcess):
    """A child of a process that has imported all that trains and computed nothing: it starts in milliseconds."""

    @staticmethod
    def _Popen(process_obj: Any) -> _Popen:  # noqa: N802  (multiprocessing's name)
        return _Popen(process_obj)


def start_child(
    spec: Path, *, die_at_step: int | None = None, signal_at: tuple[int, int] | None = None
) -> Child:
    """Train in a child process."""
    child = Child(target=_child, args=(spec, die_at_step, signal_at))
    child.start()
    return child


def train_child(
    spec: Path, *, die_at_step: int | None = None, signal_at: tuple[int, int] | None = None
) -> int | None:
    """Train in a child process to its end, whatever that is; its exit code."""
    child = start_child(spec, die_at_step=die_at_step, signal_at=signal_at)
    child.join()
    return child.exitcode


def rows(run: Run) -> list[dict[str, Any]]:
    """The rows of a run's metrics, times aside."""
    lines = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


def assert_same(run: Run, other: Run) -> None:
    """Two runs ended in the same weights, metrics and predictions, bit for bit."""
    import torch

    for which in ("last", "best"):
        a, b = (torch.load(r.checkpoint_file(which), weights_only=True) for r in (run, other))
        assert a["model"].keys() == b["model"].keys()
        for key, value in a["model"].items():
            assert torch.equal(value, b["model"][key]), (which, key)
        assert (a["epoch"], a["step"]) == (b["epoch"], b["step"])
    assert rows(run) == rows(other)
    files = [each.predictions_file("val", "best") for each in (run, other)]
    scored = [file.read_bytes() if file.exists() else None for file in files]
    assert scored[0] == scored[1]
    assert (scored[0] is None) is run.spec().data.join_val
