"""A few clips with the answers of the model, for a person to look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from vidcls.data.batches import Clips
from vidcls.data.manifest import Video
from vidcls.evaluate.predictions import Predictions
from vidcls.spec.experiment import Spec
from vidcls.spec.sections import ClipSection
from vidcls.tracking.tracker import Preview


def make_previews(
    clips: Clips, videos: Sequence[Video], predictions: Predictions, *, spec: Spec
) -> list[Preview]:
    """Clips spread evenly over the scored videos, as the model saw them, `tracking.previews` of them."""
    num = min(spec.tracking.previews, len(predictions.ids))
    rows = np.unique(np.linspace(0, len(predictions.ids) - 1, num).astype(int))
    by_id = {video.id: video for video in videos}
    chosen = [by_id[predictions.ids[row]] for row in rows]
    probabilities = torch.softmax(torch.from_numpy(predictions.logits[rows]), dim=1).numpy()
    classes = predictions.classes
    previews = []
    batches = clips.eval_batches(chosen, batch_size=1)
    for batch, video, probability in zip(batches, chosen, probabilities, strict=True):
        best = int(probability.argmax())
        previews.append(
            Preview(
                video=video.id,
                clip=_pixels(batch.clip[0], spec.clip),
                label=classes[video.label],
                prediction=classes[best],
                probability=float(probability[best]),
            )
        )
    return previews


def _pixels(clip_cthw: torch.Tensor, section: ClipSection) -> np.ndarray:
    """Undo the normalisation: uint8 `[T, H, W, 3]`."""
    clip_thwc = clip_cthw.float().cpu().permute(1, 2, 3, 0)
    values = (clip_thwc * torch.tensor(section.std) + torch.tensor(section.mean)) * 255
    return values.round().clamp(0, 255).to(torch.uint8).numpy()
