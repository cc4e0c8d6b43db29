"""Races whose contenders have a known accuracy: real processes and stored logits, but nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import yaml

from tests.support.scored import PROVENANCE, store_logits
from tests.support.sweeps import work
from vidcls.campaign.race.look import take_looks
from vidcls.campaign.race.plan import RacePlan, plan_race
from vidcls.launch.local import LocalProfile
from vidcls.run.folder import Run
from vidcls.spec.fingerprint import fingerprint
from vidcls.spec.load import load_spec
from vidcls.sweep.launch import freeze
from vidcls.sweep.storage.folder import SweepFolder, SweepOptions
from vidcls.sweep.worker.messages import TrialOutcome, TrialRequest
from vidcls.sweep.worker.worker import WorkerExit

NUM_VIDEOS, NUM_GROUPS = 60, 20
FAILING = "fails until mended"
"""File in a folder of specs, with the learning rate of those that fail."""


def specs(folder: Path, accuracies: Mapping[str, float]) -> list[Path]:
    """Write specs by name; the accuracy of each is its learning rate."""
    for name, accuracy in accuracies.items():
        content = {
            "name": f"exp-{name}",
            "data": {"root": str(folder / "nowhere")},
            "model": {"kind": "cnn3d"},
            "optim": {"lr": accuracy},
            "tracking": {"mode": "disabled"},
            "runs_dir": str(folder / "runs"),
            "store_dir": str(folder),
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return [folder / f"{name}.yaml" for name in accuracies]


def planned(
    files: Sequence[Path], *overrides: str, max_seeds: int = 3, num_workers: int | None = 1
) -> RacePlan:
    """A checked race."""
    return plan_race(
        files,
        overrides,
        options=SweepOptions(keep=10**6, lease_s=5.0),
        max_seeds=max_seeds,
        profile=LocalProfile(),
        num_workers=num_workers,
    )


def frozen(files: Sequence[Path], *, max_seeds: int = 3) -> SweepFolder:
    """A race on which nobody works yet."""
    plan = planned(files, max_seeds=max_seeds)
    freeze(plan.launch)
    return plan.launch.folder


def run_race(folder: SweepFolder) -> WorkerExit:
    """Be a worker of a race until there is nothing to do."""
    return work(folder, scripted_seed, when_idle=partial(take_looks, folder))


def scripted_seed(request: TrialRequest, worker: Connection, alive: Connection) -> None:
    """The first function of a child: a run whose logits are right as often as `optim.lr` says."""
    spec = load_spec(request.spec_file, request.overrides).spec
    failing = Path(spec.store_dir) / FAILING
    if failing.is_file() and failing.read_text() == str(spec.optim.lr):
        worker.send(TrialOutcome("refused", "the loss is not finite", {}))
        worker.close()
        return
    run = Run.at(spec, fingerprint(spec, "abc"))
    home = {"data_root": spec.data.root, "store_dir": spec.store_dir}
    run.create(spec, PROVENANCE | {"manifest": {"hash": "abc"}, **home})
    # Videos are as hard for all contenders; seeds and contenders have luck of their own.
    hardness = np.random.default_rng(0).random(NUM_VIDEOS)
    luck = np.random.default_rng([spec.seed, round(1e6 * spec.optim.lr)]).normal(0, 0.1, NUM_VIDEOS)
    is_right = hardness + luck < spec.optim.lr
    labels = np.arange(NUM_VIDEOS) % 2
    logits = np.eye(2)[np.where(is_right, labels, 1 - labels)]
    groups = [f"g{number % NUM_GROUPS}" for number in range(NUM_VIDEOS)]
    for checkpoint in ("best", "last"):
        run.checkpoint_file(checkpoint).parent.mkdir(exist_ok=True)
        run.checkpoint_file(checkpoint).write_bytes(b"weights")
        store_logits(run, logits, labels.tolist(), groups=groups, checkpoint=checkpoint)
    top1 = float(is_right.mean())
    history = [{"epoch": 1, "val/top1": top1, "val/loss": 1 - top1, "train/loss": 1 - top1}]
    facts = {"run": str(run.folder), "epoch": 1, "metrics": {"val/top1": top1}, "history": history}
    worker.send(TrialOutcome("finished", "", facts))
    worker.close()
