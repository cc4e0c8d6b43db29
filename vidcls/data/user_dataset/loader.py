"""Torch's data loader over a data set of the user; its workers live as long as it does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from torch.utils.data import DataLoader

from vidcls.data.decoding.workers import worker_context
from vidcls.data.user_dataset.items import Items, Made, Refused, Request, collate
from vidcls.errors import UserError, VidclsError, reason_of
from vidcls.process.cores import usable_cores
from vidcls.process.signals import heed
from vidcls.spec.data import DataSection

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
        self._workers: list[BaseProcess] = []
        self._loader: DataLoader[Any] = DataLoader(
            items,
            batch_sampler=_Planned(self._batches),
            num_workers=workers,
            collate_fn=collate,
            pin_memory=pin,
            persistent_workers=workers > 0,
            multiprocessing_context=worker_context() if workers else None,
            # A generator of its own, because it draws from it: else it would change the state of a training.
            generator=torch.Generator(),
        )

    def batches(self, planned: Sequence[Sequence[Request]]) -> Iterator[Made]:
        """Make batches; the iteration before this one must not go on.

        Args:
            planned: Requests of each batch.

        Raises:
            UserError: If an item fails or is not what the model takes, with its index and the user's line.
            VidclsError: If a worker died.
        """
        self._batches[:] = planned
        if not planned:
            return
        others = active_children()
        made = iter(self._loader)  # starts the workers, the first time
        self._workers += [child for child in active_children() if child not in others]
        while True:
            heed()
            try:
                batch = next(made, None)
            except RuntimeError as error:  # of torch: errors of the data set come as `Refused`
                codes = ", ".join(str(worker.exitcode) for worker in self._workers if worker.exitcode)
                raise VidclsError(
                    f"a worker that makes clips died: {f'exit code {codes}' if codes else reason_of(error)}",
                    hint="if the memory is full, lower data.workers; data.workers=0 needs no workers",
                ) from error
            if batch is None:
                return
            if isinstance(batch, Refused):
                raise UserError(batch.message, hint=batch.hint)
            yield batch


class _Planned:
    """Requests of the batches, for torch's loader, which begins to read them with each iteration."""

    def __init__(self, batches: Sequence[Sequence[Request]]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[list[Request]]:
        return iter([list(batch) for batch in self._batches])

    def __len__(self) -> int:
        return len(self._batches)
