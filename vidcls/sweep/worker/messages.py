"""Messages between a worker and its child processes. Imports no torch, because the worker never does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from vidcls.tracking.jsonl import Row


@dataclass(frozen=True)
class TrialRequest:
    """Request to a child to train one trial.

    Attributes:
        spec_file: Path of the sweep's resolved experiment.
        overrides: Settings of this trial, as `key=value`.
        known_epochs: Finished epochs known to the sweep; the checkpoint of the run should hold as many.
        device: Name of the device; None for the best available.
        threads: Number of CPU threads for the setting `auto`.
        log_file: File for the output of the child.
        gpu_share: Share of the memory of a GPU that the trial may take, as others run beside it; 0 to 1.
        patience_s: Seconds to wait for a decision; a worker that is silent for longer has lost its lease.
    """

    spec_file: Path
    overrides: tuple[str, ...]
    known_epochs: int
    device: str | None
    threads: int
    log_file: Path
    gpu_share: float
    patience_s: float


@dataclass(frozen=True)
class Epoch:
    """Message of the child after each epoch.

    Attributes:
        number: Number of finished epochs.
        history: Metric rows of all finished epochs.
    """

    number: int
    history: Sequence[Row]


@dataclass(frozen=True)
class TrialOutcome:
    """Outcome of a child.

    Attributes:
        kind: `finished`, `stopped` (decided by the worker), `released` (saved on a signal), `refused` (a
            retry would fail in the same way), `disk full` or `crashed`.
        message: Reason in one line; empty for `finished`.
        facts: Results as plain values: `run`, `history`, `epoch`, `metrics`, `startup_s`, `memory_bytes`,
            `gpu_memory_bytes`.
        stays: Whether the child waits for another request, with what it has read and computed in memory.
    """

    kind: str
    message: str
    facts: dict[str, Any]
    stays: bool = False


def enter(request: TrialRequest, worker: Connection, alive: Connection) -> None:
    """First function of the child; it imports `run_trial` late, so that the worker loads nothing."""
    from vidcls.sweep.worker.child import run_trial

    run_trial(request, worker, alive)
