"""Headers that promise what is not there, in files that are whole."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.support.video import moving_square
from vidcls.data.checks.findings import findings
from vidcls.data.checks.inspect import inspect

FRAMES = moving_square(40, 96, 128, seed=3, dx=5, dy=3)


class Pipe(io.RawIOBase):
    """Takes bytes, and never goes back."""

    def __init__(self) -> None:
        self.content = bytearray()

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def write(self, data: Any) -> int:
        self.content += bytes(data)
        return len(data)


def test_an_avi_written_into_a_pipe_is_whole(tmp_path: Path) -> None:
    pipe = Pipe()
    with av.open(pipe, "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        for frame in FRAMES:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    content = bytes(pipe.content)
    for number, size in enumerate((0, 2**32 - 1)):
        path = tmp_path / f"{number}.avi"
        path.write_bytes(content[:4] + struct.pack("<I", size) + content[8:])
        assert not [found for found in findings("a", inspect(path, "pyav")) if found.severity != "note"]


@pytest.mark.parametrize("has_tags", [True, False])
def test_sound_that_outlasts_the_picture_promises_no_frames(tmp_path: Path, has_tags: bool) -> None:
    path = tmp_path / "a.mkv"
    target: Any = str(path) if has_tags else Pipe()
    with av.open(target, "w", format="matroska") as container:
        picture = container.add_stream("mpeg4", rate=25)
        assert isinstance(picture, av.VideoStream)
        picture.height, picture.width, picture.pix_fmt = 96, 128, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=8000)
        for frame in FRAMES:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(picture.encode(None))
        for second in range(4):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
            samples.sample_rate, samples.pts = 8000, second * 8000
            container.mux(sound.encode(samples))
        container.mux(sound.encode(None))
    if not has_tags:
        path.write_bytes(bytes(target.content))
    seen = inspect(path, "pyav")
    assert seen.header_duration_s == (pytest.approx(1.6, abs=0.05) if has_tags else None)
    assert not list(findings("a", seen))
