"""Every codec in every container that PyAV can write here, with what makes decoders stumble."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.support.video import Frames

os.environ.setdefault("SVT_LOG", "0")  # the AV1 encoder prints its settings otherwise


@contextmanager
def without_real_time() -> Iterator[None]:
    """Keep this thread's place in the scheduler.

    For root, the SVT-AV1 encoder makes the thread that calls it a real-time one. What that starts later would
    inherit it: a single process that is busy then stops everything else on a core.
    """
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


class EncoderFailedError(Exception):
    """An encoder did not make the file that a test asked for: that says nothing of who reads files."""


@dataclass(frozen=True)
class Encoding:
    """One way to write a video.

    Attributes:
        codec: FFmpeg's name of the encoder.
        suffix: Ending of the file, which picks the container.
        options: Of the encoder.
        pix_fmt: Pixel format.
        steps: Ticks between frames, taken in turn; more than one value is a variable frame rate.
        rotation: Degrees that the container asks a player to turn the frames by.
    """

    codec: str
    suffix: str
    options: Mapping[str, str] = field(default_factory=dict)
    pix_fmt: str = "yuv420p"
    steps: tuple[int, ...] = (1,)
    rotation: int = 0

    def __str__(self) -> str:
        parts = [self.codec, self.suffix, *(f"{key}{value}" for key, value in self.options.items())]
        parts += ["vfr"] if len(self.steps) > 1 else []
        parts += [f"rotated{self.rotation}"] if self.rotation else []
        return "-".join(parts).replace(":", "_").replace("=", "")

    def write(self, path: Path, frames: Frames) -> Path:
        """Encode `frames` `[T, H, W, 3]` into `path` plus the ending."""
        path = path.with_name(f"{path.name}.{self.suffix}")
        for _ in range(3):
            # Once in some thousand files x265 gives a packet that the container's writer refuses.
            with contextlib.suppress(av.error.PatchWelcomeError):
                self._encode(path, frames)
                return path
        raise EncoderFailedError(f"{self}: packets that {path.suffix} cannot hold, three times")

    def _encode(self, path: Path, frames: Frames) -> None:
        with without_real_time(), av.open(str(path), "w") as container:
            stream = container.add_stream(self.codec, rate=25, options=dict(self.options))
            assert isinstance(stream, av.VideoStream)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = self.pix_fmt
            stream.codec_context.thread_count = 1
            stream.codec_context.time_base = Fraction(1, 25)
            if self.rotation:
                stream.set_display_rotation(self.rotation)
            ticks = np.cumsum([0, *np.resize(self.steps, len(frames) - 1)])
            for tick, pixels in zip(ticks.tolist(), frames, strict=True):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = tick, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))


_QUIET_265 = {"x265-params": "log-level=none:pools=none:frame-threads=1"}
_B_FRAMES = {"bf": "3", "g": "12"}
ENCODINGS: tuple[Encoding, ...] = (
    *(Encoding("libx264", suffix, _B_FRAMES) for suffix in ("mp4", "mkv", "avi", "mov", "ts")),
    *(Encoding("libx264", suffix, {"bf": "0", "g": "1"}) for suffix in ("mp4", "avi")),
    Encoding("libx264", "mp4", {"bf": "2", "g": "6", "x264-params": "open-gop=1"}),
    Encoding("libx264", "mp4", _B_FRAMES, steps=(1, 3, 2)),
    Encoding("libx264", "mkv", {"bf": "0"}, steps=(1, 1, 5)),
    *(Encoding("libx264", "mp4", _B_FRAMES, rotation=turn) for turn in (90, 180, 270)),
    Encoding("libx264", "mov", rotation=90),
    Encoding("libx264", "mp4", pix_fmt="yuv420p10le"),
    *(Encoding("libx265", suffix, _QUIET_265) for suffix in ("mp4", "mkv", "mov")),
    *(Encoding("mpeg4", suffix, {"bf": "2"}) for suffix in ("avi", "mp4", "mkv", "mov")),
    Encoding("mpeg4", "avi", {"bf": "0", "g": "4"}),
    *(Encoding("libvpx-vp9", suffix, {"cpu-used": "8"}) for suffix in ("webm", "mkv", "mp4")),
    Encoding("libvpx-vp9", "webm", {"cpu-used": "8"}, steps=(2, 1)),
    *(Encoding("libsvtav1", suffix, {"preset": "12"}) for suffix in ("mp4", "webm", "mkv")),
    *(Encoding("mjpeg", suffix, pix_fmt="yuvj420p") for suffix in ("avi", "mkv", "mov")),
    *(Encoding("mpeg1video", suffix) for suffix in ("mpg", "avi")),
    Encoding("ffv1", "mkv", pix_fmt="bgr0"),
)


def truth(path: Path) -> Frames:
    """Every frame in order, as PyAV gives it, turned as the file says: `[T, H, W, 3]`."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        frames = [(f.to_ndarray(format="rgb24"), f.rotation) for f in container.decode(video=0)]
    return np.stack([np.rot90(pixels, rotation // 90) for pixels, rotation in frames])
