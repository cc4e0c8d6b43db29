"""Files that are whole or absent."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vidcls.errors import VidclsError
from vidcls.files import atomic_file, create_file, disk_full, guarded, is_disk_full, publish, write_json


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", [1])
    with pytest.raises(RuntimeError), atomic_file(tmp_path / "a.json") as file:
        file.write(b"half")
        raise RuntimeError
    assert (tmp_path / "a.json").read_text() == "[\n 1\n]\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_the_first_to_publish_a_folder_stands(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "who.json", name)
        publish(tmp_path / name, tmp_path / "published")
    assert [path.name for path in tmp_path.iterdir()] == ["published"]
    assert (tmp_path / "published" / "who.json").read_text() == '"first"\n'


def test_a_full_disk_is_known_through_the_errors_around_it() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    wrapped = RuntimeError("write failed")
    wrapped.__cause__ = full
    assert is_disk_full(full)
    assert is_disk_full(wrapped)
    assert not is_disk_full(OSError(errno.EACCES, "no"))


def test_a_file_made_atomically_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_json(tmp_path / "atomic", 1)
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


LIMITED = """
import resource, sys, torch
from pathlib import Path
from vidcls.checkpoints import write_checkpoint
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
write_checkpoint(Path(sys.argv[1]), {"x": torch.zeros(1_000_000)}, kept="the old one is intact")
"""


def test_a_checkpoint_beyond_the_quota_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", LIMITED, path], capture_output=True, text=True, check=False)
    assert "the disk or the quota is full" in done.stderr
    assert "the old one is intact" in done.stderr
    assert path.read_text() == "old"
    assert [other.name for other in tmp_path.iterdir()] == ["last.pt"]


def test_the_message_says_what_is_kept_and_what_to_do(tmp_path: Path) -> None:
    error = disk_full(tmp_path / "x", kept="epoch 3 is safe", cause=OSError(errno.ENOSPC, ""))
    assert isinstance(error, VidclsError)
    assert "epoch 3 is safe" in error.message
    assert error.hint is not None
    assert "give the same command again" in error.hint


@pytest.mark.parametrize("refusal", [errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK, errno.EINVAL])
def test_without_links_one_process_makes_a_file_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(refusal, "as exFAT does")

    monkeypatch.setattr(os, "link", refuse)
    assert create_file(tmp_path / "a", b"first")
    assert not create_file(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("refusal", [errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_folder_that_cannot_be_synced_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    fsync = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(refusal, "no such thing here")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    write_json(tmp_path / "a.json", 1)
    assert create_file(tmp_path / "b", b"b")
    (tmp_path / "folder").mkdir()
    publish(tmp_path / "folder", tmp_path / "published")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b", "published"]


def test_a_disk_that_fails_is_no_file_system_without_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "gone")

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(OSError, match="gone"):
        create_file(tmp_path / "a", b"a")
    assert list(tmp_path.iterdir()) == []


def test_a_guard_is_asked_before_each_change_below_its_folder(tmp_path: Path) -> None:
    def refuse() -> None:
        raise VidclsError("not yours any more")

    (tmp_path / "run").mkdir()
    write_json(tmp_path / "run" / "a.json", 1)
    with guarded(tmp_path / "run", refuse):
        for write in (
            lambda: write_json(tmp_path / "run" / "a.json", 2),
            lambda: write_json(tmp_path / "run" / "deep" / "er" / "b.json", 2),
            lambda: create_file(tmp_path / "run" / "c", b""),
        ):
            with pytest.raises(VidclsError, match="not yours"):
                write()
        write_json(tmp_path / "beside.json", 2)
    assert (tmp_path / "run" / "a.json").read_text() == "1\n"
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["a.json", "beside.json"]
    write_json(tmp_path / "run" / "a.json", 2)


def test_no_other_thread_sees_another_umask(tmp_path: Path) -> None:
    stop, seen = threading.Event(), set()

    def look() -> None:
        while not stop.is_set():
            seen.add(Path("/proc/self/status").read_text().partition("Umask:")[2].split()[0])

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(300):
        write_json(tmp_path / "a.json", 1)
    stop.set()
    thread.join()
    assert len(seen) == 1
