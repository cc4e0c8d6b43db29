"""Clips of frames in memory, in the form in which a store keeps them. Needs no torch.

The frames of an array, or of a window of a longer video, become a clip as those of a video file do: sampled
by `vidcls.data.sampling`, scaled by the converter of the decoder, with flow computed at full resolution. What
comes after, crop and normalisation, is the scorer's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from vidcls.data.decoding.convert import RgbConverter
from vidcls.data.decoding.decode import Form, scale
from vidcls.data.decoding.flow import brightness, flow, quantised, resized
from vidcls.data.decoding.orientation import Orientation
from vidcls.data.decoding.pictures import Pixels
from vidcls.data.modality import has_flow, needed_frames, stores_frames_too
from vidcls.data.sampling import frame_indices
from vidcls.predict.frame_stream import TimedFrame
from vidcls.spec.sections import Clip


class StoredForm:
    """Brings the frames of one video into their stored form.

    Args:
        clip: Clip section with the form, the size and the flow method.
        first: First frame of the video, whose size counts for all.
    """

    def __init__(self, clip: Clip, first: av.VideoFrame) -> None:
        height, width = first.height, first.width
        if Orientation.of_frame(first).swaps_sides:
            height, width = width, height
        self.size = Form(clip.fit, clip.size).scaled(height, width)
        self._method = clip.flow_method
        self._converter = RgbConverter()

    def pixels(self, frame: av.VideoFrame) -> Pixels:
        """Frame in the stored size, `[h, w, 3]`."""
        return scale(self._converter.rgb(frame, size=self.size), self.size)

    def grey(self, frame: av.VideoFrame) -> Pixels:
        """Brightness of a frame at full resolution, from which flow is computed, `[H, W]`."""
        return brightness(self._converter.rgb(frame))

    def field(self, before: Pixels, after: Pixels) -> Pixels:
        """Flow from one brightness to the next as bytes in the stored size, `[h, w, 2]`."""
        assert self._method is not None, "only clips with flow have a method"
        return quantised(resized(flow(before, after, self._method), self.size))


@dataclass(frozen=True)
class StoredFrame:
    """Frame of a stream in its stored form.

    Attributes:
        time_s: Start of its presentation in seconds.
        end_s: End of its presentation.
        pixels: `[h, w, 3]`; None if only flow is needed.
        field: Flow from the frame before, `[h, w, 2]`; None for the first frame, or if no flow is needed.
    """

    time_s: Fraction
    end_s: Fraction
    pixels: Pixels | None
    field: Pixels | None


def too_short(num_frames: int, clip: Clip) -> str | None:
    """Reason why so few frames make no clip; None if they do."""
    if num_frames > clip.has_motion:
        return None
    count = "no frame" if num_frames == 0 else "only one frame"
    needed = "two" if clip.has_motion else "one"
    return f"has {count}, but clip.modality: {clip.modality} needs {needed}"


def stored_clip(
    num_frames: int, clip: Clip, *, pixels: Callable[[int], Pixels], field: Callable[[int], Pixels]
) -> Pixels:
    """Clip of a video in its evaluation view, `[T, h, w, C]`, or `[2 T, h, w, 3]` for differences.

    Args:
        num_frames: Number of frames of the video, enough for a clip.
        clip: Clip section with the sampling rule and the modality.
        pixels: Gives frame k in the stored size.
        field: Gives the flow from frame k to frame k + 1 in the stored size.
    """
    moments = frame_indices(num_frames - clip.has_motion, clip)
    chosen = needed_frames(moments, clip).tolist()
    if not has_flow(clip):
        return np.stack([pixels(k) for k in chosen])
    if not stores_frames_too(clip):
        return np.stack([field(k) for k in chosen])
    return np.stack([np.concatenate([pixels(k), field(k)], axis=-1) for k in chosen])


def stored_frames(frames: Iterable[TimedFrame], clip: Clip) -> Iterator[StoredFrame]:
    """Bring each frame of a stream into its stored form; flow needs the frame before, at full resolution."""
    form: StoredForm | None = None
    before: Pixels | None = None
    for time_s, end_s, frame in frames:
        form = form or StoredForm(clip, frame)
        pixels = form.pixels(frame) if clip.modality != "flow" else None
        field = None
        if has_flow(clip):
            grey = form.grey(frame)
            field = None if before is None else form.field(before, grey)
            before = grey
        yield StoredFrame(time_s, end_s, pixels, field)


def frames_clip(frames: Sequence[StoredFrame], clip: Clip) -> Pixels:
    """Clip of the frames of a window, as of a video of these frames alone."""

    def pixels(k: int) -> Pixels:
        found = frames[k].pixels
        assert found is not None, "the modality has colours"
        return found

    def field(k: int) -> Pixels:
        found = frames[k + 1].field
        assert found is not None, "only the first frame of a video has no frame before it"
        return found

    return stored_clip(len(frames), clip, pixels=pixels, field=field)


def array_clip(frames: NDArray[np.uint8], clip: Clip) -> Pixels:
    """Clip of a whole video in memory, `[T, H, W, 3]`; only the sampled frames are scaled."""

    def frame(k: int) -> av.VideoFrame:
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(frames[k]), format="rgb24")

    form = StoredForm(clip, frame(0))

    @functools.cache
    def grey(k: int) -> Pixels:
        return form.grey(frame(k))

    return stored_clip(
        len(frames),
        clip,
        pixels=functools.cache(lambda k: form.pixels(frame(k))),
        field=functools.cache(lambda k: form.field(grey(k), grey(k + 1))),
    )
