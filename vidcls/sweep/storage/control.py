"""What a person says to a sweep that runs: numbered events on disk, each written once."""

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
    """What all events together ask for.

    Attributes:
        state: What the last `pause`, `resume` or `cancel` asked for. Resuming after a cancel takes it back.
        extra_trials: Trials beyond those that the sweep was launched with.
        extra_gpu_hours: The same.
        extra_hours: The same.
    """

    state: Literal["running", "paused", "cancelled"] = "running"
    extra_trials: int = 0
    extra_gpu_hours: float = 0.0
    extra_hours: float = 0.0


class Control:
    """The events of one sweep.

    Attributes:
        damaged: Errors of events that cannot be read, by file; they ask for nothing.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._num_events = 0
        self._state = ControlState()
        self.damaged: dict[str, DamagedError] = {}

    def current(self) -> ControlState:
        """What is asked for now; costs one look for a new event."""
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
            kind: What to do.
            trials: How many more, for `extend`.
            gpu_hours: How many more.
            hours: How many more.

        Raises:
            ValueError: For an `extend` by nothing, or amounts with another kind.
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
