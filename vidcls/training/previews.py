"""Preview clips with the predictions of the model, for visual inspection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from vidcls.data.batches.source import Batch, BatchSource
from vidcls.data.manifest import Video
from vidcls.evaluate.predictions import Predictions
from vidcls.spec.sections import Clip
from vidcls.tracking.tracker import Preview

_FAST_PX = 4.0  # speed at which a preview of flow reaches full colour


def make_previews(
    clips: BatchSource[Batch], videos: Sequence[Video], predictions: Predictions, *, clip: Clip, num: int
) -> list[Preview]:
    """Make `num` previews, spread evenly over the scored videos, of clips as the model saw them."""
    num = min(num, len(predictions.ids))
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
                clip=_pixels(batch.clip[0], clip),
                label=classes[video.label],
                prediction=classes[best],
                probability=float(probability[best]),
            )
        )
    return previews


def _pixels(clip_cthw: torch.Tensor, section: Clip) -> np.ndarray:
    """Undo the normalisation: uint8 RGB `[T, H, W, 3]`; differences are centred at grey, flow is coloured."""
    mean, std = (np.array(values, np.float32) for values in section.normalisation)
    values = clip_cthw.float().cpu().permute(1, 2, 3, 0).numpy() * std + mean
    shown, start = [], 0
    for part in section.parts:
        behind = start + section.part(part).num_channels
        shown.append(_part(values[..., start:behind], part))
        start = behind
    return np.concatenate(shown, axis=2)


def _part(values: np.ndarray, part: str) -> np.ndarray:
    if part == "flow":
        return np.stack([_wheel(field) for field in values])
    levels = (values + 1) / 2 if part == "difference" else values
    return np.asarray((levels * 255).round().clip(0, 255), np.uint8)


def _wheel(field: np.ndarray) -> np.ndarray:
    """Flow field `[H, W, 2]` as colours `[H, W, 3]`: the hue is the direction, white is no motion."""
    import cv2

    speed, angle = cv2.cartToPolar(field[..., 0], field[..., 1])
    hue = angle * (90 / np.pi)  # 8-bit hues of OpenCV go up to 180
    colours = np.stack([hue, 255 * np.minimum(speed / _FAST_PX, 1), np.full_like(hue, 255)], axis=-1)
    return np.asarray(cv2.cvtColor(colours.round().astype(np.uint8), cv2.COLOR_HSV2RGB))
