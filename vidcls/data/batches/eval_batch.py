"""A batch of clips that are in memory already, in the view of evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from vidcls.data.batches.augment import eval_view
from vidcls.data.batches.buffers import Buffers
from vidcls.data.batches.source import Batch
from vidcls.data.batches.transfer import to_device
from vidcls.data.batches.transforms import cut, device_levels, finish, host_batch, pack
from vidcls.spec.sections import Clip


def eval_batch(
    clips: Sequence[NDArray[np.uint8]], *, clip: Clip, device: torch.device, buffers: Buffers
) -> Batch:
    """Make the batch that `Clips.eval_batches` makes of videos with these frames; all labels are 0.

    Args:
        clips: One or more clips as stored, `[T, h, w, C]`, or `[2 T, h, w, 3]` for differences; sizes may
            differ under `fit: crop`.
        clip: Clip section of the model.
        device: Device of the batch.
        buffers: Pool for the memory of the batch, if it is on the CPU.
    """
    frames = [list(torch.from_numpy(pixels)) for pixels in clips]
    views = [eval_view((each.shape[1], each.shape[2]), clip) for each in clips]
    windows = [cut(each, view) for each, view in zip(frames, views, strict=True)]
    if device.type == "cpu":
        pixels = host_batch(windows, views, clip=clip, buffers=buffers)
    else:
        packed = [to_device(each, device) for each in pack(windows, pin=device.type == "cuda")]
        pixels = finish(packed, views, clip=clip, levels=device_levels(clip, device))
    return Batch(
        clip=pixels,
        labels=torch.zeros(len(clips), dtype=torch.int64, device=device),
        host_labels=(0,) * len(clips),
        ids=tuple(map(str, range(len(clips)))),
        flips=(False,) * len(clips),
    )
