"""The `data` section: where the videos are and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from vidcls.choices import Auto, Layout, Residency, Source
from vidcls.spec.base import (
    NonNegativeInt,
    PathText,
    PositiveFloat,
    PositiveInt,
    Section,
    Target,
    code_target,
    not_identity,
)

DEFAULT_MAX_BAD = 10
_FILES = "your data set reads its own files"
_NOT_WITH_TARGET = {
    "root": "your data set reads its own files, so give one of the two",
    "layout": _FILES,
    "source": _FILES,
    "split_number": _FILES,
    "decoder": _FILES,
    "residency": "your data set makes its clips anew in each epoch",
    "bad_videos": "an item that fails ends the training and is named; leave it out in your code",
}
"""Settings that have no effect with a data set of the user, and why."""


class DataSection(Section):
    """Where the videos are and how their files are read."""

    root: PathText = not_identity("data/motion10")
    """Folder with the videos, a CSV manifest `path,label[,split][,group]`, or a text list `path label`."""
    target: Target | None = code_target(None)
    """Your own data set in place of data.root: a class, or a function that makes one, `module:Name` or
    `path/to/file.py:Name`. `vidcls data doctor TARGET` tries it."""
    args: dict[str, JsonValue] = Field(default_factory=dict)
    """Arguments of data.target by name. `split` ("train", "val" or "test") is handed over if it takes it.
    Write paths among them from the root `/`, since trials of a sweep and queued jobs run in other folders."""
    layout: Layout = not_identity("auto")
    """How the folder is organised; `auto` detects it, and asks for this key if two layouts are possible."""
    source: Source = "auto"
    """What to read if the data has several of these; `auto`: videos, otherwise frames, otherwise flows.
    `flows` are fields of optical flow that were computed before, for clip.modality: flow; `videos+flows` and
    `frames+flows` are for clip.modality: rgb+flow. With videos, n flow fields are taken as those between n +
    1 frames spread evenly over the video, as in the course data."""
    split_number: Annotated[PositiveInt, Field(le=3)] | None = None
    """Number of the official lists of UCF101 or HMDB51 (1 to 3); 1 if unset. Only for lists with numbers."""
    val_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of train that becomes val, by group, if the data has no val; 0.2 if unset."""
    join_val: bool = False
    """Train on the val videos too; then nothing is validated. `vidcls train --final` sets it."""
    flip_labels: dict[str, str] | None = None
    """Classes that a left-right mirror exchanges, `{left: right, right: left}`; needed to flip such
    classes. With data.target, a training clip may have the label that its own is exchanged with."""
    decoder: Literal["decord", "pyav"] = "pyav"
    """`pyav` is always right, and was measured to be the fastest, in order and from key frames on. `decord`
    is used for the files of which it gives every frame as PyAV does, in order and by random access (each file
    is decoded three times more to check this), PyAV for the others."""
    bad_videos: Literal["error", "skip"] = "error"
    """What to do with videos that cannot be decoded."""
    max_bad: PositiveInt | None = None
    """Maximum number of videos that `skip` may leave out; 10 if unset."""
    timeout_s: PositiveFloat = not_identity(120.0)
    """Time limit for decoding one file, in seconds. With data.target, for making one item in a worker, as the
    mean over a batch; the first batch of a worker has 300 s more, to start and to make the data set."""
    residency: Auto | Residency = not_identity("auto")
    """Where decoded clips are kept; `auto` takes the fastest place with enough room. All give the same
    batches."""
    workers: Auto | NonNegativeInt = not_identity("auto")
    """Number of decoding processes; `auto` is the number of usable cores. With data.target, number of
    processes that make clips (`auto`: at most 8); 0 makes them in the process that trains."""

    @field_validator("source", mode="before")
    @classmethod
    def _no_pictures(cls, value: Any) -> Any:
        if value == "flows_png":
            raise ValueError(
                "flows_png are colour-wheel pictures, from which (u, v) cannot be computed; set flows"
            )
        return value

    @property
    def source_name(self) -> str:
        """Root or target, as written: the name of the data in messages."""
        return self.target or self.root

    @property
    def place(self) -> str:
        """Absolute path of the root, or the target: it is the same in every working folder."""
        return self.target or str(Path(self.root).absolute())

    def with_root(self, root: str) -> Self:
        """Section with another root, or unchanged if it has a target."""
        return self if self.target else self.model_copy(update={"root": root})

    @property
    def reads_flows(self) -> bool:
        """Whether precomputed flow is read."""
        return "flows" in self.source

    @property
    def table_source(self) -> Source:
        """Value of `source` with which a CSV manifest of these videos reads the same files."""
        return self.source if self.reads_flows else "auto"

    @property
    def num_bad_allowed(self) -> int:
        """Maximum number of videos that may be left out."""
        return 0 if self.bad_videos == "error" else self.max_bad or DEFAULT_MAX_BAD

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.max_bad is not None and self.bad_videos == "error":
            raise ValueError("max_bad: has no effect with bad_videos: error; set bad_videos: skip")
        if self.target is not None:
            for name, why in _NOT_WITH_TARGET.items():
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"{name}: has no effect with data.target: {why}")
            if self.workers == 0 and self.timeout_s != type(self).model_fields["timeout_s"].default:
                raise ValueError("timeout_s: has no effect with workers: 0; set workers: 1 or more")
        elif self.args:
            raise ValueError("args: has no effect without data.target; set target: module:Name")
        elif self.workers == 0:
            raise ValueError("workers: 0 is only for data.target; decoding needs 1 process or more")
        return self
