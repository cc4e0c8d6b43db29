"""Schemas of the JSON files of a run, for the keys that other code reads; there may be more keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from vidcls.json_files import Count, Joules, JsonPath, JsonText, Seconds

RunState = Literal["running", "interrupted", "stopped", "failed", "finished"]


@dataclass(frozen=True)
class Status:
    """Status of a run.

    Attributes:
        state: State; a killed run still has `running` here, see `Run.state`. A run that is `stopped` (by a
            stop rule) or `interrupted` (by a signal) can be resumed.
        epoch: Number of finished epochs.
        num_epochs: Number of requested epochs.
        best_epoch: Epoch of the best val top-1; None before the first epoch has finished.
        metrics: Metrics of the best epoch, by name.
        elapsed_s: Seconds spent training, over all resumes.
        energy_j: Joules that the GPU used meanwhile, see `vidcls.process.energy`; None if it is unknown for
            one of the starts.
        updated: Time of the last update, UTC.
        message: Reason why a stopped run stopped.
    """

    state: RunState
    epoch: int
    num_epochs: int
    best_epoch: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    elapsed_s: float = 0.0
    energy_j: float | None = None
    updated: str = ""
    message: str = ""


@with_config(ConfigDict(extra="forbid"))
class StatusShape(TypedDict):
    """Schema of the file of a `Status`."""

    state: RunState
    epoch: Count
    num_epochs: Count
    best_epoch: Count | None
    metrics: dict[JsonText, float]
    elapsed_s: Seconds
    energy_j: NotRequired[Joules | None]  # runs of earlier versions have none
    updated: JsonText
    message: JsonText


class _Share(TypedDict):
    related: Count
    videos: Count


def _is_share(share: _Share) -> _Share:
    if share["related"] > share["videos"]:
        raise ValueError("more related videos than videos")
    return share


@with_config(ConfigDict(extra="allow"))
class Leaks(TypedDict):
    """Schema of a leak state, see `vidcls.leaks.state.LeakState`."""

    kind: Literal["leaky", "clean", "unknown"]
    by: Literal["group", "name", "content", "none"]
    shares: dict[Literal["train", "val", "test"], Annotated[_Share, AfterValidator(_is_share)]]
    is_partial: bool


@with_config(ConfigDict(extra="allow"))
class _Manifest(TypedDict):
    hash: Annotated[str, Field(pattern=r"^\w+$")]


@with_config(ConfigDict(extra="allow"))
class _Start(TypedDict):
    code: str
    versions: dict[JsonText, JsonText]
    device: str
    processor: str


@with_config(ConfigDict(extra="allow"))
class _Weights(TypedDict):
    digest: str


class _Opened(TypedDict, total=False):
    bad_videos: dict[JsonText, JsonText]
    weights: list[_Weights]


@with_config(ConfigDict(extra="allow"))
class Provenance(_Start, _Opened):
    """Schema of the provenance of a run."""

    threads: Annotated[int, Field(ge=1, le=2**20)]
    precision: Literal["fp32", "bf16", "fp16"]
    manifest: _Manifest
    data_root: JsonPath
    store_dir: JsonPath
    leaks: Leaks
    resumes: list[_Start]


class RemovedShape(TypedDict):
    """Schema of the rule by which checkpoints were removed."""

    why: JsonText


LEAKS: TypeAdapter[Any] = TypeAdapter(Leaks)
STATUS = TypeAdapter(StatusShape)
PROVENANCE = TypeAdapter(Provenance)
REMOVED = TypeAdapter(RemovedShape)
