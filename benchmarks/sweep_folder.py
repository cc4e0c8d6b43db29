"""The folder of a sweep under load: an ask, the status of thousands of trials, 64 workers at once.

No trial trains anything here; what is measured is all that lies between two trainings. An ask is what a
worker does when it wants a trial: look at the folder and at the other workers, choose a point, write trial
and lease to the disk. It stands against Optuna's own sampler, in memory and with the same history.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common import Result, empty_sweep, finish, fresh, quartiles
from vidcls.sweep.config.file import load_sweep
from vidcls.sweep.search.scheduler import Scheduler
from vidcls.sweep.storage.folder import SweepFolder
from vidcls.sweep.storage.storage import DiskStorage
from vidcls.sweep.storage.trials import Trial, Trials
from vidcls.sweep.storage.worker_heartbeat import LivenessMonitor, Worker, Workers

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

NUM_FINISHED, NUM_RUNNING, ASKS, ASK_LIMIT_MS = 1000, 64, 15, 20.0
NUM_SHOWN, LOOKS, STATUS_LIMIT_S = 5000, 5, 2.0
NUM_WORKERS, NUM_EMPTY = 64, 2000
VIDCLS = str(Path(sys.executable).with_name("vidcls"))
PARAMETERS = {
    "optim.lr": {"distribution": "log_uniform_values", "min": 0.0001, "max": 0.01},
    "optim.weight_decay": {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1},
    "model.join": {"values": ["concat", "gru", "attention"]},
    "model.dropout": {"values": [0.0, 0.2, 0.5]},
}


def run() -> list[Result]:
    """Measure."""
    return [_ask(), _status(), _crowd()]


Stay = tuple[float, float, list[int]]
"""When a worker of the crowd began and ended, and the trials that it published."""


class _FastStorage(DiskStorage):
    """Makes the files of a sweep that is to be looked at, without waiting for the disk at each."""

    def create(self, name: str, content: Mapping[str, Any]) -> bool:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        return True


def _filled(sweep: SweepFolder, *, num_finished: int, num_running: int) -> list[Worker]:
    """Fill a sweep with trials, the running ones each of a worker that lives."""
    space = load_sweep(sweep.sweep_file).space
    trials = Trials(_FastStorage(sweep.path), max_strikes=3)
    workers = [Worker(sweep.storage, num_gpus=0, job=f"job_{k}") for k in range(num_running)]
    for number in range(num_finished + num_running):
        point = space.random_point(0, number)
        trials.add(number, configuration=number, repeat=0, point=point, seed=0)
        (trial,) = trials.refresh()[number:]
        worker = workers[number % num_running].id
        lease = trials.claim(trial, worker=worker)
        assert lease is not None
        if number < num_finished:
            trials.end(lease, "finished", epoch=3, **_facts(number))
    return workers


def _facts(number: int) -> dict[str, Any]:
    """What a trial that was trained tells at its end."""
    value = random.Random(number).random()
    return {
        "value": value,
        "latest": value,
        "message": "",
        "seconds": 60.0,
        "epoch_s": 3.0,
        "startup_s": 0.5,
        "memory_bytes": 1_000_000_000,
        "gpu_memory_bytes": 0,
        "run": "runs/late_fusion-0123abcd/late_fusion-s0",
        "best_epoch": 2,
        "metrics": {"val/loss": 1.0, "val/top1": value, "val/top5": 1.0, "val/macro_f1": value},
    }


def _scheduler(sweep: SweepFolder, worker: str) -> Scheduler:
    options = sweep.options()
    liveness, workers = LivenessMonitor(sweep.storage, lease_s=options.lease_s), Workers(sweep.storage)
    return Scheduler(sweep, worker=worker, is_dead=liveness.is_dead, epoch_of=workers.epoch_of)


def _ask() -> Result:
    sweep = empty_sweep(fresh("sweep_ask"), method="bayes", parameters=PARAMETERS)
    others = _filled(sweep, num_finished=NUM_FINISHED, num_running=NUM_RUNNING)
    me = Worker(sweep.storage, num_gpus=0)
    scheduler = _scheduler(sweep, me.id)
    theirs = sweep.trials()
    peer = _Peer(theirs.refresh())
    ours_ms: list[float] = []
    sampler_ms: list[float] = []
    busy: set[int] = set()
    for number in range(NUM_FINISHED, NUM_FINISHED + ASKS + 1):  # the first one warms both up
        # One of those that run ends, and its worker wants another trial.
        lease = theirs.refresh()[number].lease
        assert lease is not None
        theirs.end(lease, "finished", epoch=3, **_facts(number))
        started = time.perf_counter()
        taken = scheduler.take(range(NUM_FINISHED + NUM_RUNNING + ASKS + 1))  # busy with all that it has
        assert taken is not None
        ours_ms.append(1000 * (time.perf_counter() - started))
        assert taken is not None
        busy.add(taken[0].number)
        sampler_ms.append(peer.ask_ms(number))
    over = [a - b for a, b in zip(ours_ms[1:], sampler_ms[1:], strict=True)]
    low, middle, high = quartiles(over)
    times = f"{statistics.median(ours_ms[1:]):.0f} to {statistics.median(sampler_ms[1:]):.0f} ms"
    return Result(
        "ask, over Optuna's sampler",
        f"{middle:.1f} ms ({low:.1f} to {high:.1f}, {ASKS} asks)",
        f"at most {ASK_LIMIT_MS:g} ms",
        middle <= ASK_LIMIT_MS,
        f"{times}; {NUM_FINISHED} finished trials, {len(others)} running, {len(PARAMETERS)} parameters",
    )


class _Peer:
    """Optuna's sampler in memory, told of the same trials; what each ask costs."""

    def __init__(self, trials: list[Trial]) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._distributions: dict[str, BaseDistribution] = {
            "optim.lr": optuna.distributions.FloatDistribution(0.0001, 0.01, log=True),
            "optim.weight_decay": optuna.distributions.FloatDistribution(0.001, 0.1, log=True),
            "model.join": optuna.distributions.CategoricalDistribution(["concat", "gru", "attention"]),
            "model.dropout": optuna.distributions.CategoricalDistribution([0.0, 0.2, 0.5]),
        }
        sampler = optuna.samplers.TPESampler(seed=0, constant_liar=True)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        for trial in trials:
            self._study.add_trial(
                optuna.trial.create_trial(
                    state=optuna.trial.TrialState["COMPLETE" if trial.state == "finished" else "RUNNING"],
                    params=dict(trial.point),
                    distributions=self._distributions,
                    value=trial.value,
                )
            )

    def ask_ms(self, number: int) -> float:
        """Tell the end of a running trial, ask for a point; what the asking took."""
        self._study.tell(number, _facts(number)["value"])
        started = time.perf_counter()
        self._study.ask(self._distributions)
        return 1000 * (time.perf_counter() - started)


