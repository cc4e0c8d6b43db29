"""Transforms from frames to a normalised batch: crop, flip, resize, normalise; one view per clip.

    frames of a clip  T x [h, w, C] uint8   as stored; h and w may differ between videos under fit: crop
    cut               T x [h', w', C]       the window of the clip's view, sharing the memory of the store
    host_batch        [B, C, T, H, W]       for a model on the CPU
    pack              [B, T, h', w', C]     for a model on CUDA; one tensor per clip if windows differ; pinned
    finish            [B, C, T, H, W]       on CUDA, because a uint8 copy takes a quarter of the time
                                            (`vidcls.data.batches.transfer` copies what was packed)

A batch is float32, normalised, in memory order B T H W C. Frames are uint8 until they are normalised.

A flow field is stored as bytes of `vidcls.data.decoding.flow`: a flip also negates u, and a resize scales u
and v with the picture. A difference needs two frames, the sampled one and the next: a clip comes as 2 T
frames, and both are transformed before they are subtracted. RGB with motion has the channels of both, RGB
first.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vidcls.data.batches.augment.view import View
from vidcls.data.batches.buffers import Buffers
from vidcls.data.decoding.flow import STILL
from vidcls.data.modality import U, frames_each, growth, has_difference, has_flow
from vidcls.data.modality import levels as channel_levels
from vidcls.spec.sections import Clip

Levels = tuple[Tensor, Tensor]


def cut(frames: Sequence[Tensor], view: View) -> list[Tensor]:
    """Window of each frame `[h, w, C]`, as a view of the same memory."""
    top, left, height, width = view.window
    return [frame[top : top + height, left : left + width] for frame in frames]


def host_batch(
    windows: Sequence[Sequence[Tensor]], views: Sequence[View], *, clip: Clip, buffers: Buffers
) -> Tensor:
    """Make the normalised batch `[B, C, T, H, W]` float32 on the CPU, channels innermost in memory.

    It uses only the calling thread: OpenMP would start a team of threads for each thread that prepares
    batches, and they would compete with training for the cores. So it uses numpy, OpenCV and the only resize
    of torch that starts no threads. It works frame by frame, so that a frame stays in the CPU cache.

    Args:
        windows: T tensors of each clip, `[h, w, C]` uint8, or 2 T for differences; not written to.
        views: View of each of the B clips; its window was cut already.
        clip: Modality, size, mean and standard deviation.
        buffers: Pool for the memory of the batch.
    """
    height, width = clip.size
    num_frames = len(windows[0]) // frames_each(clip)
    batch = buffers.empty(len(windows), num_frames, height, width, clip.num_channels)
    made = batch.numpy().reshape(len(windows), num_frames, -1)
    for target, frames, view in zip(made, windows, views, strict=True):
        gathered = _gather(frames)
        for operation in view.operations:
            operation.on_host(gathered, clip)
        window = gathered.shape[1:3]
        scale, shift = _host_levels(clip, *growth(clip, window))
        if window != clip.size:
            gathered = _resize(torch.from_numpy(gathered).permute(0, 3, 1, 2), clip.size).numpy()
        for row, images in zip(target, gathered.reshape(num_frames, frames_each(clip), -1), strict=True):
            if has_difference(clip):
                values = row.reshape(-1, clip.num_channels)
                first, following = (image.reshape(-1, 3) for image in images)
                values[:, -3:] = following
                values[:, -3:] -= first
                values[:, :-3] = first[:, : clip.num_channels - 3]
            else:
                row[:] = images[-1]
            row *= scale
            row += shift
    return batch.permute(0, 4, 1, 2, 3)


def _gather(frames: Sequence[Tensor]) -> NDArray[np.uint8]:
    gathered = np.empty((len(frames), *frames[0].shape), np.uint8)
    for target, frame in zip(gathered, frames, strict=True):
        target[:] = frame.numpy()
    return gathered


def pack(windows: Sequence[Sequence[Tensor]], *, pin: bool) -> list[Tensor]:
    """Copy the windows of B clips into one `[B, T, h, w, C]`, or into B of `[1, T, h, w, C]` if sizes differ.

    Args:
        windows: T tensors of each clip, `[h, w, C]` uint8, or 2 T for differences.
        pin: Whether to copy windows on the host to pinned memory.
    """
    if len({frames[0].shape for frames in windows}) > 1:
        return [packed for frames in windows for packed in pack([frames], pin=pin)]
    first = windows[0][0]
    flat = [window for frames in windows for window in frames]
    if first.device.type != "cpu":
        return [torch.stack(flat).view(len(windows), -1, *first.shape)]
    packed = torch.empty((len(flat), *first.shape), dtype=torch.uint8, pin_memory=pin)
    target = packed.numpy()
    for index, window in enumerate(flat):  # ten times as fast here as torch.stack of windows
        target[index] = window.numpy()
    return [packed.view(len(windows), -1, *first.shape)]


def finish(packed: Sequence[Tensor], views: Sequence[View], *, clip: Clip, levels: Levels) -> Tensor:
    """Make the normalised batch `[B, C, T, H, W]` float32 on a device, channels innermost in memory.

    Args:
        packed: Result of `pack`, on the device; changed in place.
        views: View of each of the B clips; its window was cut already.
        clip: Modality, size, mean and standard deviation.
        levels: Result of `device_levels`.
    """
    height, width = clip.size
    num_frames = packed[0].shape[1] // frames_each(clip)
    batch = torch.empty(
        (len(views), num_frames, height, width, clip.num_channels),
        dtype=torch.float32,
        device=packed[0].device,
    )
    start = 0
    for windows in packed:
        behind = start + len(windows)
        for window, view in zip(windows, views[start:behind], strict=True):
            for operation in view.operations:
                operation.on_device(window, clip)
        if windows.shape[2:4] != clip.size:
            windows = _resize_on_device(windows, clip)
        if has_difference(clip):
            first = windows[:, ::2].float()
            batch[start:behind, ..., -3:] = windows[:, 1::2].float() - first
            batch[start:behind, ..., :-3] = first[..., : clip.num_channels - 3]
        else:
            batch[start:behind] = windows
        start = behind
    scale, shift = levels
    # Two operations, because a fused one rounds differently at the end of a batch than inside it.
    batch.view(-1, scale.numel()).mul_(scale).add_(shift)
    return batch.permute(0, 4, 1, 2, 3)


def _resize_on_device(windows: Tensor, clip: Clip) -> Tensor:
    """Resize `[b, T, h, w, C]` uint8 to `[b, T, H, W, C]` float32 on the same scale of values.

    It computes in float, because torch resizes uint8 only on the CPU. The two differ by at most a grey level.
    """
    frames = windows.flatten(0, 1).permute(0, 3, 1, 2).to(torch.float32).contiguous()
    resized = _resize(frames, clip.size)
    if has_flow(clip):
        fields = resized[..., U:]
        fields -= STILL
        for channel, ratio in enumerate(growth(clip, windows.shape[2:4])):
            fields[..., channel] *= ratio
        fields += STILL
    return resized.reshape(*windows.shape[:2], *resized.shape[1:])


def _resize(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Antialiased bilinear resize, `[T, C, h, w]` to `[T, H, W, C]`; fast for channels-innermost uint8."""
    resized = F.interpolate(frames, size=size, mode="bilinear", antialias=True)
    return resized.permute(0, 2, 3, 1)


def device_levels(clip: Clip, device: torch.device) -> Levels:
    """Factor and offset of `finish`, on its device: `[W * C]` each."""
    scale, shift = (torch.from_numpy(row).to(device) for row in _row_levels(clip, 1.0, 1.0))
    return scale, shift


@lru_cache(maxsize=16)
def _host_levels(clip: Clip, across: float, down: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Same as `_row_levels` for a whole frame: `[H * W * C]` each."""
    scale, shift = (np.tile(row, clip.size[0]) for row in _row_levels(clip, across, down))
    return scale, shift


def _row_levels(clip: Clip, across: float, down: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Factor and offset that normalise a row of W x C bytes: `[W * C]` each.

    A whole row is used, because a broadcast over only a few channels is not vectorised.

    Args:
        clip: Modality, size, mean and standard deviation.
        across: Ratio of the clip's width to the window's width; u scales with it.
        down: Ratio of the heights; v scales with it.
    """
    scale, shift = (
        np.tile(values, clip.size[1]).astype(np.float32) for values in channel_levels(clip, across, down)
    )
    return scale, shift
