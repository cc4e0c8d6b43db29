from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tests.support.storage import Grant, NetworkStorage, Server
from vidcls.json_files import DamagedError
from vidcls.sweep.storage.storage import DiskStorage
from vidcls.sweep.storage.trials import End, Lease, Trial, Trials, TrialState


def make(trials: Trials, number: int = 0) -> Trial:
    assert trials.add(number, configuration=number // 2, repeat=number % 2, point={"optim.lr": 0.1}, seed=7)
    return trials.refresh()[number]


def claim(trials: Trials, number: int = 0, *, worker: str = "a", epoch: int | None = None) -> Lease:
    lease = trials.claim(trials.refresh()[number], worker=worker, epoch=epoch)
    assert lease is not None
    return lease


def die(trials: Trials, *, epoch: int | None = None, reached: int | None = None) -> Trial:
    """One attempt at trial 0 from `epoch` that dies, having told that it reached `reached`."""
    claim(trials, epoch=epoch)
    assert trials.expire(trials.refresh()[0], by="b", epoch=reached)
    return trials.refresh()[0]


@pytest.fixture
def storage(tmp_path: Path) -> DiskStorage:
    return DiskStorage(tmp_path)


@pytest.fixture
def trials(storage: DiskStorage) -> Trials:
    return Trials(storage, max_strikes=3)


def test_a_trial_from_beginning_to_end(storage: DiskStorage, trials: Trials) -> None:
    waiting = make(trials, 0)
    assert (waiting.state, waiting.token, waiting.lease, waiting.value) == ("waiting", 0, None, None)
    lease = trials.claim(waiting, worker="a", until_epoch=9)
    assert lease == Lease(0, 1, "a", 0, 9)
    running = Trials(storage, max_strikes=3).refresh()[0]
    assert (running.state, running.token, running.lease, running.until_epoch) == ("running", 1, lease, 9)
    assert trials.is_open(lease)
    trials.rung(lease, 3, 0.5)
    assert trials.end(lease, "finished", epoch=9, value=0.75, metrics={"val/loss": 1.5})
    assert not trials.is_open(lease)
    for reader in (trials, Trials(storage, max_strikes=3)):
        (done,) = reader.refresh()
        assert (done.state, done.value, done.epoch, done.rungs) == ("finished", 0.75, 9, {3: 0.5})
        assert (done.point, done.seed, done.lease) == ({"optim.lr": 0.1}, 7, None)
        assert done.end is not None
        assert (done.end["metrics"], done.end["by"]) == ({"val/loss": 1.5}, "a")


def test_numbers_have_no_gaps_and_one_maker(storage: DiskStorage, trials: Trials) -> None:
    with pytest.raises(ValueError, match="trial 1 before trial 0"):
        trials.add(1, configuration=1, repeat=0, point={}, seed=0)
    late = Trials(storage, max_strikes=3)
    make(trials, 0)
    assert not late.add(0, configuration=0, repeat=0, point={"optim.lr": 9.0}, seed=0)
    assert not trials.add(0, configuration=0, repeat=0, point={"optim.lr": 9.0}, seed=0)
    assert late.refresh() == trials.refresh()
    make(late, 1)
    assert [(t.number, t.configuration, t.repeat) for t in trials.refresh()] == [(0, 0, 0), (1, 0, 1)]


def test_a_folder_that_a_crash_left_empty_does_not_block(storage: DiskStorage, trials: Trials) -> None:
    (storage.root / "trials/00000").mkdir(parents=True)
    (storage.root / "trials/00000/.trial.json.cut.tmp").write_text("{")
    assert trials.refresh() == []
    make(trials)
    claim(trials)


def test_one_worker_gets_a_trial(storage: DiskStorage, trials: Trials) -> None:
    other = Trials(storage, max_strikes=3)
    seen = make(trials)
    seen_by_other = other.refresh()[0]
    assert trials.claim(seen, worker="a") is not None
    assert other.claim(seen_by_other, worker="b") is None
    assert trials.claim(seen, worker="b") is None, "what was seen before is no longer so"


def test_a_claim_whose_answer_was_lost_is_handed_back() -> None:
    server, fate = Server(), ["done"]
    trials = Trials(NetworkStorage(server, lambda: Grant(fate[0])), max_strikes=3)  # type: ignore[arg-type]
    waiting = make(trials)
    fate[0] = "lost answer"
    with pytest.raises(OSError, match="lost"):
        trials.claim(waiting, worker="a")
    fate[0] = "done"
    (running,) = trials.refresh()
    assert running.lease is not None
    assert trials.claim(running, worker="b") is None
    assert trials.claim(running, worker="a") == running.lease
    fate[0] = "lost answer"
    with pytest.raises(OSError, match="lost"):
        trials.rung(running.lease, 1, 0.5)
    with pytest.raises(OSError, match="lost"):
        trials.end(running.lease, "finished", value=0.5)
    fate[0] = "done"
    assert trials.end(running.lease, "finished", value=0.5), "its own earlier try counts"
    assert not trials.end(running.lease, "crashed")
    assert trials.refresh()[0].state == "finished"


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("finished", "finished"),
        ("stopped", "stopped"),
        ("paused", "paused"),
        ("released", "waiting"),
        ("crashed", "waiting"),
        ("refused", "failed"),
    ],
)
def test_how_a_lease_ends_decides_what_comes_next(trials: Trials, kind: End, state: TrialState) -> None:
    make(trials)
    assert trials.end(claim(trials), kind, epoch=1, value=math.nan if kind == "finished" else 0.5)
    (trial,) = trials.refresh()
    assert trial.state == state
    if state in ("waiting", "paused"):
        assert claim(trials).epoch == 1
    else:
        with pytest.raises(ValueError, match=state):
            trials.claim(trial, worker="b")


