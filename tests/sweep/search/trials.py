"""Trials as a worker sees them, made without files."""

from __future__ import annotations

from typing import Any

from vidcls.sweep.storage.trials import Trial, TrialState


def trial(number: int, state: TrialState = "waiting", **changes: Any) -> Trial:
    """A trial of which nothing else is known."""
    content: dict[str, Any] = {
        "configuration": number,
        "repeat": 0,
        "point": {"optim.lr": 0.1},
        "seed": 0,
        "token": 0,
        "lease": None,
        "until_epoch": None,
        "end": None,
        "strikes": 0,
        "value": None,
        "epoch": 0,
        "rungs": {},
    }
    return Trial(number=number, state=state, **(content | changes))
