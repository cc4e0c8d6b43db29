"""The one path from clips to logits: validation, `evaluate` and `predict` all score here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from vidcls.data.batches import Batch
from vidcls.models.device import clip_format


@dataclass(frozen=True)
class Scores:
    """Logits by video.

    Attributes:
        ids: Of the videos, each once, N in all.
        labels: int64 `[N]`.
        logits: float32 `[N, K]`.
    """

    ids: tuple[str, ...]
    labels: np.ndarray
    logits: np.ndarray


@torch.inference_mode()
def score(model: nn.Module, batches: Iterable[Batch], *, channels_last: bool) -> Scores:
    """Score clips in float32 whatever the precision of training, so that batch sizes and machines agree.

    The model is put into evaluation mode and left there.
    """
    model.eval()
    ids: list[str] = []
    labels: list[torch.Tensor] = []
    logits: list[torch.Tensor] = []
    memory_format = clip_format(channels_last=channels_last)
    for batch in batches:
        ids += batch.ids
        labels.append(batch.labels)
        logits.append(model(batch.clip.contiguous(memory_format=memory_format)).float())
    if not ids:
        return Scores((), np.zeros(0, np.int64), np.zeros((0, 0), np.float32))
    return Scores(tuple(ids), torch.cat(labels).cpu().numpy(), torch.cat(logits).cpu().numpy())
