"""Frames -> normalised batch: window, mirror, resize, normalise; one draw a clip.

The draws come from a generator keyed by the clip, so what happens to it depends neither on the batch that it
is in nor on the order.

    frames of a clip  T x [h, w, 3] uint8   as stored; h and w may differ between videos under fit: crop
    cut               T x [h', w', 3]       the window of the clip's view, still a view of the store
    host_batch        [B, C, T, H, W]       for a model on the CPU
    pack              [B, T, h', w', 3]     for one on CUDA; one tensor a clip where windows differ; pinned
    finish            [B, C, T, H, W]       on CUDA, as uint8 travels in a quarter of the time

A batch is float32, normalised, in memory order B T H W C. Frames are uint8 until they are normalised.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vidcls.data.buffers import Buffers
from vidcls.errors import UserError
from vidcls.spec.sections import AugmentSection, ClipSection

_SCALE = (0.5, 1.0)
_RATIO = (0.75, 4 / 3)
_TRIES = 10


@dataclass(frozen=True)
class View:
    """What is done to the frames of one clip, in stored pixels.

    Attributes:
        top: First row of the window.
        left: First column of the window.
        height: Rows of the window.
        width: Columns of the window.
        flip: Whether the window is mirrored left to right.
    """

    top: int
    left: int
    height: int
    width: int
    flip: bool = False


def eval_view(stored: tuple[int, int], clip: ClipSection) -> View:
    """The view of evaluation: all of a squeezed frame, the centre of one that kept its aspect ratio.

    Args:
        stored: Height and width of the stored frames.
        clip: Size of the window.
    """
    height, width = clip.size
    return View((stored[0] - height) // 2, (stored[1] - width) // 2, height, width)


def train_view(
    stored: tuple[int, int], clip: ClipSection, *, augment: AugmentSection, rng: np.random.Generator
) -> View:
    """Draw the view of one clip in training.

    Args:
        stored: Height and width of the stored frames.
        clip: Size of the window.
        augment: What may happen.
        rng: Of this clip alone.
    """
    flip = bool(rng.random() < augment.flip)
    match augment.crop:
        case "none":
            window = eval_view(stored, clip)
        case "random":
            height, width = clip.size
            top = int(rng.integers(stored[0] - height + 1))
            window = View(top, int(rng.integers(stored[1] - width + 1)), height, width)
        case "random_resized":
            window = _resized_window(stored, clip, augment=augment, rng=rng)
    return View(window.top, window.left, window.height, window.width, flip)


def _resized_window(
    stored: tuple[int, int], clip: ClipSection, *, augment: AugmentSection, rng: np.random.Generator
) -> View:
    """A window of random area and aspect (Szegedy et al. 2015, arXiv:1409.4842; torchvision's method)."""
    low, high = augment.scale or _SCALE
    ratios = augment.ratio or _RATIO
    aspect = clip.size[1] / clip.size[0]  # at ratio 1 the resize keeps the proportions of the frame
    area = stored[0] * stored[1]
    for _ in range(_TRIES):
        target = area * rng.uniform(low, high)
        ratio = aspect * math.exp(rng.uniform(math.log(ratios[0]), math.log(ratios[1])))
        width, height = round(math.sqrt(target * ratio)), round(math.sqrt(target / ratio))
        if 0 < height <= stored[0] and 0 < width <= stored[1]:
            top = int(rng.integers(stored[0] - height + 1))
            return View(top, int(rng.integers(stored[1] - width + 1)), height, width)
    ratio = min(max(stored[1] / stored[0], aspect * ratios[0]), aspect * ratios[1])
    height, width = min(stored[0], round(stored[1] / ratio)), min(stored[1], round(stored[0] * ratio))
    return View((stored[0] - height) // 2, (stored[1] - width) // 2, height, width)


def cut(frames: Sequence[Tensor], view: View) -> list[Tensor]:
    """The window of each frame `[h, w, 3]`; shares memory with it."""
    rows = slice(view.top, view.top + view.height)
    columns = slice(view.left, view.left + view.width)
    return [frame[rows, columns] for frame in frames]


def host_batch(
    windows: Sequence[Sequence[Tensor]], flips: Sequence[bool], *, clip: ClipSection, buffers: Buffers
) -> Tensor:
    """The normalised batch `[B, C, T, H, W]` float32 on the CPU, channels innermost in memory.

    Made by the calling thread alone: OpenMP would give each thread that prepares batches a team of its own,
    and these would fight for the cores with the one that trains. Hence numpy, OpenCV and the one resize of
    torch that starts no threads, and frame by frame, so that a frame stays in the cache.

    Args:
        windows: For each clip T tensors `[h, w, 3]` uint8; not written to.
        flips: For each of the B clips whether it is mirrored.
        clip: Size, mean and standard deviation.
        buffers: Where the memory of the batch comes from.
    """
    height, width = clip.size
    scale, shift = (np.tile(row, height) for row in _scale_and_shift(clip))
    batch = buffers.empty(len(windows), len(windows[0]), height, width, 3)
    made = batch.numpy().reshape(len(windows), len(windows[0]), -1)
    for target, frames, flip in zip(made, windows, flips, strict=True):
        gathered = _gather(frames, flip=flip)
        if gathered.shape[1:3] != clip.size:
            gathered = _resize(torch.from_numpy(gathered).permute(0, 3, 1, 2), clip.size).numpy()
        for row, pixels in zip(target, gathered.reshape(len(frames), -1), strict=True):
            row[:] = pixels
            row *= scale
            row += shift
    return batch.permute(0, 4, 1, 2, 3)


def _gather(frames: Sequence[Tensor], *, flip: bool) -> NDArray[np.uint8]:
    gathered = np.empty((len(frames), *frames[0].shape), np.uint8)
    for target, frame in zip(gathered, frames, strict=True):
        if flip:
            cv2.flip(frame.numpy(), 1, dst=target)  # ten times as fast as in numpy
        else:
            target[:] = frame.numpy()
    return gathered


def pack(windows: Sequence[Sequence[Tensor]], *, pin: bool) -> list[Tensor]:
    """Copy the windows of B clips together: one `[B, T, h, w, 3]`, or B of `[1, T, h, w, 3]` if sizes differ.

    Args:
        windows: For each clip T tensors `[h, w, 3]` uint8.
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


def finish(
    packed: Sequence[Tensor], flips: Sequence[bool], *, clip: ClipSection, device: torch.device
) -> Tensor:
    """The normalised batch `[B, C, T, H, W]` float32 on `device`, channels innermost in memory.

    Args:
        packed: From `pack`; mirrored in place where it already is on `device`.
        flips: For each of the B clips whether it is mirrored.
        clip: Size, mean and standard deviation.
        device: Where the batch goes.
    """
    height, width = clip.size
    num_clips, num_frames = len(flips), packed[0].shape[1]
    batch = torch.empty((num_clips, num_frames, height, width, 3), dtype=torch.float32, device=device)
    start = 0
    for windows in packed:
        windows = windows.to(device, non_blocking=True)
        behind = start + len(windows)
        for window, flip in zip(windows, flips[start:behind], strict=True):
            if flip:
                window.copy_(window.flip(2))
        if windows.shape[2:4] == clip.size:
            batch[start:behind] = windows
        else:  # in float: torch resizes uint8 on the CPU alone. The two are up to a grey level apart.
            frames = windows.flatten(0, 1).permute(0, 3, 1, 2).to(torch.float32).contiguous()
            batch[start:behind] = _resize(frames, clip.size).view(-1, num_frames, height, width, 3)
        start = behind
    scale, shift = (torch.from_numpy(row).to(device) for row in _scale_and_shift(clip))
    # Two operations, as a fused one rounds otherwise at the end of a batch than inside it.
    batch.view(-1, width * 3).mul_(scale).add_(shift)
    return batch.permute(0, 4, 1, 2, 3)


def _resize(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear with antialiasing, `[T, C, h, w]` -> `[T, H, W, C]`; uint8 is fast with channels innermost."""
    resized = F.interpolate(frames, size=size, mode="bilinear", antialias=True, align_corners=False)
    return resized.permute(0, 2, 3, 1)


def _scale_and_shift(clip: ClipSection) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What a row of W x 3 grey levels is multiplied by and what is then added: `[W * 3]` each.

    A row, as a broadcast over the three channels alone is not vectorised.
    """
    mean, std = (np.tile(np.array(values, np.float64), clip.size[1]) for values in (clip.mean, clip.std))
    return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)


def flip_map(
    augment: AugmentSection, *, flip_labels: Mapping[str, str] | None, classes: Sequence[str]
) -> tuple[int, ...]:
    """What each label becomes when its clip is mirrored, by label.

    Args:
        augment: Probability of a mirror.
        flip_labels: `data.flip_labels`.
        classes: Class names by label.

    Raises:
        UserError: If a flip would change the label of a class and the data does not say to what, or if
            `flip_labels` has no effect, names no class, or does not work both ways.
    """
    unchanged = tuple(range(len(classes)))
    if augment.flip == 0:
        if flip_labels is not None:
            raise UserError(
                "data.flip_labels: has no effect under augment.flip: 0",
                hint="set augment.flip=0.5, or leave data.flip_labels out",
            )
        return unchanged
    if flip_labels is None:
        _refuse_sided(classes)
        return unchanged
    named = {*flip_labels, *flip_labels.values()}
    unknown = sorted(named.difference(classes))
    if unknown:
        raise UserError(
            f"data.flip_labels: no such class: {', '.join(unknown)}", hint=f"classes: {', '.join(classes)}"
        )
    one_way = [f"{name}: {other}" for name, other in flip_labels.items() if flip_labels.get(other) != name]
    if one_way:
        raise UserError(
            f"data.flip_labels: a mirror works both ways, but these do not: {', '.join(one_way)}",
            hint="write {left: right, right: left}",
        )
    return tuple(classes.index(flip_labels.get(name, name)) for name in classes)


def _refuse_sided(classes: Sequence[str]) -> None:
    sided = {name: mirrored for name in classes if (mirrored := _mirrored(name)) != name}
    if not sided:
        return
    pairs = {name: other if other in classes else name for name, other in sided.items()}
    written = ", ".join(f"{name}: {other}" for name, other in pairs.items())
    raise UserError(
        f"augment.flip: a left-right mirror would change the label of {', '.join(sided)}",
        hint=f"set augment.flip=0, or say what a mirror makes of them: data.flip_labels: {{{written}}}",
    )


def _mirrored(name: str) -> str:
    """A class name with the words left and right exchanged, in snake_case, kebab-case and CamelCase."""
    other = {"left": "right", "right": "left"}

    def swap(match: re.Match[str]) -> str:
        word = match[0]
        swapped = other.get(word.lower())
        if swapped is None:
            return word
        return swapped.upper() if word.isupper() else swapped.title() if word[0].isupper() else swapped

    return re.sub(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", swap, name)
