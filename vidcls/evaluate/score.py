"""Scoring: the only code that turns clips, or stored features, into logits for evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch

from vidcls.features.clips import AnyBatch, FeatureBatch
from vidcls.models.device import clip_format, full_float32
from vidcls.models.kinds.base import VideoModel
from vidcls.process.signals import heed


@dataclass(frozen=True)
class Scores:
    """Logits of each video.

    Attributes:
        ids: Ids of the N videos, each once.
        labels: int64 `[N]`.
        logits: float32 `[N, K]`.
    """

    ids: tuple[str, ...]
    labels: np.ndarray
    logits: np.ndarray


def forward(model: VideoModel, batch: AnyBatch, *, channels_last: bool) -> torch.Tensor:
    """Logits of a batch, `[B, K]`: clips go through the whole model, stored features through its head."""
    if isinstance(batch, FeatureBatch):
        return model.classify(batch.features)
    clip = batch.clip.contiguous(memory_format=clip_format(channels_last=channels_last))
    logits: torch.Tensor = model(clip)
    return logits


@torch.inference_mode()
def score(
    model: VideoModel,
    batches: Iterable[AnyBatch],
    *,
    channels_last: bool,
    autocast: Callable[[], AbstractContextManager[object]] = full_float32,
) -> Scores:
    """Score clips. The model is put into evaluation mode and stays in it.

    The logits are read from the device once, after the last batch.

    Args:
        model: Model to score with.
        batches: Clips or stored features.
        channels_last: Memory format of the clips.
        autocast: Context of the forward pass: that of training for a validation between two epochs. What is
            stored and published is computed without, in full float32, so that batch sizes and machines agree.
    """
    model.eval()
    ids: list[str] = []
    labels: list[int] = []
    logits: list[torch.Tensor] = []
    for batch in batches:
        heed()
        ids += batch.ids
        labels += batch.host_labels
        with autocast():
            given = forward(model, batch, channels_last=channels_last)
        # A copy, because CUDA graphs write their next result to the same memory.
        logits.append(given.to(torch.float32, copy=True))
    if not ids:
        return Scores((), np.zeros(0, np.int64), np.zeros((0, 0), np.float32))
    return Scores(tuple(ids), np.array(labels, np.int64), torch.cat(logits).cpu().numpy())
