"""Child process that trains trials, from a forkserver that has imported torch but computed nothing.

The child trains and reports to the worker through a pipe: each epoch, which the worker answers with a
decision, and the outcome. It owns no state of the sweep. When the worker ends, the pipe closes and the child
ends at once, so that no child trains a trial whose lease is no longer renewed.

A child trains one trial, unless that was a head on stored features: reading and computing what all heads
share takes longer than training one, so the child stays for the next trial. Nothing of a trial is left then
that could change the next one: generators are seeded, and model, optimiser and loop are new.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.connection import Connection
from typing import Any

import torch

from vidcls.errors import ExitCode, UserError, VidclsError
from vidcls.files import is_disk_full
from vidcls.kept import keeping
from vidcls.models.device import pick_device
from vidcls.process.signals import StoppedError
from vidcls.run.folder import Run
from vidcls.spec.experiment import Spec
from vidcls.spec.fingerprint import targets_in
from vidcls.spec.load import load_spec
from vidcls.sweep.worker.messages import Epoch, TrialOutcome, TrialRequest
from vidcls.text import printable_lines
from vidcls.tracking.jsonl import Row, read_rows
from vidcls.training.divergence import DivergedError
from vidcls.training.loop import Loop, MetricValues
from vidcls.training.run_training import Options, train


class _TrialDisplay:
    """Writes the progress of a training to the trial's log, and asks the worker after each epoch."""

    def __init__(self, worker: Connection, *, patience_s: float, known_epochs: int) -> None:
        self._worker, self._patience_s, self._known_epochs = worker, patience_s, known_epochs
        self._begun = time.monotonic()
        self.startup_s = 0.0
        self.epoch_number = 0

    def say(self, text: str) -> None:
        print(printable_lines(text), flush=True)  # noqa: T201  (stdout is the trial's log)

    def stage(self, name: str, done: int, total: int) -> None:
        if done == total:
            self.say(f"{name}: {done}/{total}")

    def step(self, loop: Loop) -> None:
        if not self.startup_s:
            self.startup_s = time.monotonic() - self._begun
            self.epoch_number = loop.position.epoch
            if self.epoch_number < self._known_epochs:
                self.say(
                    f"{self._known_epochs} epochs of this trial were finished, but its checkpoint is from "
                    f"epoch {self.epoch_number}: it continues from there"
                )

    def epoch(self, loop: Loop, row: MetricValues, *, is_best: bool) -> None:
        self.epoch_number = loop.position.epoch
        values = "  ".join(f"{name} {row[name]:.4g}" for name in ("train/loss", "val/loss", "val/top1"))
        self.say(f"epoch {self.epoch_number}/{loop.spec.train.num_epochs}  {values}{' *' if is_best else ''}")

    def __call__(self, epoch: int, history: Sequence[Row]) -> str | None:
        self._worker.send(Epoch(epoch, history))
        if not self._worker.poll(self._patience_s):
            # A worker that is suspended for so long has lost its lease, and another worker takes this run.
            os._exit(int(ExitCode.FAILED))
        verdict: str | None = self._worker.recv()
        return verdict


def run_trial(request: TrialRequest, worker: Connection, alive: Connection) -> None:
    """Main function of the child: train, report the outcome to the worker, and stay where that helps.

    Args:
        request: First trial to train, with its settings.
        worker: Pipe to the worker: sends `Epoch` and `TrialOutcome`, receives decisions and further requests.
        alive: Pipe that is never written to; it closes when the worker ends.
    """
    # What the forkserver imported is never freed: a garbage collection would only copy its memory pages.
    gc.freeze()
    threading.Thread(target=_end_with, args=(alive,), name="vidcls-worker", daemon=True).start()
    with keeping():
        while (outcome := _logged(request, worker)).stays:
            worker.send(outcome)
            request = worker.recv()
    worker.send(outcome)
    worker.close()


def _logged(request: TrialRequest, worker: Connection) -> TrialOutcome:
    """Train one trial, with all output in its log."""
    with (
        request.log_file.open("a", buffering=1, encoding="utf-8", errors="backslashreplace") as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        # Output that bypasses Python, from a decoder or the driver, goes to the log too.
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        outcome = _train(
            request, _TrialDisplay(worker, patience_s=request.patience_s, known_epochs=request.known_epochs)
        )
        if outcome.message:
            print(printable_lines(f"{outcome.kind}: {outcome.message}"))  # noqa: T201
        sys.stdout.flush()
    return outcome


def _end_with(alive: Connection) -> None:
    try:
        alive.recv()
    finally:  # for any exception: the worker has ended and no longer renews the lease
        os._exit(int(ExitCode.FAILED))


def _train(request: TrialRequest, trial: _TrialDisplay) -> TrialOutcome:
    try:
        loaded = load_spec(request.spec_file, request.overrides)
        if request.gpu_share < 1 and pick_device(request.device).type == "cuda":
            # A trial that needs more fails alone, instead of taking the memory of those beside it.
            torch.cuda.set_per_process_memory_fraction(request.gpu_share)
        # The code is a copy, but packages of the environment may have been updated, which the log reports.
        options = Options(
            device=request.device,
            threads=request.threads,
            wait=True,
            stop_rule=trial,
            accept_code=True,
            is_trial=True,
        )
        run = train(loaded, options=options, display=trial).run
    except StoppedError as error:
        kind = "stopped" if error.exit_code == ExitCode.DONE else "released"
        facts = {"run": str(error.folder)} if error.folder else {}
        stays = kind == "stopped" and error.folder is not None and _stays(Run(error.folder), loaded.spec)
        return TrialOutcome(kind, error.message, _facts(trial) | facts, stays=stays)
    except (UserError, DivergedError) as error:
        return TrialOutcome("refused", str(error), _facts(trial))
    except VidclsError as error:
        kind = "disk full" if is_disk_full(error) else "crashed"
        return TrialOutcome(kind, error.message, _facts(trial))
    except Exception as error:
        traceback.print_exc()
        return TrialOutcome("crashed", f"{type(error).__name__}: {error}", _facts(trial))
    return TrialOutcome("finished", "", _facts(trial) | _results(run), stays=_stays(run, loaded.spec))


def _stays(run: Run, spec: Spec) -> bool:
    """Whether the next trial may be trained here too: no decoder, code of the user or online tracker ran."""
    is_head = run.provenance()["residency"] == "features"
    return is_head and not any(targets_in(spec)) and spec.tracking.mode != "online"


def _facts(trial: _TrialDisplay) -> dict[str, Any]:
    kilobyte = 1024  # the unit of ru_maxrss on Linux
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobyte
    gpu = torch.cuda.max_memory_reserved() if torch.cuda.is_available() else 0
    return {
        "epoch": trial.epoch_number,
        "startup_s": trial.startup_s,
        "memory_bytes": memory,
        "gpu_memory_bytes": gpu,
    }


def _results(run: Run) -> dict[str, Any]:
    status = run.status()
    assert status is not None
    history = [row for row in read_rows(run.metrics_file) if row.get("kind") == "epoch"]
    return {
        "run": str(run.folder),
        "epoch": status.epoch,
        "best_epoch": status.best_epoch,
        "metrics": status.metrics,
        "history": history,
    }
