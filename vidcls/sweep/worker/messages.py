"""What a worker and the child that trains for it tell each other. Torch-free: the worker never loads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from vidcls.tracking.jsonl import Row


@dataclass(frozen=True)
class TrialRequest:
    """What a child is asked to do.

    Attributes:
        spec_file: The sweep's resolved experiment.
        overrides: Settings of this trial, as `key=value`.
        known_epochs: Epochs that the sweep knows to be finished; the run's checkpoint should hold as many.
        device: Name of the device, None for the best there is.
        threads: CPU threads that `auto` becomes.
        log_file: Where its words go.
        patience_s: How long it waits for a verdict: a worker that is silent for longer has lost its lease.
    """

    spec_file: Path
    overrides: tuple[str, ...]
    known_epochs: int
    device: str | None
    threads: int
    log_file: Path
    patience_s: float


@dataclass(frozen=True)
class Epoch:
    """Told after each epoch.

    Attributes:
        number: Finished epochs.
        history: The rows of all of them.
    """

    number: int
    history: Sequence[Row]


@dataclass(frozen=True)
class TrialOutcome:
    """How a child ended.

    Attributes:
        kind: `finished`, `stopped` (the worker said so), `released` (saved on a signal), `refused` (the same
            would come of it again), `disk full` or `crashed`.
        message: Why, in one line; empty for a finished one.
        facts: What came of it, of plain values: `run`, `history`, `epoch`, `metrics`, `startup_s`,
            `memory_bytes`, `gpu_memory_bytes`.
    """

    kind: str
    message: str
    facts: dict[str, Any]


def enter(request: TrialRequest, worker: Connection, alive: Connection) -> None:
    """The child's first function; by reference, so that naming it loads nothing in the worker."""
    from vidcls.sweep.worker.child import run_trial

    run_trial(request, worker, alive)
