"""One process a run, and no lock that a dead one keeps."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.suspended import SharedClock
from tests.support.waiting import wait_for
from vidcls.errors import VidclsError
from vidcls.locking import lock
from vidcls.locking.holder import Holder

HOLD = """
import sys
import time
from pathlib import Path
from vidcls.locking.lock import hold
with hold(Path(sys.argv[1]), say=print):
    print("held", flush=True)
    sys.stdin.read()
"""


def write_lock(path: Path, **differs: object) -> str:
    """Write the lock of a holder that is like this process but for what differs."""
    content = json.dumps({**vars(Holder.me()), **differs})
    path.write_text(content)
    return content


@pytest.fixture
def holder(tmp_path: Path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_live_holder_on_this_host_keeps_others_out_and_is_named(tmp_path: Path, holder) -> None:
    with (
        pytest.raises(VidclsError, match=f"process {holder.pid} on ") as caught,
        lock.hold(tmp_path / "lock", say=print),
    ):
        pass
    assert caught.value.hint == f"wait for it, or stop it: kill {holder.pid}"
    assert lock.is_held(tmp_path / "lock")


@pytest.mark.parametrize(
    ("commands", "advice"),
    [(["scancel"], "scancel 10"), (["bkill"], "bkill 10"), ([], "scancel 10 or bkill 10")],
)
def test_a_holder_that_is_a_job_is_ended_by_its_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commands: list[str], advice: str
) -> None:
    """Killed, it would be queued again."""
    for command in commands:
        (tmp_path / command).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SLURM_JOB_ID", "10")
    with lock.hold(tmp_path / "run" / "lock", say=print):
        second = lock.hold(tmp_path / "run" / "lock", say=print)
        with pytest.raises(VidclsError, match="job 10 is training") as caught:
            second.__enter__()
        assert caught.value.hint == f"wait for it, or stop it: {advice}"


def test_a_killed_holder_frees_the_lock_at_once(tmp_path: Path, holder) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert not lock.is_held(tmp_path / "lock")
    with lock.hold(tmp_path / "lock", say=pytest.fail):
        assert lock.is_held(tmp_path / "lock")
    assert not (tmp_path / "lock").exists()


def test_another_process_with_the_old_number_is_not_the_holder(tmp_path: Path) -> None:
    me = Holder.me()
    (tmp_path / "lock").write_text(json.dumps({**vars(me), "process_start": me.process_start - 60}))
    with lock.hold(tmp_path / "lock", say=pytest.fail):
        pass


def test_a_silent_holder_on_another_host_loses_the_lock_after_its_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LEASE_S", 0.0)
    write_lock(tmp_path / "lock", host="elsewhere", space="another boot", pid=1, job="42", token="x")
    said: list[str] = []
    with lock.hold(tmp_path / "lock", say=said.append):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
    assert "process 1 on elsewhere, job 42" in said[0]


def test_a_lock_that_was_taken_over_is_left_to_its_new_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "BEAT_S", 0.01)
    with lock.hold(tmp_path / "lock", say=pytest.fail) as held:
        other = write_lock(tmp_path / "lock", token="other")
        wait_for(lambda: held.is_lost, what="the next beat")
        with pytest.raises(lock.LockLostError, match="another process took over this run"):
            held.check()
    assert (tmp_path / "lock").read_text() == other


def test_a_holder_that_is_waited_for_may_be_interrupted_by_a_check(tmp_path: Path, holder) -> None:
    def check() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError), lock.hold(tmp_path / "lock", say=print, wait=True, check=check):
        pass


def _count(path: Path, inside: Path, rounds: int) -> None:
    done = 0
    while done < rounds:
        try:
            with lock.hold(path, say=print):
                # Two holders at once would both succeed here only if the lock failed.
                descriptor = os.open(inside, os.O_CREAT | os.O_EXCL)
                os.close(descriptor)
                inside.unlink()
                done += 1
        except VidclsError:
            continue


def test_of_many_processes_one_holds_it_at_a_time(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    args = (tmp_path / "lock", tmp_path / "inside", 20)
    children = [context.Process(target=_count, args=args) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert [path.name for path in tmp_path.iterdir()] == [".lock.guard"]


def test_a_process_of_another_container_is_not_taken_for_dead(tmp_path: Path) -> None:
    # One of this host's name whose process number means nothing here.
    write_lock(tmp_path / "lock", space="another container", pid=2**22 + 1, token="x")
    assert lock.is_held(tmp_path / "lock")
    clock, begun = SharedClock().of_a_machine(), time.monotonic()
    with lock.hold(tmp_path / "lock", say=print, clock=clock):
        assert clock.now() >= 1000 + lock.LEASE_S
    assert time.monotonic() - begun < lock.LEASE_S


def test_a_disk_that_is_away_for_a_moment_ends_neither_the_beat_nor_the_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "BEAT_S", 0.01)
    (tmp_path / "disk").mkdir()
    (tmp_path / "away" / "lock").mkdir(parents=True)  # any look at a lock that is a folder is an error
    mount, shared = tmp_path / "mount", SharedClock()

    def lead_to(folder: str) -> None:
        """At no moment is there neither, which would be a lock that is gone."""
        (tmp_path / "link").symlink_to(folder)
        (tmp_path / "link").replace(mount)

    lead_to("disk")
    path = mount / "lock"
    with lock.hold(path, say=pytest.fail, clock=shared.of_a_machine()) as held:
        lead_to("away")
        with pytest.raises(OSError, match="directory"):
            held.check()  # after it has waited for a lease
        lead_to("disk")
        held.check()
        changed = path.stat().st_mtime_ns
        wait_for(lambda: path.stat().st_mtime_ns > changed, what="the beat that goes on")
        write_lock(path, token="other")
        wait_for(lambda: held.is_lost, what="the beat to see it")


def test_a_lock_that_lapsed_is_taken_again_or_lost(tmp_path: Path) -> None:
    shared = SharedClock()
    with lock.hold(tmp_path / "lock", say=pytest.fail, clock=shared.of_a_machine()) as held:
        os.utime(tmp_path / "lock", (0, 0))
        shared.advance(lock.LEASE_S + 1)
        held.check()
        assert (tmp_path / "lock").stat().st_mtime > 0, "who watches it sees that its holder is back"
        shared.advance(lock.LEASE_S + 1)
        (tmp_path / "lock").unlink()
        with pytest.raises(lock.LockLostError):
            held.check()


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"pid": "x"}', b"null"])
def test_a_damaged_lock_is_waited_for_and_then_taken(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lock").write_bytes(content)
    assert not lock.is_held(tmp_path / "lock")
    said: list[str] = []
    with lock.hold(tmp_path / "lock", say=said.append, clock=SharedClock().of_a_machine()) as held:
        held.check()
    assert "held by an unknown process; waiting 90 s" in said[0]
