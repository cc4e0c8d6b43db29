"""Whoever was suspended while another took its run over writes nothing into it any more."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.suspended import SharedClock, content_of, fork, go_on, stand_still_before, wait_for_stop
from vidcls.errors import LockLostError, VidclsError
from vidcls.files import atomic_file, write_json
from vidcls.locking.clock import Clock
from vidcls.locking.lock import LEASE_S
from vidcls.run.folder import Run
from vidcls.run.shapes import Status
from vidcls.tracking.jsonl import MetricsFile, read_rows

EPOCHS = 3
NUM_OPERATIONS = 180
"""More than such a training has."""
LOST = 7


def train(run: Run, who: str, clock: Clock) -> bool:
    """What a training writes, in its order, without the computing; False if nothing was left to do."""
    with run.hold(lambda _: None, clock=clock) as held:
        status = run.status()
        if status is not None and status.state == "finished":
            return False
        metrics, last = MetricsFile(run.metrics_file), run.checkpoint_file("last")
        saved = json.loads(last.read_text()) if last.exists() else {"epoch": 0, "bytes": 0}
        metrics.truncate_to(saved["bytes"])
        write_json(run.provenance_file, {"by": who})
        for epoch in range(saved["epoch"], EPOCHS):
            metrics.append({"epoch": epoch, "by": who})
            metrics.sync()
            with atomic_file(last) as file:
                file.write(json.dumps({"epoch": epoch + 1, "bytes": metrics.position}).encode())
            run.write_status(Status("running", epoch + 1, EPOCHS, message=who))
        write_json(run.report_dir("val", "best") / "metrics.json", {"by": who})
        run.write_status(Status("finished", EPOCHS, EPOCHS, message=who))
        held.check()
        last.unlink()
        metrics.close()
    return True


def first_holder(run: Run, clock: Clock, number: int) -> int:
    stand_still_before(number)
    try:
        train(run, "first", clock)
    except LockLostError:
        return LOST
    except VidclsError:
        return LOST + 1
    return 0


def is_elsewhere(run: Run) -> None:
    """The holder's machine is another one: nobody here can see whether it lives."""
    if run.lock_file.exists():
        holder = json.loads(run.lock_file.read_text())
        run.lock_file.write_text(json.dumps({**holder, "space": "another machine"}))


def takes_over(run: Run, clock: Clock) -> bool | None:
    """Train as the second holder, which waits for a lease in that time; None where the first bars the way."""
    try:
        return train(run, "second", clock)
    except VidclsError as error:
        if "a suspended process holds .lock.guard" in error.message:
            return None
        raise


def suspended(folder: Path, number: int) -> tuple[Run, Clock, SharedClock, int | None]:
    """A holder that stands still before its file operation `number`; no process if it had ended before."""
    run, time = Run(folder / "run"), SharedClock()
    clock = time.of_a_machine()
    pid = fork(lambda: first_holder(run, clock, number))
    return run, clock, time, pid if wait_for_stop(pid) else None


@pytest.mark.long
@settings(max_examples=60)
@given(number=st.integers(0, NUM_OPERATIONS))
@example(number=0)
def test_a_holder_that_was_suspended_writes_nothing_after_another_took_over(
    tmp_path_factory: pytest.TempPathFactory, number: int
) -> None:
    run, clock, _, pid = suspended(tmp_path_factory.mktemp("fences"), number)
    if pid is None:
        assert number > 40, "a training has more operations than this"
        return
    is_elsewhere(run)
    worked = takes_over(run, clock)
    if worked is None:  # the first stands still in the middle of letting go
        assert go_on(pid) == 0
        return
    before = content_of(run.folder)
    code = go_on(pid)
    assert content_of(run.folder) == before
    assert code in (0, LOST)
    if worked:
        rows = read_rows(run.metrics_file)
        assert [row["epoch"] for row in rows] == list(range(EPOCHS))
        assert [row["by"] for row in rows] == sorted(row["by"] for row in rows), "first, then second"
        status = run.status()
        assert status is not None
        assert status.message == "second"
        assert not run.checkpoint_file("last").exists()


@settings(max_examples=15)
@given(number=st.integers(0, NUM_OPERATIONS))
def test_a_holder_that_was_suspended_and_missed_by_nobody_goes_on(
    tmp_path_factory: pytest.TempPathFactory, number: int
) -> None:
    run, _, time, pid = suspended(tmp_path_factory.mktemp("fences"), number)
    if pid is None:
        return
    time.advance(10 * LEASE_S)
    assert go_on(pid) == 0
    assert [row["by"] for row in read_rows(run.metrics_file)] == ["first"] * EPOCHS


def test_what_a_killed_save_left_is_gone_after_the_next_start(tmp_path: Path) -> None:
    run, clock = Run(tmp_path / "run"), SharedClock().of_a_machine()
    run.folder.mkdir()
    foreign = run.folder / ".notes.tmp"
    foreign.write_text("mine")
    pid = fork(lambda: half_a_save(run, clock))
    os.waitpid(pid, 0)
    names = {path.name for path in run.folder.rglob("*") if path.is_file()}
    assert any(name.startswith(".last.pt.") for name in names)
    with run.hold(pytest.fail, clock=clock):
        names = {path.name for path in run.folder.rglob("*") if path.is_file()}
    assert names == {".notes.tmp", ".lock.guard", "lock"}


def half_a_save(run: Run, clock: Clock) -> int:
    with run.hold(lambda _: None, clock=clock), atomic_file(run.checkpoint_file("last")) as file:
        file.write(b"half")
        os._exit(0)
