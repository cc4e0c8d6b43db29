"""Torch's data loader over a data set of the user; its workers live as long as it does."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from typing import Any

import psutil
import torch
from torch.utils.data import DataLoader

from vidcls.choices import Split
from vidcls.data.decoding.workers import worker_context
from vidcls.data.user_dataset.items import Items, Made, Refused, Request, collate
from vidcls.errors import UserError, VidclsError, reason_of
from vidcls.process.cores import usable_cores
from vidcls.process.signals import heed, heed_waiting
from vidcls.spec.data import DataSection

_POLL_S = 1
_START_S = 300.0
_MOST_WORKERS = 8
"""Workers for `data.workers: auto`: each has Python, torch and the data set in memory."""


class Loader:
    """Makes batches of items, in order; one iteration at a time.

    Args:
        items: Items of the data set.
        data: Data section with the number of workers.
        pin: Whether batches are copied to pinned memory.
    """

    def __init__(self, items: Items, *, data: DataSection, pin: bool) -> None:
        workers = min(usable_cores(), _MOST_WORKERS) if data.workers == "auto" else data.workers
        self._batches: list[Sequence[Request]] = []
        self._timeout_s = data.timeout_s
        self._num_made: Counter[Split | None] = Counter()
        self._left: Iterator[Made | Refused] | None = None
        self._workers: list[BaseProcess] = []
        self._loader: DataLoader[Any] = DataLoader(
            items,
            batch_sampler=_Planned(self._batches),
            num_workers=workers,
            collate_fn=collate,
            pin_memory=pin,
            persistent_workers=workers > 0,
            timeout=_POLL_S if workers else 0,  # then `next` fails, and can be called again
            multiprocessing_context=worker_context() if workers else None,
            worker_init_fn=partial(_end_with, os.getpid()) if workers else None,
            # A generator of its own, because it draws from it: else it would change the state of a training.
            generator=torch.Generator(),
        )

    def batches(self, planned: Sequence[Sequence[Request]], *, is_training: bool = False) -> Iterator[Made]:
        """Make batches; the iteration before this one must not go on.

        Args:
            planned: Requests of each batch.
            is_training: Whether a signal ends the wait for a batch at once, also where it otherwise waits
                for the end of a step.

        Raises:
            UserError: If an item fails or is not what the model takes, with its index and the user's line.
            StoppedError: If a signal came.
            VidclsError: If a worker died, or hangs for longer than `data.timeout_s` an item.
        """
        self._finish()
        self._batches[:] = planned
        if not planned:
            return
        others = active_children()
        made = iter(self._loader)  # starts the workers, the first time
        self._workers += [child for child in active_children() if child not in others]
        self._left = made if self._loader.num_workers else None
        for requests in planned:
            batch = self._next(made, requests, is_training=is_training)
            if isinstance(batch, Refused):
                raise UserError(batch.message, hint=batch.hint)
            assert batch is not None, "the loader makes all batches that were planned"
            self._num_made[requests[0].item.split] += 1
            yield batch

    def _finish(self) -> None:
        """Wait for what the workers have begun of an iteration that was left early."""
        self._batches.clear()
        if self._left is not None:
            while self._next(self._left, (), is_training=False) is not None:
                pass

    def _next(
        self, made: Iterator[Made | Refused], requests: Sequence[Request], *, is_training: bool
    ) -> Made | Refused | None:
        """Next batch; None after the last one. Signals are heeded while it is awaited."""
        asked = time.monotonic()
        while True:
            heed()
            try:
                return next(made, None)
            except RuntimeError as error:  # of torch: errors of the data set come as `Refused`
                if not str(error).startswith("DataLoader timed out"):
                    raise self._died(error) from error
            if is_training:
                heed_waiting()
            waited = time.monotonic() - asked
            if requests and waited > self._limit_s(requests):
                items = ", ".join(str(request.item) for request in requests[:8])
                more = f" and {len(requests) - 8} more" if len(requests) > 8 else ""
                raise VidclsError(
                    f"a batch of {len(requests)} items was not made in {waited:.0f} s: one of {items}{more} "
                    "hangs",
                    hint="if your data set may take so long, raise data.timeout_s, the seconds for an item",
                )

    def _limit_s(self, requests: Sequence[Request]) -> float:
        """Longest time for a batch; the first one of a worker includes its start, and making the data set."""
        is_first = self._num_made[requests[0].item.split] < self._loader.num_workers
        return self._timeout_s * len(requests) + (_START_S if is_first else 0)

    def _died(self, error: RuntimeError) -> VidclsError:
        codes = ", ".join(str(worker.exitcode) for worker in self._workers if worker.exitcode)
        return VidclsError(
            f"a worker that makes clips died: {f'exit code {codes}' if codes else reason_of(error)}",
            hint="if the memory is full, lower data.workers; data.workers=0 needs no workers",
        )


class _Planned:
    """Requests of the batches, for torch's loader, which begins to read them with each iteration."""

    def __init__(self, batches: Sequence[Sequence[Request]]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[list[Request]]:
        return (list(batch) for batch in self._batches)  # none are left once the plan is cleared

    def __len__(self) -> int:
        return len(self._batches)


def _end_with(trainer: int, _worker: int) -> None:
    """Let a worker end soon after the process that trains, however that ended.

    torch watches the parent of the worker, which is the forkserver and not the training.
    """

    def watch() -> None:
        try:
            process = psutil.Process(trainer)
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                time.sleep(_POLL_S)
        except psutil.NoSuchProcess:
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="ends with the training").start()
