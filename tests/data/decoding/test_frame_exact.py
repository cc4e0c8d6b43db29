"""Frame k out of the store is frame k of the truth, whatever the codec, the container, and who decodes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from tests.support.encodings import ENCODINGS, EncoderFailedError, Encoding, truth
from tests.support.video import Frames, moving_square
from tests.support.videos import read_from
from tests.support.waiting import PATIENCE_S
from vidcls.data.checks.decord_proof import AGREE_LEVELS
from vidcls.data.checks.inspect import inspect
from vidcls.data.checks.probe import probe_files
from vidcls.data.decoding.decode import Probe, decode
from vidcls.data.decoding.errors import DecodeError
from vidcls.data.decoding.workers import Decoders
from vidcls.data.store.build import Store
from vidcls.spec.sections import Clip

AskedDecoder = Literal["pyav", "decord"]
DECODERS: tuple[AskedDecoder, ...] = ("pyav", "decord")
NUM_FRAMES, HEIGHT, WIDTH = 23, 48, 64


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    pool = Decoders(workers=2, timeout_s=PATIENCE_S)
    yield pool
    pool.close()


def stored(
    files: Mapping[str, Path], store_dir: Path, clip: Clip, *, asked: AskedDecoder, decoders: Decoders
) -> dict[str, tuple[Probe, list[int], Frames]]:
    """For each file: its probe, and the frames that the store holds of it with their indices."""
    found = probe_files(read_from(files), decoder=asked, store_dir=store_dir, decoders=decoders)
    probes = {key: probe for key, probe in found.items() if isinstance(probe, Probe)}
    assert probes.keys() == files.keys()
    store = Store(store_dir, probes=probes, clip=clip)
    store.build(read_from(files), decoders=decoders)
    held = {}
    for key, entry in store.entries.items():
        data = np.fromfile(store.shard(entry.shard), np.uint8)[entry.offset :][: entry.num_bytes]
        indices = entry.frame_indices or range(entry.num_frames)
        frames = data.reshape(entry.num_frames, entry.height, entry.width, 3)
        held[key] = (probes[key], list(indices), frames)
    return held


def agrees(made: Frames, expected: Frames, probe: Probe) -> bool:
    levels = AGREE_LEVELS if probe.decoder == "decord" else 0
    return made.shape == expected.shape and int(np.abs(made.astype(int) - expected).max()) <= levels


def is_each_its_own(made: Frames, source: Frames) -> bool:
    """Whether each frame looks most like the one of the source that has its number: PyAV is not asked."""
    small, expected = (
        frames[:, ::2, ::2].astype(np.float32).reshape(len(frames), -1) for frames in (made, source)
    )
    far = [np.abs(expected - frame).mean(axis=1) for frame in small]
    return [int(np.argmin(row)) for row in far] == list(range(len(source)))


@pytest.mark.parametrize("asked", DECODERS)
def test_the_store_holds_the_frames_of_the_truth(
    tmp_path: Path, decoders: Decoders, asked: AskedDecoder
) -> None:
    source = moving_square(NUM_FRAMES, HEIGHT, WIDTH, dx=5, dy=3)
    files = {str(encoding): encoding.write(tmp_path / str(encoding), source) for encoding in ENCODINGS}
    for size in ((HEIGHT, WIDTH), (WIDTH, HEIGHT)):
        of_size = {
            str(encoding): files[str(encoding)]
            for encoding in ENCODINGS
            if size == ((WIDTH, HEIGHT) if encoding.rotation % 180 else (HEIGHT, WIDTH))
        }
        clip = Clip(frames=7, size=size, fit="squeeze", sampling="segment")  # holds all frames
        held = stored(of_size, tmp_path, clip, asked=asked, decoders=decoders)
        for encoding in ENCODINGS:
            if str(encoding) in held:
                probe, _, frames = held[str(encoding)]
                assert agrees(frames, truth(of_size[str(encoding)]), probe), encoding
                assert is_each_its_own(frames, np.rot90(source, encoding.rotation // 90, axes=(1, 2))), (
                    encoding
                )


def _encodings() -> st.SearchStrategy[Encoding]:
    def with_options(encoding: Encoding, gop: int, b_frames: int, steps: list[int]) -> Encoding:
        options = dict(encoding.options)
        if encoding.codec in ("libx264", "mpeg4", "mpeg1video"):
            options |= {"g": str(gop), "bf": str(b_frames)}
        steps = steps if encoding.suffix in ("mp4", "mkv", "mov", "webm") else [1]
        return Encoding(
            encoding.codec, encoding.suffix, options, encoding.pix_fmt, tuple(steps), encoding.rotation
        )

    return st.builds(
        with_options,
        st.sampled_from(ENCODINGS),
        gop=st.integers(1, 12),
        b_frames=st.integers(0, 3),
        steps=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    )


def check_any_frames(encoding: Encoding, num_frames: int, seed: int, asked: AskedDecoder) -> None:
    rng = np.random.default_rng(seed)
    if encoding.suffix == "ts":
        num_frames += 10  # FFmpeg does not recognise a stream of a few packets
    with tempfile.TemporaryDirectory() as folder:
        source = moving_square(num_frames, HEIGHT, WIDTH, seed=seed, dx=5, dy=3)
        try:
            path = encoding.write(Path(folder) / "a", source)
        except EncoderFailedError:
            reject()
        expected = truth(path)
        probe = inspect(path, asked).probe
        assert (probe.num_frames, probe.height, probe.width) == expected.shape[:3]
        wanted = np.sort(rng.integers(num_frames, size=int(rng.integers(1, 9))))
        made = decode(
            path, wanted.tolist(), size=(probe.height, probe.width), decoder=probe.decoder,
            seek_points=probe.seek_points,
        )  # fmt: skip
        assert agrees(made, expected[wanted], probe)


_ANY = {
    "encoding": _encodings(),
    "num_frames": st.integers(1, 70),
    "seed": st.integers(0, 2**32),
    "asked": st.sampled_from(DECODERS),
}


@settings(max_examples=25, derandomize=True, suppress_health_check=list(HealthCheck))
@given(**_ANY)
def test_any_frames_of_any_encoding(
    encoding: Encoding, num_frames: int, seed: int, asked: AskedDecoder
) -> None:
    check_any_frames(encoding, num_frames, seed, asked)


@pytest.mark.slow
@settings(max_examples=1500, suppress_health_check=list(HealthCheck))
@given(**_ANY)
def test_any_frames_of_any_encoding_at_length(
    encoding: Encoding, num_frames: int, seed: int, asked: AskedDecoder
) -> None:
    check_any_frames(encoding, num_frames, seed, asked)


def test_random_access_is_used_where_it_is_proven(tmp_path: Path) -> None:
    source = moving_square(64, HEIGHT, WIDTH, dx=5, dy=3)
    short = Encoding("libx264", "mp4", {"bf": "0", "g": "2"}).write(tmp_path / "short", source)
    found = inspect(short, "pyav")
    assert found.random_access is True
    assert len(found.probe.seek_points) >= 32
    long = Encoding("libx264", "mp4", {"bf": "0", "g": "40"}).write(tmp_path / "long", source)
    assert inspect(long, "pyav").random_access is None
    # FFmpeg's index of H.264 in AVI leads seeks astray: it was tried, and it is not used.
    wrong = Encoding("libx264", "avi", {"bf": "0", "g": "1"}).write(tmp_path / "wrong", source)
    assert (inspect(wrong, "pyav").random_access, inspect(wrong, "pyav").probe.seek_points) == (False, ())


def check_real_files(
    paths: Sequence[Path], store_dir: Path, *, asked: AskedDecoder, decoders: Decoders
) -> None:
    sizes: dict[tuple[int, int], dict[str, Path]] = {}
    for path in paths:
        try:
            height, width = truth(path).shape[1:3]
            sizes.setdefault((height, width), {})[path.name] = path
        except av.error.InvalidDataError:
            with pytest.raises(DecodeError):
                inspect(path, asked)
    for size, files in sizes.items():
        clip = Clip(frames=10, size=size, fit="squeeze")
        for name, (probe, indices, frames) in stored(
            files, store_dir, clip, asked=asked, decoders=decoders
        ).items():
            expected = truth(files[name])
            assert probe.num_frames == len(expected), name
            assert agrees(frames, expected[indices], probe), name


@pytest.mark.parametrize("asked", DECODERS)
def test_real_files(shared: Path, tmp_path: Path, decoders: Decoders, asked: AskedDecoder) -> None:
    paths = [*sorted((shared / "clips").iterdir()), *sorted((shared / "ufc10/videos").rglob("*.avi"))[::50]]
    check_real_files(paths, tmp_path, asked=asked, decoders=decoders)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_all_real_files(shared: Path, tmp_path: Path, decoders: Decoders, part: int) -> None:
    paths = sorted((shared / "ufc10/videos").rglob("*.avi"))[part::8]
    for asked in DECODERS:
        check_real_files(paths, tmp_path / asked, asked=asked, decoders=decoders)
