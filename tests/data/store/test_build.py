from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.video import moving_square, write_clip, write_frames
from tests.support.videos import read_from
from tests.support.waiting import PATIENCE_S
from vidcls.data.checks.probe import probe_files
from vidcls.data.decoding.decode import Form, Probe, decode
from vidcls.data.decoding.frame_folders import Files
from vidcls.data.decoding.workers import Decoders
from vidcls.data.sampling import frame_indices
from vidcls.data.store.build import Store
from vidcls.errors import VidclsError
from vidcls.installed import DECODERS, releases
from vidcls.spec.sections import Clip

# Builds a store of 150 videos of one file (three shards) without the guard of a main module, says how many
# were decoded when it began, and may kill itself without warning.
BUILD = """
import json, os, signal, sys
from pathlib import Path
import psutil
from vidcls.data.decoding.decode import Probe
from vidcls.data.decoding.frame_folders import Files
from vidcls.data.store.build import Store
from vidcls.data.decoding.workers import Decoders
from vidcls.spec.sections import Clip

file, store_dir, kill_at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
digests = [f"{number:032x}" for number in range(150)]
probes = {digest: Probe(12, 32, 48, 25.0, "pyav") for digest in digests}
stages = []

def progress(stage, done, total):
    stages.append((stage, done))
    if done == kill_at:
        workers = [child.pid for child in psutil.Process().children(recursive=True)]
        print(json.dumps({"workers": workers}), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

store = Store(store_dir, probes=probes, clip=Clip(frames=4, size=(16, 16)))
decoders = Decoders(workers=2, timeout_s=900)
store.build(dict.fromkeys(digests, Files(file)), decoders=decoders, progress=progress)
decoders.close()
assert "torch" not in sys.modules
decoded = [done for stage, done in stages if stage == "decode"]
print(json.dumps({"first": decoded[0] if decoded else None, "waited": any("wait" in s for s, _ in stages)}))
"""


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    pool = Decoders(workers=2, timeout_s=PATIENCE_S)
    yield pool
    pool.close()


def builder(file: Path, store_dir: Path, *, kill_at: int = -1) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BUILD, str(file), str(store_dir), str(kill_at)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> dict[str, object]:
    out, err = process.communicate(timeout=PATIENCE_S)
    assert out, err
    return dict(json.loads(out))


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def published(store_dir: Path) -> Path:
    (index,) = (store_dir / "clips").glob("*/index.json")
    return index.parent


def frames_of(store: Store, digest: str) -> np.ndarray:
    entry = store.entries[digest]
    data = np.fromfile(store.shard(entry.shard), dtype=np.uint8)[entry.offset :][: entry.num_bytes]
    return data.reshape(entry.num_frames, entry.height, entry.width, 3)


@pytest.mark.parametrize("sampling", ["uniform", "segment"])
@pytest.mark.parametrize("fit", ["squeeze", "crop"])
def test_the_store_holds_the_reachable_frames(
    tmp_path: Path,
    decoders: Decoders,
    sampling: Literal["uniform", "segment"],
    fit: Literal["squeeze", "crop"],
) -> None:
    files = {
        "aa": write_clip(tmp_path / "a.mp4", moving_square(23, 48, 64)),
        "bb": write_clip(tmp_path / "b.avi", moving_square(9, 64, 36, seed=1), codec="mpeg4"),
        "cc": write_frames(tmp_path / "c", moving_square(3, 31, 45)),
    }
    found = probe_files(read_from(files), decoder="decord", store_dir=tmp_path, decoders=decoders)
    probes = {digest: probe for digest, probe in found.items() if isinstance(probe, Probe)}
    clip = Clip(frames=5, size=(16, 20), fit=fit, sampling=sampling)
    store = Store(tmp_path, probes=probes, clip=clip)
    store.build(read_from(files), decoders=decoders)
    for digest, probe in probes.items():
        stored = frames_of(store, digest)
        indices = list(range(probe.num_frames))
        if sampling == "uniform":
            indices = sorted(set(frame_indices(probe.num_frames, clip).tolist()))
        size = Form(fit, clip.size).scaled(probe.height, probe.width)
        expected = decode(files[digest], indices, size=size, decoder=probe.decoder)
        assert (stored == expected).all()


