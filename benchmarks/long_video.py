"""Makes a long video of short ones, with known boundaries: each frame is decoded and encoded again.

Each frame keeps its time within its part, so parts of different frame rates give a variable one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from vidcls.predict.frame_stream import open_file

_TICK = Fraction(1, 90_000)


@dataclass(frozen=True)
class Part:
    """Part of a long video.

    Attributes:
        start_s: First moment, in seconds.
        end_s: End, in seconds.
        label: Class of the part.
    """

    start_s: float
    end_s: float
    label: str


def join_videos(videos: Iterable[tuple[Path, str]], target: Path, *, at_least_s: float = 0) -> list[Part]:
    """Write videos one after another into one H.264 file.

    Args:
        videos: Files with their classes; the size of the first one is that of the result.
        target: File to write; its ending picks the container.
        at_least_s: Length in seconds after which no further video is begun; 0 for all videos.

    Returns:
        The parts in order.
    """
    parts: list[Part] = []
    begin_s = Fraction(0)
    stream: av.VideoStream | None = None
    with av.open(str(target), "w") as container:
        for path, label in videos:
            end_s = begin_s
            with open_file(path) as source:
                for time_s, shown_until_s, frame in source.frames():
                    if stream is None:
                        stream = _stream(container, frame)
                    picture = frame.reformat(width=stream.width, height=stream.height, format="yuv420p")
                    picture.time_base = _TICK
                    picture.pts = round((begin_s + time_s) / _TICK)
                    picture.pict_type = av.video.frame.PictureType.NONE
                    container.mux(stream.encode(picture))
                    end_s = begin_s + shown_until_s
            parts.append(Part(float(begin_s), float(end_s), label))
            begin_s = end_s
            if at_least_s and begin_s >= at_least_s:
                break
        assert stream is not None, "there is a video"
        container.mux(stream.encode(None))
    return parts


def _stream(container: av.container.OutputContainer, frame: av.VideoFrame) -> av.VideoStream:
    options = {"preset": "veryfast", "crf": "20"}
    stream = container.add_stream("libx264", rate=25, options=options)
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
    stream.codec_context.time_base = stream.time_base = _TICK
    stream.codec_context.thread_count = 1  # the same bytes each time
    return stream
