"""Encodes clips as small MP4 files that a browser plays."""

from __future__ import annotations

from io import BytesIO

import numpy as np

PREVIEW_FPS = 5
"""Frames per second; clips are a few frames sampled from several seconds of video."""


def encode_clip(clip: np.ndarray) -> BytesIO:
    """Encode a clip as H.264 in an MP4 file, with one thread.

    Args:
        clip: uint8 RGB `[T, H, W, 3]`. Odd sides are padded by one pixel: 4:2:0 chroma needs even sides.
    """
    import av

    _, height, width, _ = clip.shape
    even = np.pad(clip, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    buffer = BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream(
            "libx264", rate=PREVIEW_FPS, options={"crf": "20", "preset": "veryfast"}
        )
        stream.height, stream.width = even.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for image in even:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    buffer.seek(0)
    return buffer
