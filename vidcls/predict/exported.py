"""Description that an exported model carries: all that is needed to use its file. Needs no torch.

An ONNX file holds it in `metadata_props`, one entry per field with the prefix `vidcls.`; each value is
JSON. A file of torch.export holds it as one JSON object in the extra file `vidcls.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from vidcls.choices import Source
from vidcls.errors import UserError
from vidcls.spec.sections import Clip

FORMAT: Literal[1] = 1
INPUT, OUTPUT = "clip", "logits"
EXTRA_FILE = "vidcls.json"
_PREFIX = "vidcls."


class _Described(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputLayout(_Described):
    """Input of the graph.

    Attributes:
        name: Name of the input.
        dtype: Type of its numbers.
        shape: Size of each axis; the first one is free.
        axes: Meaning of each axis.
        channels: Meaning of each channel.
        clip_rule: How a clip is made of a video, in words; `clip` and `reading` say the same for vidcls.
    """

    name: str
    dtype: str
    shape: tuple[str | int, ...]
    axes: str
    channels: tuple[str, ...]
    clip_rule: str


class Reading(_Described):
    """Settings of `data` with which the videos are read."""

    source: Source
    decoder: Literal["decord", "pyav"]
    timeout_s: float


class DatasetReading(_Described):
    """Data set of a user, whose code alone knows how a file becomes a clip.

    Attributes:
        target: Target of the data set, `module:Name` or `file.py:Name`.
    """

    target: str


class Parity(_Described):
    """Agreement of the exported model with the trained one, in float32.

    Attributes:
        clips: Origin of the clips, `val` or `random`.
        num_clips: Number of clips.
        batch_sizes: Sizes of the batches in which they were computed.
        max_difference: Largest absolute difference of a logit.
        max_scaled: Largest difference of a logit, divided by max(1, |logit of the trained model|).
        tolerance: Allowed value of `max_scaled`.
    """

    clips: Literal["val", "random"]
    num_clips: int
    batch_sizes: tuple[int, ...]
    max_difference: float
    max_scaled: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the difference is allowed; not if a logit is not a number."""
        return self.max_scaled <= self.tolerance


class Quantisation(_Described):
    """Conversion to int8, and what it costs; accuracies are of the val split, both computed by onnxruntime.

    Attributes:
        method: How the numbers were converted.
        num_calibration: Number of training clips from which the ranges of the numbers were taken.
        num_videos: Number of scored val videos.
        top1: Accuracy in int8.
        top1_float32: Accuracy in float32.
        agreement: Share of videos for which both predict the same class.
    """

    method: str
    num_calibration: int
    num_videos: int
    top1: float
    top1_float32: float
    agreement: float


class Description(_Described):
    """Description of an exported model.

    Attributes:
        format: Version of this description.
        version: Version of vidcls that wrote the file.
        classes: Class names; the index is the label.
        clip: Clip section of the training.
        reading: How videos are read, or the data set of the user that makes the clips.
        input: Input of the graph.
        experiment: Name of the experiment.
        seed: Seed of the run.
        fingerprint: Fingerprint of the run.
        checkpoint: Checkpoint of the run, `best` or `last`.
        checkpoint_digest: Digest of the checkpoint file.
        epoch: Number of epochs after which the checkpoint was written.
        leak_state: Leak state of the val split, which must accompany each accuracy.
        parity: Agreement with the trained model; None for int8.
        quantisation: Conversion to int8; None for float32.
    """

    format: Literal[1] = FORMAT
    version: str
    classes: tuple[str, ...]
    clip: Clip
    reading: Reading | DatasetReading
    input: InputLayout
    experiment: str
    seed: int
    fingerprint: str
    checkpoint: str
    checkpoint_digest: str
    epoch: int
    leak_state: str
    parity: Parity | None = None
    quantisation: Quantisation | None = None

    def as_properties(self) -> dict[str, str]:
        """Entries for the metadata of an ONNX file; fields without a value are left out."""
        fields = self.model_dump(mode="json")
        return {f"{_PREFIX}{key}": json.dumps(value) for key, value in fields.items() if value is not None}

    @classmethod
    def from_properties(cls, properties: Mapping[str, str], *, name: str) -> Description:
        """Read the entries of an ONNX file.

        Args:
            properties: Metadata of the file.
            name: Name of the file, for messages.

        Raises:
            UserError: If vidcls did not write the file, or another version of it did.
        """
        own = {
            key.removeprefix(_PREFIX): value for key, value in properties.items() if key.startswith(_PREFIX)
        }
        if "format" not in own:
            raise UserError(
                f"{name}: not a model that vidcls exported: its metadata has no {_PREFIX}format",
                hint="vidcls export RUN --to onnx writes one",
            )
        if own["format"] != str(FORMAT):
            raise UserError(
                f"{name}: exported in format {own['format']}, this version reads {FORMAT}",
                hint="export the run again: vidcls export RUN --to onnx",
            )
        text = "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in own.items()) + "}"
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "metadata"
            raise UserError(
                f"{name}: its metadata is damaged: {where}: {first['msg']}",
                hint="export the run again: vidcls export RUN --to onnx",
            ) from error
