"""Videos that are given as arrays: `[T, H, W, 3]` uint8, RGB. Needs no torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidcls.errors import UserError
from vidcls.predict.stored_form import too_short
from vidcls.spec.sections import Clip

_EXPECTED = "expected frames [T, H, W, 3] of uint8, RGB, from 0 to 255"


def as_frames(video: Any, clip: Clip, *, name: str) -> NDArray[np.uint8]:
    """Frames of a video in memory, `[T, H, W, 3]`; the memory is shared where possible.

    Args:
        video: NumPy array or tensor of torch.
        clip: Clip section, which says how many frames are needed.
        name: Name of the array in messages.

    Raises:
        UserError: If it is not such an array; the message says what it is, and what to do.
    """
    if not hasattr(video, "__array__"):
        raise UserError(
            f"{name}: {_EXPECTED}, or a path, got {type(video).__name__}",
            hint="stack the frames of the video: np.stack(frames)",
        )
    frames = np.asarray(video.detach().cpu() if hasattr(video, "detach") else video)
    if (why := _mistake(frames)) is not None:
        found, hint = why
        raise UserError(f"{name}: {_EXPECTED}, got {found}", hint=hint)
    if (reason := too_short(len(frames), clip)) is not None:
        raise UserError(f"{name}: {reason}", hint="give more frames")
    return frames


def _mistake(frames: NDArray[Any]) -> tuple[str, str] | None:
    """What an array is instead of a video, and what to do; None if it is one."""
    shape = f"{frames.dtype} {list(frames.shape)}"
    if frames.ndim == 5:
        return shape, "a batch of videos is given as a list: predict(list(videos))"
    if frames.ndim == 3 and frames.shape[-1] == 3:
        return f"{shape}, which is one frame", "a video of one frame is frame[None]"
    if frames.ndim != 4:
        return shape, "stack the frames of the video: np.stack(frames)"
    if 0 in frames.shape:
        return f"{shape}, which is empty", "give at least one frame"
    if frames.shape[-1] != 3:
        return shape, _about_channels(frames.shape)
    if frames.dtype != np.uint8:
        return shape, _about_values(frames)
    return None


def _about_channels(shape: tuple[int, ...]) -> str:
    if shape[-1] == 4:
        return "leave the alpha channel out: frames[..., :3]"
    if shape[-1] == 1:
        return "repeat the grey channel: np.repeat(frames, 3, axis=-1)"
    if shape[1] == 3:
        return "put the channels last: np.moveaxis(frames, 1, -1), or frames.movedim(1, -1) of torch"
    if shape[0] == 3:
        return "put the channels last: np.moveaxis(frames, 0, -1), or frames.movedim(0, -1) of torch"
    return "the last axis holds red, green and blue"


def _about_values(frames: NDArray[Any]) -> str:
    if np.issubdtype(frames.dtype, np.floating):
        low, high = float(frames.min()), float(frames.max())
        if low >= 0 and high <= 1:
            return "its values are from 0 to 1: give (frames * 255).round().astype(np.uint8)"
        if low >= 0 and high <= 255:
            return "its values are from 0 to 255: give frames.round().astype(np.uint8)"
        return (
            f"its values are from {low:.3g} to {high:.3g}, so it may be normalised already: give the frames "
            "as they were decoded"
        )
    if frames.dtype == np.uint16:
        return "16 bits are cut to the upper 8 with: (frames >> 8).astype(np.uint8)"
    return "convert it, after a look at its values: frames.astype(np.uint8)"