def test_a_holder_that_was_given_up_learns_it(storage: DiskStorage, trials: Trials) -> None:
    make(trials)
    lease = claim(trials)
    other = Trials(storage, max_strikes=3)
    trials.rung(lease, 3, 0.5)
    assert other.expire(other.refresh()[0], by="b")
    assert other.refresh()[0].rungs == {3: 0.5}, "what the dead had told stays"
    assert not trials.is_open(lease)
    assert not trials.end(lease, "finished", value=0.9)
    again = claim(other, worker="b")
    assert again.token == 2
    assert other.end(again, "finished", value=0.8)
    assert trials.refresh()[0].value == 0.8


def test_a_holder_that_came_first_is_not_given_up(storage: DiskStorage, trials: Trials) -> None:
    make(trials)
    lease = claim(trials)
    other = Trials(storage, max_strikes=3)
    (running,) = other.refresh()
    assert trials.end(lease, "finished", value=0.9)
    assert not other.expire(running, by="b")
    assert other.refresh()[0].state == "finished"
    with pytest.raises(ValueError, match="finished"):
        other.expire(other.refresh()[0], by="b")


def test_three_deaths_without_progress_fail_a_trial(trials: Trials) -> None:
    make(trials)
    assert [(die(trials).state, trials.refresh()[0].strikes) for _ in range(3)] == [
        ("waiting", 1),
        ("waiting", 2),
        ("failed", 3),
    ]


def test_progress_forgives_deaths(trials: Trials) -> None:
    make(trials)
    assert [die(trials, reached=epoch).strikes for epoch in (0, 0, 1, 1, 1, 2)] == [1, 2, 0, 1, 2, 0]


def test_progress_that_only_the_next_holder_finds_counts(trials: Trials) -> None:
    make(trials)
    die(trials)
    assert die(trials).strikes == 2
    claim(trials, epoch=4)
    assert trials.refresh()[0].strikes == 0


def test_repeating_lost_epochs_is_no_progress(trials: Trials) -> None:
    make(trials)
    die(trials, reached=5)
    # The checkpoint holds less than was told; each attempt gets to epoch 5 again and dies there.
    strikes = [die(trials, epoch=4, reached=5).strikes for _ in range(3)]
    assert strikes == [1, 2, 3]
    assert trials.refresh()[0].state == "failed"


