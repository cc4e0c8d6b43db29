"""Exports a model in int8 beside the one in float32, and says what that costs in accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from vidcls.errors import VidclsError
from vidcls.export.clips import RunClips
from vidcls.export.measure import Logits
from vidcls.export.quantise import METHOD, quantise
from vidcls.export.to_onnx import described
from vidcls.predict.exported import Description, Quantisation
from vidcls.predict.onnx_session import OnnxModel

if TYPE_CHECKING:
    import onnx

_NUM_CALIBRATION = 64
_BATCH_SIZE = 8


@dataclass(frozen=True, eq=False)
class Int8:
    """Model in int8.

    Attributes:
        content: Content of its file.
        quantisation: What was done, and the accuracies on val.
        logits: Computes logits `[B, K]` of clips by onnxruntime.
    """

    content: bytes
    quantisation: Quantisation
    logits: Logits


def to_int8(
    model: onnx.ModelProto,
    description: Description,
    clips: RunClips,
    *,
    float32: Logits,
    threads: int,
    name: str,
) -> Int8:
    """Convert a model to int8 with clips of train, and score both models on val.

    Args:
        model: ONNX model in float32.
        description: Description of that model.
        clips: Clips of the run's data.
        float32: Computes its logits.
        threads: Number of CPU threads that compute.
        name: Name of the run, for messages.

    Raises:
        VidclsError: If onnxruntime cannot convert the model, or no video of train or val can be read.
    """
    calibration = [clip for _, clip in clips.of_split("train", _NUM_CALIBRATION)]
    if not calibration:
        raise VidclsError(
            f"{name}: --int8: no video of train can be read, so there is nothing to calibrate on"
        )
    clips.progress("quantise", 0, 0)
    converted = quantise(model, calibration, name=name)
    runnable = OnnxModel(converted.SerializeToString(), threads=threads, name=name)
    labels, expected, found = _scored(clips, float32, runnable.logits, name=name)
    quantisation = Quantisation(
        method=METHOD,
        num_calibration=len(calibration),
        num_videos=len(labels),
        top1=float((found == labels).mean()),
        top1_float32=float((expected == labels).mean()),
        agreement=float((found == expected).mean()),
    )
    description = description.model_copy(update={"parity": None, "quantisation": quantisation})
    return Int8(described(converted, description), quantisation, runnable.logits)


def _scored(
    clips: RunClips, float32: Logits, int8: Logits, *, name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True labels of val, and the classes predicted by both models: `[N]` each."""
    labels: list[int] = []
    expected: list[np.ndarray] = []
    found: list[np.ndarray] = []
    total = len(clips.manifest.split("val"))
    readable = clips.of_split("val")
    while batch := list(islice(readable, _BATCH_SIZE)):
        stacked = np.stack([clip for _, clip in batch])
        labels += [video.label for video, _ in batch]
        expected.append(float32(stacked).argmax(axis=1))
        found.append(int8(stacked).argmax(axis=1))
        clips.progress("score", len(labels), total)
    if not labels:
        raise VidclsError(f"{name}: --int8: no video of val can be read, so its accuracy is unknown")
    return np.array(labels), np.concatenate(expected), np.concatenate(found)
