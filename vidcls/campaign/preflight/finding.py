"""Request and findings of a preflight."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from vidcls.errors import VidclsError
from vidcls.launch.job import Job
from vidcls.launch.local import LocalProfile, num_gpus
from vidcls.launch.profile import QueuedProfile
from vidcls.launch.queue import AnyProfile
from vidcls.spec.experiment import Spec
from vidcls.spec.load import LoadedSpec
from vidcls.sweep.plan import LaunchPlan

FindingState = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class PreflightFinding:
    """One line of a preflight.

    Attributes:
        what: Subject of the check, in a word or two.
        state: `error` if the job would fail or be useless, `warning` if the user should know.
        found: Result of the check.
        todo: Command to type or setting to change; empty if there is nothing to do.
    """

    what: str
    state: FindingState
    found: str
    todo: str = ""

    @classmethod
    def of(cls, what: str, error: VidclsError) -> PreflightFinding:
        """Make a finding from an error."""
        return cls(what, "error", error.message, error.hint or "")


def has_errors(findings: Iterable[PreflightFinding]) -> bool:
    """Whether a finding is an error."""
    return any(finding.state == "error" for finding in findings)


def gb(num_bytes: float) -> str:
    """Size as readable text."""
    return f"{num_bytes / 1e9:.2f} GB"


@dataclass(frozen=True)
class Candidate:
    """One spec that may be trained.

    Attributes:
        label: Text that distinguishes it within a sweep; empty for a single spec.
        loaded: Loaded spec.
    """

    label: str
    loaded: LoadedSpec

    @property
    def spec(self) -> Spec:
        """Spec of the candidate."""
        return self.loaded.spec


@dataclass(frozen=True)
class PreflightRequest:
    """Request that is about to be queued.

    Attributes:
        candidates: The spec, or enough points of a sweep to cover every value of each parameter.
        profile: Profile with the resources of a job.
        job: Job that would be submitted; None if nothing is queued.
        plan: Launch plan of a sweep.
        begins_anew: Whether an earlier run is set aside, or continues with changed code.
    """

    candidates: Sequence[Candidate]
    profile: AnyProfile = field(default_factory=LocalProfile)
    job: Job | None = None
    plan: LaunchPlan | None = None
    begins_anew: bool = False

    @property
    def first(self) -> Spec:
        """Spec, or first point of the sweep."""
        return self.candidates[0].spec

    @property
    def num_gpus(self) -> int:
        """Number of GPUs of a job; if nothing is queued, of this machine."""
        return num_gpus() if self.profile.num_gpus is None else self.profile.num_gpus

    @property
    def is_queued(self) -> bool:
        """Whether the job runs on other machines."""
        return isinstance(self.profile, QueuedProfile)
