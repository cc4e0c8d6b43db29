"""Self-test of training on this machine: each model kind is trained, killed, resumed and compared."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path

import torch

from vidcls.checkpoints import read_checkpoint
from vidcls.data.demo import Amount, make_demo_of
from vidcls.errors import VidclsError
from vidcls.files import write_text
from vidcls.process.sockets import use_short_socket_paths
from vidcls.run.find import find_runs
from vidcls.run.folder import Run
from vidcls.spec.load import load_spec
from vidcls.spec.model import SHIPPED_KINDS
from vidcls.spec.show import yaml_text
from vidcls.tracking.jsonl import read_rows
from vidcls.training.loop import Loop, MetricValues

NUM_STEPS = 20
"""Steps of each training: two epochs of ten steps."""
_STEPS_PER_EPOCH = 10


@dataclass(frozen=True)
class Result:
    """Result of one model kind.

    Attributes:
        name: Name of the model kind.
        device: `cuda` or `cpu`.
        precision: Precision of the training.
        clips_per_s: Training clips per second in its last epoch.
        same: Whether the killed and resumed training ended with the same weights, bit for bit.
    """

    name: str
    device: str
    precision: str
    clips_per_s: float
    same: bool


def selftest(*, say: Callable[[str], None], kinds: Iterable[str] = SHIPPED_KINDS) -> list[Result]:
    """Train model kinds twice for 20 steps each on demo data, and kill the second training midway.

    Args:
        say: Receives a line about each kind.
        kinds: Model kinds; all of them unless given.

    Raises:
        VidclsError: If a training fails.
    """
    # A child from a forkserver with torch imported starts in milliseconds and can be killed at any time.
    use_short_socket_paths()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vidcls.training.run_training"])
    with tempfile.TemporaryDirectory(prefix="vidcls-doctor-") as name:
        folder = Path(name)
        # 80 training clips: ten batches per epoch.
        make_demo_of(Amount(train=4, val=2, test=1, clips=2), folder / "data", seed=0)
        return [_try(name, folder, context=context, say=say) for name in kinds]


def _try(name: str, folder: Path, *, context: ForkServerContext, say: Callable[[str], None]) -> Result:
    left_alone, killed = folder / "left-alone", folder / "killed"
    _run(context, name, folder, runs_dir=left_alone, kill=False)
    _run(context, name, folder, runs_dir=killed, kill=True)
    _run(context, name, folder, runs_dir=killed, kill=False)
    run, other = find_runs(left_alone / name)[0], find_runs(killed / name)[0]
    provenance = run.provenance()
    rows = [row for row in read_rows(run.metrics_file) if row["kind"] == "epoch"]
    result = Result(
        name=name,
        device=str(provenance["device"]),
        precision=str(provenance["precision"]),
        clips_per_s=float(rows[-1]["clips_per_s"] or 0.0),
        same=_same_weights(run, other),
    )
    say(f"{name}: {result.device}, {result.precision}, {result.clips_per_s:.0f} clips/s, same: {result.same}")
    return result


def _run(context: ForkServerContext, name: str, folder: Path, *, runs_dir: Path, kill: bool) -> None:
    child = context.Process(target=_train, args=(name, folder, runs_dir))
    child.start()
    if kill:
        # Kill it between the checkpoint of the first epoch and the end of the second.
        run_dir = runs_dir / name
        while child.is_alive() and not any(run_dir.glob("*/checkpoints/last.pt")):
            time.sleep(0.01)
        if child.pid is not None:
            os.kill(child.pid, signal.SIGKILL)
    child.join()
    if not kill and child.exitcode != 0:
        raise VidclsError(
            f"{name}: the training failed with exit code {child.exitcode}; see its output above"
        )


def _train(name: str, folder: Path, runs_dir: Path) -> None:
    from vidcls.training.run_training import Options, train

    loaded = load_spec(_write_spec(name, folder, runs_dir))
    train(loaded, options=Options(), display=_Silent())


def _write_spec(name: str, folder: Path, runs_dir: Path) -> Path:
    has_gpu = torch.cuda.is_available()
    # A CPU without bf16 computes it in small steps, in many times the time of float32.
    clip = {"frames": 8, "size": [64, 64]} if has_gpu else {"frames": 4, "size": [32, 32]}
    content = {
        "name": name,
        "data": {"root": str(folder / "data")},
        "clip": {**clip, **({"modality": "rgb+difference"} if name == "two_stream" else {})},
        "model": _smallest(name),
        "train": {
            "epochs": NUM_STEPS // _STEPS_PER_EPOCH,
            "batch_size": 80 // _STEPS_PER_EPOCH,
            "precision": "auto" if has_gpu else "bf16",
            "deterministic": True,
            "keep_last": True,
        },
        "tracking": {"mode": "disabled"},
        "runs_dir": str(runs_dir),
        "store_dir": str(folder / "store"),
    }
    path = folder / f"{name}.yaml"
    write_text(path, yaml_text(content))
    return path


def _smallest(kind: str) -> dict[str, object]:
    """Section of a kind with only its required settings."""
    match kind:
        case "ensemble":
            return {"kind": kind, "members": [{"kind": "cnn3d"}, {"kind": "cnn3d"}]}
        case "two_stream":
            return {"kind": kind, "rgb": {"kind": "frame_average"}, "motion": {"kind": "cnn3d"}}
        case _:
            return {"kind": kind}


def _same_weights(run: Run, other: Run) -> bool:
    a, b = (read_checkpoint(r.checkpoint_file("last"))["model"] for r in (run, other))
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


class _Silent:
    """Display of children that shows nothing, since the parent reports."""

    def say(self, text: str) -> None:
        """Do nothing."""

    def stage(self, name: str, done: int, total: int) -> None:
        """Do nothing."""

    def step(self, loop: Loop) -> None:
        """Do nothing."""

    def epoch(self, loop: Loop, row: MetricValues, *, is_best: bool) -> None:
        """Do nothing."""