def test_the_address_follows_the_content(tmp_path: Path) -> None:
    probes = {"a": Probe(9, 32, 48, None, "pyav"), "b": Probe(9, 32, 48, None, "pyav")}
    clip = Clip(frames=4, size=(16, 16))

    def path(clip: Clip = clip, probes: dict[str, Probe] = probes) -> Path:
        return Store(tmp_path, probes=probes, clip=clip).path

    assert path() == path(probes=dict(reversed(probes.items())))
    assert path() == path(clip.model_copy(update={"unit": "frame", "mean": (0.1, 0.1, 0.1)}))
    others = [
        path(clip.model_copy(update={"frames": 5})),
        path(clip.model_copy(update={"size": (16, 17)})),
        path(clip.model_copy(update={"fit": "crop"})),
        path(clip.model_copy(update={"sampling": "segment"})),
        path(clip.model_copy(update={"modality": "difference"})),
        path(clip.model_copy(update={"modality": "flow"})),
        path(clip.model_copy(update={"modality": "flow", "flow": "farneback"})),
        path(probes={"a": probes["a"]}),
        path(probes={**probes, "b": Probe(9, 32, 48, None, "decord")}),
    ]
    assert len({path(), *others}) == 10


@pytest.mark.long
def test_a_killed_build_goes_on_and_leaves_no_process(tmp_path: Path) -> None:
    file = write_clip(tmp_path / "a.mp4", moving_square(12, 32, 48))
    assert said(builder(file, tmp_path / "whole")) == {"first": 1, "waited": False}
    killed = said(builder(file, tmp_path / "killed", kill_at=100))["workers"]
    assert isinstance(killed, list)
    assert len(killed) >= 3
    left = [psutil.Process(pid) for pid in killed if psutil.pid_exists(pid)]
    assert not psutil.wait_procs(left, timeout=PATIENCE_S)[1]
    # The first shard of 64 was finished.
    assert said(builder(file, tmp_path / "killed")) == {"first": 65, "waited": False}
    assert contents(published(tmp_path / "killed")) == contents(published(tmp_path / "whole"))


def test_two_processes_build_once(tmp_path: Path) -> None:
    file = write_clip(tmp_path / "a.mp4", moving_square(12, 32, 48))
    both = [builder(file, tmp_path / "s") for _ in range(2)]
    ends = [said(process) for process in both]
    assert sorted(str(end["first"]) for end in ends) == ["1", "None"]
    assert len(contents(published(tmp_path / "s"))) == 4


def small(tmp_path: Path) -> tuple[Store, dict[str, Path]]:
    file = write_clip(tmp_path / "a.mp4", moving_square(12, 32, 48))
    probes = {"a": Probe(12, 32, 48, 25.0, "pyav")}
    return Store(tmp_path / "s", probes=probes, clip=Clip(frames=4, size=(16, 16))), {"a": file}


def test_file_systems_without_locks(
    tmp_path: Path, decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    store, files = small(tmp_path)
    store.build(read_from(files), decoders=decoders)
    assert store.is_published()
    assert len(list(store.path.parent.iterdir())) == 2  # the store and the lock file


def test_a_disk_that_is_too_small_is_seen_before(
    tmp_path: Path, decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=5))
    store, files = small(tmp_path)
    with pytest.raises(VidclsError, match=r"the store needs 0\.00 GB.*\n.*streamed"):
        store.build(read_from(files), decoders=decoders)


