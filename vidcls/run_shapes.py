"""What the JSON files of a run hold, as far as others read it; a run may say more of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from vidcls.json_files import Count, JsonPath, JsonText, Seconds

RunState = Literal["running", "interrupted", "stopped", "failed", "finished"]


@dataclass(frozen=True)
class Status:
    """Where a run stands.

    Attributes:
        state: `running` also while nobody trains it any more but it was killed; `Run.state` tells. `stopped`
            early by whoever judged it, and `interrupted` by a signal, can go on.
        epoch: Finished epochs.
        num_epochs: Epochs that were asked for.
        best_epoch: The epoch of the best val top-1, None before the first.
        metrics: Metrics of the best epoch, by name.
        elapsed_s: Seconds spent training, over all resumes.
        updated: When this was written, UTC.
        message: Why it stopped, for a run that did.
    """

    state: RunState
    epoch: int
    num_epochs: int
    best_epoch: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    elapsed_s: float = 0.0
    updated: str = ""
    message: str = ""


@with_config(ConfigDict(extra="forbid"))
class StatusShape(TypedDict):
    """The file of a `Status`."""

    state: RunState
    epoch: Count
    num_epochs: Count
    best_epoch: Count | None
    metrics: dict[JsonText, float]
    elapsed_s: Seconds
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
    """See `vidcls.leaks.state.LeakState`."""

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
    """What every run says of itself."""

    threads: Annotated[int, Field(ge=1, le=2**20)]
    precision: Literal["fp32", "bf16", "fp16"]
    manifest: _Manifest
    data_root: JsonPath
    store_dir: JsonPath
    leaks: Leaks
    resumes: list[_Start]


class RemovedShape(TypedDict):
    """By which rule the checkpoints were removed."""

    why: JsonText


LEAKS: TypeAdapter[Any] = TypeAdapter(Leaks)
STATUS = TypeAdapter(StatusShape)
PROVENANCE = TypeAdapter(Provenance)
REMOVED = TypeAdapter(RemovedShape)
