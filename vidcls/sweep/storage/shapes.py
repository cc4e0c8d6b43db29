"""Schema of each JSON file of a sweep, for the keys that other processes read."""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, FiniteFloat, TypeAdapter, with_config
from typing_extensions import TypedDict

from vidcls.json_files import Count, JsonPath, JsonText, Seconds

_Hours = Annotated[float, Field(ge=-1e9, le=1e9)]
_Number = Annotated[str, Field(pattern=r"^[0-9]{1,15}$")]
_MORE = with_config(ConfigDict(extra="allow"))


class _TrialRecord(TypedDict):
    number: Count
    configuration: Count
    repeat: Count
    point: dict[JsonText, Any]
    seed: Count


class _Lease(TypedDict):
    worker: JsonText
    epoch: Count
    until_epoch: Count | None


@_MORE
class _TrialEnd(TypedDict):
    kind: Literal["finished", "stopped", "paused", "released", "crashed", "refused", "expired"]
    by: JsonText
    epoch: Count
    rungs: dict[_Number, FiniteFloat]
    value: NotRequired[FiniteFloat | None]
    latest: NotRequired[FiniteFloat | None]
    message: NotRequired[JsonText]
    run: NotRequired[JsonPath]
    metrics: NotRequired[dict[JsonText, float]]
    best_epoch: NotRequired[Count | None]
    seconds: NotRequired[Seconds]
    epoch_s: NotRequired[Seconds]
    startup_s: NotRequired[Seconds]
    memory_bytes: NotRequired[Count]
    gpu_memory_bytes: NotRequired[Count]


@_MORE
class _Rung(TypedDict):
    value: FiniteFloat


@_MORE
class _Worker(TypedDict):
    host: JsonText
    space: JsonText
    pid: Annotated[int, Field(ge=1, le=2**31)]
    process_start: Seconds
    job: JsonText | None
    token: JsonText
    num_gpus: Annotated[int, Field(ge=0, le=2**16)]


@_MORE
class _Beat(TypedDict):
    beats: Count
    seconds: Seconds
    state: JsonText
    trials: dict[_Number, Count]


@_MORE
class _Gone(TypedDict):
    reason: JsonText
    seconds: Seconds


@_MORE
class _Word(TypedDict):
    kind: Literal["pause", "resume", "cancel", "extend"]
    trials: NotRequired[Count]
    gpu_hours: NotRequired[_Hours]
    hours: NotRequired[_Hours]


@_MORE
class _Contender(TypedDict):
    name: JsonText
    value: FiniteFloat
    low: FiniteFloat | None
    high: FiniteFloat | None


@_MORE
class _Pair(TypedDict):
    first: JsonText
    second: JsonText
    value: FiniteFloat
    low: FiniteFloat | None
    high: FiniteFloat | None


@_MORE
class _Look(TypedDict):
    number: Count
    num_looks: Count
    num_seeds: Count
    going_on: Annotated[list[JsonText], Field(min_length=1)]
    beaten: dict[JsonText, JsonText]
    failed: dict[JsonText, JsonText]
    contenders: list[_Contender]
    pairs: list[_Pair]
    split: JsonText
    num_videos: Count
    num_groups: Count
    unit: JsonText
    leak_state: JsonText


_SHAPES: dict[str, Any] = {
    r"trials/\d+/trial\.json": _TrialRecord,
    r"trials/\d+/lease-\d+\.json": _Lease,
    r"trials/\d+/end-\d+\.json": _TrialEnd,
    r"trials/\d+/rung-\d+\.json": _Rung,
    r"workers/[^/]+\.beat\.json": _Beat,
    r"workers/[^/]+\.gone\.json": _Gone,
    r"workers/[^/]+\.json": _Worker,
    r"control/\d+\.json": _Word,
    r"looks/\d+\.json": _Look,
    r".*": dict[str, Any],
}


def shape_of(name: str) -> TypeAdapter[dict[str, Any]]:
    """Schema of a file, by its name in the sweep's folder."""
    return _adapter(next(pattern for pattern in _PATTERNS if pattern.fullmatch(name)).pattern)


_PATTERNS = [re.compile(pattern, re.DOTALL) for pattern in _SHAPES]


@cache
def _adapter(pattern: str) -> TypeAdapter[dict[str, Any]]:
    return TypeAdapter(_SHAPES[pattern])