def test_a_release_is_no_strike(trials: Trials) -> None:
    make(trials)
    die(trials)
    assert trials.end(claim(trials), "released")
    assert trials.refresh()[0].strikes == 1


def test_a_person_gives_a_failed_trial_another_chance(storage: DiskStorage, trials: Trials) -> None:
    make(trials)
    for _ in range(3):
        failed = die(trials)
    other = Trials(storage, max_strikes=3)
    (seen,) = other.refresh()
    assert trials.retry(failed)
    assert not other.retry(seen), "asked once"
    (waiting,) = trials.refresh()
    assert (waiting.state, waiting.strikes) == ("waiting", 0)
    with pytest.raises(ValueError, match="waiting"):
        trials.retry(waiting)
    assert [die(trials).state for _ in range(3)] == ["waiting", "waiting", "failed"]


def test_the_first_value_of_an_epoch_stays(storage: DiskStorage, trials: Trials) -> None:
    make(trials)
    first = claim(trials)
    trials.rung(first, 1, 0.5)
    trials.expire(trials.refresh()[0], by="b")
    other = Trials(storage, max_strikes=3)
    again = claim(other, worker="b")
    other.rung(again, 1, 0.6)
    assert other.refresh()[0].rungs == {1: 0.5}
    other.rung(again, 3, 0.7)
    assert trials.refresh()[0].rungs == {1: 0.5, 3: 0.7}


def test_a_holder_that_was_given_up_tells_no_value(storage: DiskStorage, trials: Trials) -> None:
    make(trials)
    lease = claim(trials)
    other = Trials(storage, max_strikes=3)
    assert other.expire(other.refresh()[0], by="b")
    trials.rung(lease, 1, 0.5)
    assert trials.refresh()[0].rungs == {}
    other.rung(claim(other, worker="b"), 1, 0.25)
    assert trials.refresh()[0].rungs == {1: 0.25}


def test_a_damaged_file_stops_one_trial_until_it_is_mended(storage: DiskStorage, trials: Trials) -> None:
    make(trials)
    make(trials, 1)
    file = storage.root / "trials/00000/trial.json"
    whole = file.read_bytes()
    file.write_bytes(b"[]")
    late = Trials(storage, max_strikes=3)
    first, second = late.refresh()
    assert (first.state, first.lease, second.state) == ("failed", None, "waiting")
    assert first.damage is not None
    assert f"{file}: damaged: " in first.damage
    assert late.claim(first, worker="a") is None
    with pytest.raises(DamagedError, match="restore this file"):
        late.retry(first)
    file.write_bytes(whole)
    assert [trial.state for trial in late.refresh()] == ["waiting", "waiting"]
    assert late.refresh()[0].point == trials.refresh()[0].point


def test_an_end_keeps_its_own_keys(trials: Trials) -> None:
    make(trials)
    lease = claim(trials)
    with pytest.raises(ValueError, match="by"):
        trials.end(lease, "finished", by="somebody")
    with pytest.raises(ValueError, match="expired"):
        trials.end(lease, "expired")
    assert trials.is_open(lease)


def test_a_disk_that_is_away_in_the_middle_loses_nothing(storage: DiskStorage, trials: Trials) -> None:
    for number in range(3):
        make(trials, number)
        claim(trials, number)
    trials.end(claim_again(trials, 1), "finished", value=0.5)

    class Flaky(DiskStorage):
        reads, fail_at = 0, 0

        def read(self, name: str) -> dict[str, Any] | None:
            self.reads += 1
            if self.reads == self.fail_at:
                raise OSError("away")
            return super().read(name)

    complete = Flaky(storage.root)
    assert Trials(complete, max_strikes=3).refresh() == trials.refresh()
    for fail_at in range(1, complete.reads + 1):
        flaky = Flaky(storage.root)
        flaky.fail_at = fail_at
        reader = Trials(flaky, max_strikes=3)
        with pytest.raises(OSError, match="away"):
            reader.refresh()
        assert reader.refresh() == trials.refresh()


def claim_again(trials: Trials, number: int) -> Lease:
    lease = trials.refresh()[number].lease
    assert lease is not None
    return lease