def _status() -> Result:
    sweep = empty_sweep(fresh("sweep_status"), method="random", parameters=PARAMETERS)
    _filled(sweep, num_finished=NUM_SHOWN - NUM_RUNNING, num_running=NUM_RUNNING)
    seconds = []
    for _ in range(LOOKS + 1):  # the first one warms the disk's cache up
        started = time.perf_counter()
        subprocess.run([VIDCLS, "sweep", "status", str(sweep.path)], stdout=subprocess.DEVNULL, check=True)
        seconds.append(time.perf_counter() - started)
    low, middle, high = quartiles(seconds[1:])
    return Result(
        "vidcls sweep status",
        f"{middle:.2f} s ({low:.2f} to {high:.2f}, {LOOKS} commands)",
        f"under {STATUS_LIMIT_S:g} s",
        middle < STATUS_LIMIT_S,
        f"{NUM_SHOWN} trials, {NUM_RUNNING} of them running; a process each",
    )


def _crowd() -> Result:
    sweep = empty_sweep(fresh("sweep_crowd"), method="random", parameters=PARAMETERS, run_cap=NUM_EMPTY)
    context = get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.sweep_folder"])
    barrier, results = context.Barrier(NUM_WORKERS), context.SimpleQueue()
    workers = [context.Process(target=_work, args=(sweep, barrier, results)) for _ in range(NUM_WORKERS)]
    for process in workers:
        process.start()
    stays = [results.get() for _ in workers]
    for process in workers:
        process.join()
    wall_s = max(ended for _, ended, _ in stays) - min(begun for begun, _, _ in stays)
    published = Counter(number for _, _, numbers in stays for number in numbers)
    leases = [len(list(folder.glob("lease-*.json"))) for folder in (sweep.path / "trials").iterdir()]
    counts = sorted(len(numbers) for _, _, numbers in stays)
    once = published == Counter(range(NUM_EMPTY)) and leases == [1] * NUM_EMPTY
    doubled = sum(count - 1 for count in published.values()) + sum(leases) - len(leases)
    return Result(
        "64 workers, 2,000 empty trials",
        f"{doubled} duplicates, {len(published)} published, {NUM_EMPTY / wall_s:.0f} trials/s",
        "each once",
        once,
        f"{NUM_WORKERS} processes, {wall_s:.0f} s, {counts[0]} to {counts[-1]} trials each",
    )


def _work(sweep: SweepFolder, barrier: Barrier, results: SimpleQueue[Stay]) -> None:
    """Be a worker whose trials take no time; tell when it began and ended, and what it published."""
    me = Worker(sweep.storage, num_gpus=0)
    scheduler = _scheduler(sweep, me.id)
    published = []
    with me.beating(sweep.options().lease_s / 6):
        barrier.wait()
        begun = time.monotonic()  # one clock for all processes of a machine
        while (taken := scheduler.take()) is not None:
            trial, lease = taken
            if scheduler.trials.end(lease, "finished", epoch=1, **_facts(trial.number)):
                published.append(trial.number)
        ended = time.monotonic()
    me.leave("no trial is left")
    results.put((begun, ended, published))


if __name__ == "__main__":
    sys.exit(finish(run()))
