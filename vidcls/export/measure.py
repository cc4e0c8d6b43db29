"""Compares an exported model with the trained one: their logits, and their time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import torch
from torch import nn

from vidcls.arrays import Floats
from vidcls.errors import VidclsError
from vidcls.export.inputs import ModelInput
from vidcls.models.device import full_float32
from vidcls.predict.exported import Parity

TOLERANCE = 1e-4
BATCH_SIZES = (1, 3, 4)
NUM_CLIPS = sum(BATCH_SIZES)
_MOST_TURNS, _RUNS_A_TURN, _MOST_S = 7, 3, 4.0

Logits = Callable[[np.ndarray], np.ndarray]
"""Computes logits `[B, K]` of clips `[B, ...]` in the form of the graph's input."""


class TrainedModel:
    """The trained model as evaluation computes it: the host's transforms, then the model in float32.

    Args:
        model: Model in evaluation mode on the CPU.
        taken: Input of the graph.
    """

    def __init__(self, model: nn.Module, taken: ModelInput) -> None:
        self._model = model
        self._taken = taken

    def __call__(self, clips: np.ndarray) -> np.ndarray:
        """Compute logits `[B, K]` of clips in the form of the graph's input."""
        batch = self._taken.as_evaluated(clips)
        with torch.inference_mode(), full_float32():
            return np.asarray(self._model(batch).numpy(), np.float32)


def compare(
    trained: Logits, exported: Logits, clips: np.ndarray, *, origin: Literal["val", "random"]
) -> Parity:
    """Compare logits on batches of different sizes.

    The difference of a logit is scaled by max(1, |logit|), because float32 rounds in proportion to a value.

    Args:
        trained: Logits of the trained model.
        exported: Logits of the exported model.
        clips: `NUM_CLIPS` clips, `[n, ...]`.
        origin: Where the clips come from.

    Raises:
        VidclsError: If the trained model gives no finite logits, or the shapes of the logits differ.
    """
    difference, scaled, start = 0.0, 0.0, 0
    for size in BATCH_SIZES:
        batch = clips[start : start + size]
        start += size
        expected, found = (np.asarray(call(batch), np.float64) for call in (trained, exported))
        if expected.shape != found.shape:
            raise VidclsError(
                f"the exported model gives logits {found.shape}, the trained one {expected.shape}"
            )
        if not np.isfinite(expected).all():
            raise VidclsError(
                f"the trained model gives logits that are not finite for {origin} clips, so it is of no use",
                hint="its training diverged: train it again with a lower optim.lr",
            )
        apart: Floats = np.abs(expected - found)
        difference = _largest(difference, apart)
        scaled = _largest(scaled, apart / np.maximum(1.0, np.abs(expected)))
    return Parity(
        clips=origin,
        num_clips=len(clips),
        batch_sizes=BATCH_SIZES,
        max_difference=difference,
        max_scaled=scaled,
        tolerance=TOLERANCE,
    )


def _largest(before: float, values: Floats) -> float:
    # A logit that is not a number must not pass, and comparisons with NaN are false.
    return float(np.maximum(before, np.where(np.isnan(values), np.inf, values).max()))


def latencies(calls: Mapping[str, Logits], clip: np.ndarray) -> dict[str, float]:
    """Median time of each model for one clip, in milliseconds; the models take turns.

    Args:
        calls: Models by name.
        clip: Batch of one clip.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    began = time.perf_counter()
    for _ in range(_MOST_TURNS):
        for name, call in calls.items():
            # Not timed: memory is allocated, and the threads of the model before still hold the cores.
            call(clip)
            for _ in range(_RUNS_A_TURN):
                started = time.perf_counter()
                call(clip)
                times[name].append(time.perf_counter() - started)
        if time.perf_counter() - began > _MOST_S:
            break
    return {name: 1e3 * statistics.median(each) for name, each in times.items()}
