"""Files that are whole or absent."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from vidcls.errors import VidclsError
from vidcls.files import atomic_file, disk_full, is_disk_full, publish, write_json


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
from vidcls.train.checkpoint import write_checkpoint
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
