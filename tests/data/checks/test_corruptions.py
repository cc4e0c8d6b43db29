"""Files broken at random: each is classified, none hangs or kills the parent, no good video is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.encodings import Encoding
from tests.support.video import moving_square
from vidcls.data.checks.check import Check, check
from vidcls.data.checks.inspect import Inspection
from vidcls.data.decoding.decode import Probe
from vidcls.data.decoding.frame_folders import Files
from vidcls.data.decoding.workers import Decoders, Failure
from vidcls.data.store.build import Store
from vidcls.spec.sections import Clip

Rng = np.random.Generator
TIMEOUT_S = 120.0
ENCODINGS = (
    Encoding("mpeg4", "avi", {"bf": "2"}),
    Encoding("libx264", "mp4", {"bf": "3", "g": "12"}),
    Encoding("libx264", "mkv", {"bf": "0", "g": "2"}),
    Encoding("libx264", "ts"),
    Encoding("libvpx-vp9", "webm", {"cpu-used": "8"}),
    Encoding("mjpeg", "mov", pix_fmt="yuvj420p"),
    Encoding("mpeg1video", "mpg"),
)


def cut(content: bytearray, rng: Rng) -> None:
    del content[int(rng.integers(len(content))) :]


def flip_bits(content: bytearray, rng: Rng) -> None:
    for place in rng.integers(len(content), size=int(rng.integers(1, 64))):
        content[place] ^= 1 << int(rng.integers(8))


def flip_bits_of_the_header(content: bytearray, rng: Rng) -> None:
    for place in rng.integers(min(len(content), 600), size=int(rng.integers(1, 16))):
        content[place] ^= 1 << int(rng.integers(8))


def overwrite(content: bytearray, rng: Rng) -> None:
    start, length = int(rng.integers(len(content))), int(rng.integers(1, 2000))
    filling = bytes(length) if rng.random() < 0.5 else rng.bytes(length)
    content[start : start + length] = filling[: len(content) - start]


def take_out(content: bytearray, rng: Rng) -> None:
    start = int(rng.integers(len(content)))
    del content[start : start + int(rng.integers(1, 500))]


def put_in(content: bytearray, rng: Rng) -> None:
    start = int(rng.integers(len(content)))
    content[start:start] = rng.bytes(int(rng.integers(1, 500)))


def shuffle(content: bytearray, rng: Rng) -> None:
    middle = int(rng.integers(1, len(content)))
    content[:] = content[middle:] + content[:middle]


def promise_a_million(content: bytearray, rng: Rng) -> None:
    """Wherever the number of frames may stand, a million stands instead."""
    count, million = NUM_FRAMES, 1_000_000
    for order in ("little", "big"):
        old, new = (number.to_bytes(4, order) for number in (count, million))  # type: ignore[arg-type]
        content[:] = bytes(content).replace(old, new)


NUM_FRAMES = 37
CORRUPTIONS: tuple[Callable[[bytearray, Rng], None], ...] = (
    *(cut, flip_bits, flip_bits_of_the_header, overwrite, take_out, put_in, shuffle, promise_a_million),
)


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A good file of each encoding, by its ending."""
    folder = tmp_path_factory.mktemp("good")
    source = moving_square(NUM_FRAMES, 48, 64, dx=5, dy=3)
    return {encoding.suffix: encoding.write(folder / "good", source).read_bytes() for encoding in ENCODINGS}


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    pool = Decoders(workers=2, timeout_s=TIMEOUT_S)
    yield pool
    pool.close()


def write_all(folder: Path, contents: dict[str, bytes], *, seed: int, count: int) -> None:
    """Every good file, and `count` broken ones named after what was done to them."""
    folder.mkdir()
    for suffix, content in contents.items():
        (folder / f"good.{suffix}").write_bytes(content)
    suffixes = list(contents)
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        corrupt = CORRUPTIONS[number % len(CORRUPTIONS)]
        suffix = suffixes[number // len(CORRUPTIONS) % len(suffixes)]
        content = bytearray(contents[suffix])
        corrupt(content, rng)
        (folder / f"{number:04}_{corrupt.__name__}.{suffix}").write_bytes(content)


def frames_of(store: Store, digest: str) -> bytes:
    entry = store.entries[digest]
    return store.shard(entry.shard).read_bytes()[entry.offset :][: entry.num_bytes]


def check_broken(folder: Path, store_dir: Path, decoders: Decoders) -> Check:
    """What holds for any folder of broken files."""
    result = check(folder, store_dir=store_dir, decoders=decoders)
    empty = {finding.video for finding in result.findings if finding.kind == "empty"}
    assert {video.id for video in result.videos} | empty == {path.name for path in folder.iterdir()}
    reasons = [outcome for outcome in result.outcomes.values() if isinstance(outcome, Failure)]
    assert [reason for reason in reasons if reason.kind == "other"] == []
    failed = {video.id for video in result.videos if isinstance(result.outcomes[video.digest], Failure)}
    assert failed | empty == {finding.video for finding in result.findings if finding.severity == "error"}
    good = [video for video in result.videos if video.id.startswith("good")]
    for video in good:
        outcome = result.outcomes[video.digest]
        assert isinstance(outcome, Inspection)
        assert (outcome.probe.num_frames, outcome.num_damaged) == (NUM_FRAMES, 0)
    # Whatever was called readable can be read again, with as many frames.
    probes: dict[str, Probe] = {
        digest: outcome.probe
        for digest, outcome in result.outcomes.items()
        if isinstance(outcome, Inspection)
    }
    clip = Clip(frames=5, size=(24, 32))
    store = Store(store_dir, probes=probes, clip=clip)
    store.build({video.digest: Files(video.path) for video in result.videos}, decoders=decoders)
    alone = Store(store_dir, probes={video.digest: probes[video.digest] for video in good}, clip=clip)
    alone.build({video.digest: Files(video.path) for video in good}, decoders=decoders)
    for video in good:
        assert frames_of(store, video.digest) == frames_of(alone, video.digest)
    return result


def test_random_corruptions(tmp_path: Path, contents: dict[str, bytes], decoders: Decoders) -> None:
    write_all(tmp_path / "videos", contents, seed=0, count=24)
    result = check_broken(tmp_path / "videos", tmp_path / "store", decoders)
    assert result.counts()["error"] >= 3
    assert result.counts()["warning"] >= 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
def test_a_thousand_random_corruptions(
    tmp_path: Path, contents: dict[str, bytes], decoders: Decoders, seed: int
) -> None:
    write_all(tmp_path / "videos", contents, seed=seed, count=250)
    check_broken(tmp_path / "videos", tmp_path / "store", decoders)
