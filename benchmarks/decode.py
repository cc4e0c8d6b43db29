"""The decoders that read video files: PyAV, decord, and torchcodec where it is installed, on real videos.

All frames in order, and 16 uniform frames of each video, scaled to 112 x 112. One thread each, seconds of
CPU, the ways take turns on each video. A way is exact on a video if each of its frames is within two grey
levels of PyAV in order from the first frame, scaled by the same library; frames that decord scales itself are
other pictures, not wrong ones.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Result, finish, manifest_of, ratio_text, videos
from vidcls.data.checks.decord_proof import AGREE_LEVELS
from vidcls.data.checks.inspect import inspect
from vidcls.data.decoding.decode import Probe, decode, frames_at, scale
from vidcls.data.decoding.errors import DecodeError
from vidcls.data.decoding.pictures import Pixels
from vidcls.data.decoding.readers import decord_is_there, open_decord

NUM_VIDEOS, NUM_FRAMES, SIZE = 400, 16, (112, 112)
IN_ORDER, UNIFORM = "all frames", f"{NUM_FRAMES} uniform frames"
OPENCV = "PyAV in order, scaled by OpenCV"
OURS = {IN_ORDER: "PyAV in order", UNIFORM: "PyAV from proven key frames"}
Way = Callable[[Path, Probe, Sequence[int]], Pixels]


@dataclass
class Measured:
    """What one way took and gave, video by video."""

    seconds: list[float] = field(default_factory=list)
    num_exact: int = 0


def run() -> list[Result]:
    """Measure."""
    data = videos()
    files = [video.files.frames for video in manifest_of(data.root).videos][:NUM_VIDEOS]
    seen: dict[str, dict[str, Measured]] = {IN_ORDER: defaultdict(Measured), UNIFORM: defaultdict(Measured)}
    for file in files:
        assert file is not None
        probe = inspect(file, "pyav").probe
        every = list(range(probe.num_frames))
        uniform = np.linspace(0, probe.num_frames - 1, NUM_FRAMES).round().astype(int).tolist()
        _measure(seen[IN_ORDER], _in_order(), file, probe, every)
        _measure(seen[UNIFORM], _uniform(), file, probe, uniform)
    return [
        _result(what, way, ways[OURS[what]], measured, data.name)
        for what, ways in seen.items()
        for way, measured in ways.items()
        if way != OURS[what]
    ]


def _in_order() -> dict[str, Way]:
    ways: dict[str, Way] = {OURS[IN_ORDER]: _pyav, OPENCV: _pyav_opencv}
    if decord_is_there():
        ways |= {"decord in order": _decord_in_order, "decord at random": _decord_at}
    if importlib.util.find_spec("torchcodec"):
        ways |= {"torchcodec": _torchcodec_at}
    return ways


def _uniform() -> dict[str, Way]:
    ways: dict[str, Way] = {OURS[UNIFORM]: _pyav_sought, "PyAV in order": _pyav, OPENCV: _pyav_opencv}
    if decord_is_there():
        ways |= {"decord at random": _decord_at, "decord at random that scales": _decord_scales}
    if importlib.util.find_spec("torchcodec"):
        ways |= {"torchcodec at random": _torchcodec_at}
    return ways


def _measure(
    seen: dict[str, Measured], ways: Mapping[str, Way], file: Path, probe: Probe, wanted: Sequence[int]
) -> None:
    truths = {True: _pyav(file, probe, wanted), False: _pyav_opencv(file, probe, wanted)}
    for name, way in ways.items():
        started = time.process_time()
        try:
            frames = way(file, probe, wanted)
        except (DecodeError, RuntimeError, IndexError):
            frames = None
        seen[name].seconds.append(time.process_time() - started)
        truth = truths[way in (_pyav, _pyav_sought)]
        if frames is not None and frames.shape == truth.shape:
            off = np.abs(frames.astype(np.int16) - truth).max()
            seen[name].num_exact += int(off <= AGREE_LEVELS)


def _pyav(file: Path, probe: Probe, wanted: Sequence[int]) -> Pixels:
    return decode(file, wanted, size=SIZE, decoder=probe.decoder)


def _pyav_sought(file: Path, probe: Probe, wanted: Sequence[int]) -> Pixels:
    return decode(file, wanted, size=SIZE, decoder=probe.decoder, seek_points=probe.seek_points)


def _pyav_opencv(file: Path, probe: Probe, wanted: Sequence[int]) -> Pixels:
    found = frames_at(file, set(wanted), decoder=probe.decoder, seek_points=())
    return np.stack([scale(frame, SIZE) for _, frame in found])


def _decord_in_order(file: Path, _: Probe, wanted: Sequence[int]) -> Pixels:
    return decode(file, wanted, size=SIZE, decoder="decord")


def _decord_at(file: Path, _: Probe, wanted: Sequence[int]) -> Pixels:
    frames = open_decord(file).get_batch(list(wanted)).asnumpy()
    return np.stack([scale(frame, SIZE) for frame in frames])


def _decord_scales(file: Path, _: Probe, wanted: Sequence[int]) -> Pixels:
    import decord

    reader = decord.VideoReader(str(file), ctx=decord.cpu(0), num_threads=1, width=SIZE[1], height=SIZE[0])
    pixels: Pixels = reader.get_batch(list(wanted)).asnumpy()
    return pixels


def _torchcodec_at(file: Path, _: Probe, wanted: Sequence[int]) -> Pixels:
    from torchcodec.decoders import VideoDecoder

    decoder: Any = VideoDecoder(file, dimension_order="NHWC", num_ffmpeg_threads=1)
    return np.stack([scale(frame, SIZE) for frame in decoder.get_frames_at(list(wanted)).data.numpy()])


def _result(what: str, way: str, ours: Measured, other: Measured, data: str) -> Result:
    num = len(ours.seconds)
    ratios = [mine / theirs for mine, theirs in zip(ours.seconds, other.seconds, strict=True)]
    scales = way.endswith("scales")
    exact = "other pixels" if scales else f"exact on {other.num_exact} of {num}"
    milliseconds = [1e3 * statistics.fmean(one.seconds) for one in (ours, other)]
    return Result(
        f"decode {what}: {OURS[what]} against {way}",
        ratio_text(ratios),
        "at most 1, or the other is not exact",
        statistics.median(ratios) <= 1 or scales or other.num_exact < ours.num_exact,
        f"{milliseconds[0]:.0f} to {milliseconds[1]:.0f} ms of CPU a video of {data}, {exact}"
        f" (the first on {ours.num_exact})",
    )


if __name__ == "__main__":
    sys.exit(finish(run()))
