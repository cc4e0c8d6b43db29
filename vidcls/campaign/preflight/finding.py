"""One thing that was looked at, and what is being asked about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from vidcls.errors import VidclsError
from vidcls.launch.job import Job
from vidcls.launch.local import num_gpus
from vidcls.launch.profile import AnyProfile, LocalProfile, QueuedProfile
from vidcls.spec.experiment import Spec
from vidcls.spec.load import LoadedSpec
from vidcls.sweep.plan import LaunchPlan

FindingState = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class PreflightFinding:
    """One line of a preflight.

    Attributes:
        what: What was looked at, in a word or two.
        state: `error` if the job would fail or be in vain, `warning` if a person should know.
        found: What was seen.
        todo: What to type or change; empty where there is nothing to do.
    """

    what: str
    state: FindingState
    found: str
    todo: str = ""

    @classmethod
    def of(cls, what: str, error: VidclsError) -> PreflightFinding:
        """What an error says."""
        return cls(what, "error", error.message, error.hint or "")


def has_errors(findings: Iterable[PreflightFinding]) -> bool:
    """Whether anything would fail."""
    return any(finding.state == "error" for finding in findings)


def gb(num_bytes: float) -> str:
    """A size for people."""
    return f"{num_bytes / 1e9:.2f} GB"


@dataclass(frozen=True)
class Candidate:
    """One spec that may be trained.

    Attributes:
        label: What sets it apart from the others of a sweep; empty for a single spec.
        loaded: The spec.
    """

    label: str
    loaded: LoadedSpec

    @property
    def spec(self) -> Spec:
        """The spec."""
        return self.loaded.spec


@dataclass(frozen=True)
class PreflightRequest:
    """What is about to be queued.

    Attributes:
        candidates: The spec, or enough points of a sweep to reach every value of each parameter.
        profile: What a job asks its queue for.
        job: What would be handed over; None where nothing is queued.
        plan: Launch plan of a sweep.
        begins_anew: Whether an earlier run is set aside, or goes on whatever code it began with.
    """

    candidates: Sequence[Candidate]
    profile: AnyProfile = field(default_factory=LocalProfile)
    job: Job | None = None
    plan: LaunchPlan | None = None
    begins_anew: bool = False

    @property
    def first(self) -> Spec:
        """The spec, or the first point."""
        return self.candidates[0].spec

    @property
    def num_gpus(self) -> int:
        """GPUs of a job; where nothing is queued, those of this machine."""
        return num_gpus() if self.profile.num_gpus is None else self.profile.num_gpus

    @property
    def is_queued(self) -> bool:
        """Whether it goes to other machines."""
        return isinstance(self.profile, QueuedProfile)
