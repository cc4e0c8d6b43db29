"""Frames -> normalised batch: window, mirror, resize, normalise; one view a clip.

    frames of a clip  T x [h, w, C] uint8   as stored; h and w may differ between videos under fit: crop
    cut               T x [h', w', C]       the window of the clip's view, still a view of the store
    host_batch        [B, C, T, H, W]       for a model on the CPU
    pack              [B, T, h', w', C]     for one on CUDA; one tensor a clip where windows differ; pinned
    finish            [B, C, T, H, W]       on CUDA, as uint8 travels in a quarter of the time

A batch is float32, normalised, in memory order B T H W C. Frames are uint8 until they are normalised.

A flow field is bytes of `vidcls.data.decoding.flow`: a mirror negates u too, and a resize scales u and v with
the picture. A difference takes two frames, the sampled one and the next: a clip comes as 2 T frames, and
all is done to both before one is taken from the other. RGB with motion has the channels of both, RGB first.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vidcls.data.batches.augment import View
from vidcls.data.batches.buffers import Buffers
from vidcls.data.decoding.flow import STILL
from vidcls.data.modality import U, frames_each, growth, has_difference, has_flow, levels
from vidcls.spec.sections import Clip


def cut(frames: Sequence[Tensor], view: View) -> list[Tensor]:
    """The window of each frame `[h, w, C]`; shares memory with it."""
    rows = slice(view.top, view.top + view.height)
    columns = slice(view.left, view.left + view.width)
    return [frame[rows, columns] for frame in frames]


def host_batch(
    windows: Sequence[Sequence[Tensor]], flips: Sequence[bool], *, clip: Clip, buffers: Buffers
) -> Tensor:
    """The normalised batch `[B, C, T, H, W]` float32 on the CPU, channels innermost in memory.

    Made by the calling thread alone: OpenMP would give each thread that prepares batches a team of its own,
    and these would fight for the cores with the one that trains. Hence numpy, OpenCV and the one resize of
    torch that starts no threads, and frame by frame, so that a frame stays in the cache.

    Args:
        windows: T tensors of each clip, `[h, w, C]` uint8, or 2 T for differences; not written to.
        flips: Whether each of the B clips is mirrored.
        clip: Modality, size, mean and standard deviation.
        buffers: Where the memory of the batch comes from.
    """
    height, width = clip.size
    num_frames = len(windows[0]) // frames_each(clip)
    batch = buffers.empty(len(windows), num_frames, height, width, clip.num_channels)
    made = batch.numpy().reshape(len(windows), num_frames, -1)
    for target, frames, flip in zip(made, windows, flips, strict=True):
        gathered = _gather(frames, flip=flip, clip=clip)
        scale, shift = _host_levels(clip, *growth(clip, gathered.shape[1:3]))
        if gathered.shape[1:3] != clip.size:
            gathered = _resize(torch.from_numpy(gathered).permute(0, 3, 1, 2), clip.size).numpy()
        for row, images in zip(target, gathered.reshape(num_frames, frames_each(clip), -1), strict=True):
            if has_difference(clip):
                values = row.reshape(-1, clip.num_channels)
                values[:, -3:] = images[-1].reshape(-1, 3)
                values[:, -3:] -= images[0].reshape(-1, 3)
                values[:, :-3] = images[0].reshape(-1, 3)[:, : clip.num_channels - 3]
            else:
                row[:] = images[-1]
            row *= scale
            row += shift
    return batch.permute(0, 4, 1, 2, 3)


def _gather(frames: Sequence[Tensor], *, flip: bool, clip: Clip) -> NDArray[np.uint8]:
    gathered = np.empty((len(frames), *frames[0].shape), np.uint8)
    for target, frame in zip(gathered, frames, strict=True):
        if flip:
            cv2.flip(frame.numpy(), 1, dst=target)  # ten times as fast as in numpy
        else:
            target[:] = frame.numpy()
    if flip and has_flow(clip):
        u = gathered[..., U]
        np.negative(u, out=u)  # 128 + n becomes 128 - n, modulo 256
    return gathered


def pack(windows: Sequence[Sequence[Tensor]], *, pin: bool) -> list[Tensor]:
    """Copy the windows of B clips together: one `[B, T, h, w, C]`, or B of `[1, T, h, w, C]` if sizes differ.

    Args:
        windows: T tensors of each clip, `[h, w, C]` uint8, or 2 T for differences.
        pin: Whether windows on the host go to pinned memory.
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


def finish(packed: Sequence[Tensor], flips: Sequence[bool], *, clip: Clip, device: torch.device) -> Tensor:
    """The normalised batch `[B, C, T, H, W]` float32 on `device`, channels innermost in memory.

    Args:
        packed: From `pack`; mirrored in place where it already is on `device`.
        flips: Whether each of the B clips is mirrored.
        clip: Modality, size, mean and standard deviation.
        device: Where the batch goes.
    """
    height, width = clip.size
    num_frames = packed[0].shape[1] // frames_each(clip)
    batch = torch.empty(
        (len(flips), num_frames, height, width, clip.num_channels), dtype=torch.float32, device=device
    )
    start = 0
    for windows in packed:
        windows = windows.to(device, non_blocking=True)
        behind = start + len(windows)
        for window, flip in zip(windows, flips[start:behind], strict=True):
            if flip:
                window.copy_(window.flip(2))
                if has_flow(clip):
                    window[..., U].neg_()
        if windows.shape[2:4] != clip.size:
            windows = _resize_on_device(windows, clip)
        if has_difference(clip):
            first = windows[:, ::2].float()
            batch[start:behind, ..., -3:] = windows[:, 1::2].float() - first
            batch[start:behind, ..., :-3] = first[..., : clip.num_channels - 3]
        else:
            batch[start:behind] = windows
        start = behind
    scale, shift = (torch.from_numpy(row).to(device) for row in _row_levels(clip, 1.0, 1.0))
    # Two operations, as a fused one rounds otherwise at the end of a batch than inside it.
    batch.view(-1, scale.numel()).mul_(scale).add_(shift)
    return batch.permute(0, 4, 1, 2, 3)


def _resize_on_device(windows: Tensor, clip: Clip) -> Tensor:
    """`[b, T, h, w, C]` uint8 -> `[b, T, H, W, C]` float32 of the same meaning.

    In float, as torch resizes uint8 on the CPU alone. The two are up to a grey level apart.
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
    """Bilinear with antialiasing, `[T, C, h, w]` -> `[T, H, W, C]`; uint8 is fast with channels innermost."""
    resized = F.interpolate(frames, size=size, mode="bilinear", antialias=True, align_corners=False)
    return resized.permute(0, 2, 3, 1)


@lru_cache(maxsize=16)
def _host_levels(clip: Clip, across: float, down: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """`_row_levels` for a whole frame: `[H * W * C]` each."""
    scale, shift = (np.tile(row, clip.size[0]) for row in _row_levels(clip, across, down))
    return scale, shift


def _row_levels(clip: Clip, across: float, down: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What a row of W x C bytes is multiplied by and what is then added: `[W * C]` each.

    A row, as a broadcast over the few channels alone is not vectorised.

    Args:
        clip: Modality, size, mean and standard deviation.
        across: How many times wider than its window the clip is; u grows with it.
        down: How many times higher; v grows with it.
    """
    scale, shift = (np.tile(values, clip.size[1]).astype(np.float32) for values in levels(clip, across, down))
    return scale, shift
