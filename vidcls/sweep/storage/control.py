"""Commands of the user to a running sweep: numbered events on disk, each written once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from vidcls.json_files import DamagedError
from vidcls.sweep.storage.storage import Storage

ControlKind = Literal["pause", "resume", "cancel", "extend"]
_STATES: dict[str, Literal["running", "paused", "cancelled"]] = {
    "pause": "paused",
    "resume": "running",
    "cancel": "cancelled",
}


@dataclass(frozen=True)
class ControlState:
    """State requested by all events together.

    Attributes:
        state: State requested by the last `pause`, `resume` or `cancel`. A resume also undoes a cancel.
        extra_trials: Trials in addition to those with which the sweep was launched.
        extra_gpu_hours: GPU hours in addition to those at launch.
        extra_hours: Hours in addition to those at launch.
    """

    state: Literal["running", "paused", "cancelled"] = "running"
    extra_trials: int = 0
    extra_gpu_hours: float = 0.0
    extra_hours: float = 0.0


class Control:
    """Control events of one sweep.

    Attributes:
        damaged: Errors of events that cannot be read, by file; such events have no effect.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._num_events = 0
        self._state = ControlState()
        self.damaged: dict[str, DamagedError] = {}

    def current(self) -> ControlState:
        """Currently requested state; costs one check for a new event file."""
        while True:
            name = _name(self._num_events + 1)
            try:
                event = self._storage.read(name)
            except DamagedError as error:
                self.damaged[name] = error
            else:
                if event is None:
                    return self._state
                self._state = _after(self._state, event)
            self._num_events += 1

    def say(
        self,
        kind: ControlKind,
        *,
        trials: int = 0,
        gpu_hours: float = 0.0,
        hours: float = 0.0,
    ) -> None:
        """Add an event.

        Args:
            kind: Kind of the event.
            trials: Additional trials, for `extend`.
            gpu_hours: Additional GPU hours, for `extend`.
            hours: Additional hours, for `extend`.

        Raises:
            ValueError: If an `extend` has no amount, or another kind has one.
        """
        amounts: dict[str, Any] = {"trials": trials, "gpu_hours": gpu_hours, "hours": hours}
        amounts = {name: amount for name, amount in amounts.items() if amount}
        if bool(amounts) != (kind == "extend"):
            raise ValueError(f"{kind} with {amounts}")
        self.current()
        number = self._num_events + 1
        while not self._storage.create(_name(number), {"kind": kind, **amounts}):
            number += 1


def _name(number: int) -> str:
    return f"control/{number:04d}.json"


def _after(state: ControlState, event: dict[str, Any]) -> ControlState:
    if event["kind"] in _STATES:
        return replace(state, state=_STATES[event["kind"]])
    return replace(
        state,
        extra_trials=state.extra_trials + event.get("trials", 0),
        extra_gpu_hours=state.extra_gpu_hours + event.get("gpu_hours", 0.0),
        extra_hours=state.extra_hours + event.get("hours", 0.0),
    )