def test_a_disk_that_fills_up_is_said(
    tmp_path: Path, decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store, files = small(tmp_path)
    monkeypatch.setattr("vidcls.files.os.fsync", full)
    with pytest.raises(VidclsError, match=r"the disk or the quota is full.*the finished shards are kept"):
        store.build(read_from(files), decoders=decoders)
    monkeypatch.undo()
    store.build(read_from(files), decoders=decoders)
    assert store.is_published()


def test_a_video_that_cannot_be_read_any_more_is_named(tmp_path: Path, decoders: Decoders) -> None:
    store, files = small(tmp_path)
    files["a"].write_bytes(b"gone")
    with pytest.raises(VidclsError, match=r"a\.mp4: is not a video"):
        store.build(read_from(files), decoders=decoders)
    assert not store.is_published()


def test_a_damaged_store_is_named(tmp_path: Path, decoders: Decoders) -> None:
    store, files = small(tmp_path)
    store.build(read_from(files), decoders=decoders)
    store.shard(0).write_bytes(b"short")
    with pytest.raises(VidclsError, match=r"shard-00000\.bin: damaged(.|\n)*rm -r"):
        store.build(read_from(files), decoders=decoders)


def three_videos(tmp_path: Path, decoders: Decoders) -> tuple[Store, dict[str, Files]]:
    """A published store of three videos, and how it is built again."""
    files = read_from(
        {
            name * 2: write_clip(tmp_path / f"{name}.mp4", moving_square(9, 48, 64, seed=n))
            for n, name in enumerate("abc")
        }
    )
    found = probe_files(files, decoder="pyav", store_dir=tmp_path, decoders=decoders)
    probes = {digest: probe for digest, probe in found.items() if isinstance(probe, Probe)}
    store = Store(tmp_path, probes=probes, clip=Clip(frames=4, size=(16, 16)))
    store.build(files, decoders=decoders)
    return store, files


def change_byte(path: Path, at: int) -> None:
    """Another value at one place; size and, as `touch -r` does, time of change stay."""
    stat = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@given(at=st.integers(0, 3 * 4 * 16 * 16 * 3 - 1))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_store_with_one_wrong_bit_is_refused_and_named(tmp_path: Path, decoders: Decoders, at: int) -> None:
    store, files = three_videos(tmp_path, decoders)
    change_byte(store.shard(0), at)
    with pytest.raises(VidclsError, match="the files have changed since they were written") as caught:
        store.build(files, decoders=decoders)
    assert str(store.shard(0)) in caught.value.message
    assert f"rm -r {store.path}" in str(caught.value.hint)
    change_byte(store.shard(0), at)
    store.build(files, decoders=decoders)


def test_a_store_is_verified_once_a_machine_and_whenever_its_files_changed(
    tmp_path: Path, decoders: Decoders
) -> None:
    store, files = three_videos(tmp_path, decoders)

    def verified() -> int:
        stages: list[str] = []
        store.build(files, decoders=decoders, progress=lambda stage, done, total: stages.append(stage))
        assert set(stages) <= {"checksums"}
        return len(stages)

    assert verified() == 0, "who built it has read what was written"
    (note,) = (store.path / "verified").iterdir()
    note.rename(note.with_name("another-machine.json"))
    assert [verified(), verified()] == [1, 0]
    os.utime(store.shard(0))
    assert [verified(), verified()] == [1, 0]
    note.write_text("[")
    assert [verified(), verified()] == [1, 0]
    index = store.path / "index.json"
    for text in ("", "[]", "{}", '{"checksums": 3}'):
        index.write_text(text)
        with pytest.raises(VidclsError, match=r"index\.json: damaged"):
            store.build(files, decoders=decoders)


def test_another_release_of_a_decoder_gets_a_store_of_its_own(tmp_path: Path, decoders: Decoders) -> None:
    store, _ = three_videos(tmp_path, decoders)
    held = json.loads((store.path / "index.json").read_text())
    assert held["releases"] == releases(DECODERS)
    assert {"av", "opencv-python-headless"} <= held["releases"].keys()
