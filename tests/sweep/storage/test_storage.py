from __future__ import annotations

import errno
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.waiting import PATIENCE_S
from vidcls.errors import VidclsError
from vidcls.sweep.storage.storage import DiskStorage

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(content=st.dictionaries(st.text().filter(lambda key: key != "nonce"), JSON))
def test_what_is_created_is_read(tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any]) -> None:
    storage = DiskStorage(tmp_path_factory.mktemp("storage"))
    assert storage.create("a/b.json", content)
    assert storage.read("a/b.json") == content


def test_the_first_creation_stays(tmp_path: Path) -> None:
    storage = DiskStorage(tmp_path)
    assert storage.create("a.json", {"who": 1})
    assert not storage.create("a.json", {"who": 2})
    assert DiskStorage(tmp_path).read("a.json") == {"who": 1}
    storage.replace("beat.json", {"beat": 1})
    storage.replace("beat.json", {"beat": 2})
    assert storage.read("beat.json") == {"beat": 2}


def test_what_is_absent_is_none(tmp_path: Path) -> None:
    storage = DiskStorage(tmp_path)
    assert storage.read("no/such.json") is None
    assert storage.names("no") == []
    (tmp_path / "empty").mkdir()
    assert storage.read("empty/such.json") is None


def _race(root: Path, who: int, wins: Any) -> None:
    storage = DiskStorage(root)
    for round_number in range(50):
        if storage.create(f"race/{round_number}.json", {"who": who}):
            wins.put((round_number, who))


def test_of_many_processes_one_creates(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    wins = context.Queue()
    racers = [context.Process(target=_race, args=(tmp_path, who, wins)) for who in range(4)]
    for racer in racers:
        racer.start()
    won = dict(wins.get(timeout=PATIENCE_S) for _ in range(50))
    for racer in racers:
        racer.join()
    assert wins.empty()
    assert {number: DiskStorage(tmp_path).read(f"race/{number}.json") for number in range(50)} == {
        number: {"who": who} for number, who in won.items()
    }
    assert sorted(path.name for path in (tmp_path / "race").iterdir()) == DiskStorage(tmp_path).names("race")


def test_a_link_whose_answer_was_lost_counts_as_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def link_twice(source: Path, target: Path) -> None:
        # What the server does when a client asks again: the first one was done, the second is refused.
        link(source, target)
        link(source, target)

    def link_and_fail(source: Path, target: Path) -> None:
        link(source, target)
        raise OSError(errno.EIO, "answer lost")

    storage = DiskStorage(tmp_path)
    monkeypatch.setattr(os, "link", link_twice)
    assert storage.create("a.json", {})
    monkeypatch.setattr(os, "link", link_and_fail)
    assert storage.create("b.json", {})
    monkeypatch.setattr(os, "link", link)
    assert not storage.create("a.json", {})
    assert storage.names("") == ["a.json", "b.json"]


def test_a_failed_creation_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.EIO, "gone")

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(OSError, match="gone"):
        DiskStorage(tmp_path).create("a.json", {})
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_on_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = []
    fsync, link = os.fsync, os.link

    def note_fsync(descriptor: int) -> None:
        done.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    def note_link(source: Path, target: Path) -> None:
        done.append(target)
        link(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "link", note_link)
    assert DiskStorage(tmp_path).create("trials/00000/trial.json", {})
    folders, (temporary, target, folder) = done[:-3], done[-3:]
    assert folders == [tmp_path, tmp_path / "trials"], "new folders survive a power cut, too"
    assert temporary.parent == folder == tmp_path / "trials/00000"
    assert target == folder / "trial.json"


def _create_for_ever(root: Path) -> None:
    storage, number = DiskStorage(root), 0
    while True:
        storage.create(f"{number}.json", {"text": "x" * 10_000})
        number += 1


def test_whoever_is_killed_leaves_whole_files(tmp_path: Path) -> None:
    storage = DiskStorage(tmp_path)
    process = multiprocessing.get_context("fork").Process(target=_create_for_ever, args=(tmp_path,))
    process.start()
    while len(storage.names("")) < 20:
        assert process.is_alive()
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    for name in storage.names(""):
        assert storage.read(name) == {"text": "x" * 10_000}


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "end-001.json").write_text('{"kind": "fin')
    with pytest.raises(VidclsError, match=r"end-001\.json: damaged"):
        DiskStorage(tmp_path).read("end-001.json")
