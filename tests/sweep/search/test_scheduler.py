"""Which trial a free worker gets, from the files of a sweep on which nobody trains."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.storage import Grant, NetworkStorage, Server
from tests.sweep.search.trials import trial
from vidcls.errors import VidclsError
from vidcls.sweep.config.file import load_sweep
from vidcls.sweep.search.build import open_searcher
from vidcls.sweep.search.scheduler import Observations, Scheduler, planned_trials
from vidcls.sweep.search.searcher import Observation
from vidcls.sweep.storage.folder import SweepFolder, SweepOptions
from vidcls.sweep.storage.trials import End, Lease, Trial

LR: dict[str, Any] = {"optim.lr": {"min": 0.001, "max": 0.1}}
GRID: dict[str, Any] = {"optim.lr": {"values": [0.1, 0.2, 0.3]}}
MINIMIZE = {"name": "val/loss", "goal": "minimize"}
MAXIMIZE = {"name": "val/top1", "goal": "maximize"}
SEED = 70  # of the experiment; not that of the search
EPOCHS = 9


Make = Callable[..., SweepFolder]


@dataclass(frozen=True)
class RemoteFolder(SweepFolder):
    """A sweep whose state lies on a server, which this machine may see late."""

    far: NetworkStorage

    @property
    def storage(self) -> NetworkStorage:  # type: ignore[override]
        return self.far


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(
        parameters: Mapping[str, Any] = LR, options: Mapping[str, Any] | None = None, **keys: Any
    ) -> SweepFolder:
        """A sweep on which nobody works yet."""
        path = tmp_path / f"sweep-{len(list(tmp_path.iterdir()))}"
        path.mkdir()
        folder = SweepFolder(path)
        command = ["vidcls", "train", "spec.yaml", "${args}"]
        content = {"method": "random", "parameters": dict(parameters), "command": command, **keys}
        folder.sweep_file.write_text(yaml.safe_dump(content))
        base = {"name": "small", "model": {"kind": "cnn3d"}, "seed": SEED, "train": {"epochs": EPOCHS}}
        folder.base_file.write_text(yaml.safe_dump(base))
        folder.freeze(SweepOptions(**(options or {})))
        return folder

    return make


def hire(
    folder: SweepFolder,
    worker: str = "a",
    *,
    dead: Collection[str] = (),
    epoch_of: Callable[[str, int], int | None] = lambda worker, number: None,
) -> Scheduler:
    return Scheduler(folder, worker=worker, is_dead=lambda other: other in dead, epoch_of=epoch_of)


def take(scheduler: Scheduler, busy: Collection[int] = ()) -> tuple[Trial, Lease]:
    taken = scheduler.take(busy)
    assert taken is not None
    return taken


def end(scheduler: Scheduler, lease: Lease, kind: End = "finished", **content: Any) -> None:
    assert scheduler.trials.end(lease, kind, **content)


def damage(folder: SweepFolder, number: int) -> Path:
    """Cut the file of a trial, as a full disk does."""
    file = folder.path / f"trials/{number:05d}/trial.json"
    file.write_text("{")
    return file


def test_a_new_trial_is_the_searchers_next_point_under_the_seed_of_the_experiment(make: Make) -> None:
    folder = make(options={"seed": 3})
    scheduler = hire(folder)
    searcher = open_searcher(load_sweep(folder.sweep_file), seed=3)
    for number in range(3):
        taken, lease = take(scheduler, busy=range(number))
        assert (taken.number, taken.configuration, taken.repeat) == (number, number, 0)
        assert (taken.point, taken.seed) == (searcher.ask(number, []), SEED)
        assert lease == Lease(number, 1, "a", 0, None)
    assert [one.lease for one in folder.trials().refresh()] == [Lease(n, 1, "a", 0, None) for n in range(3)]


def test_repeats_share_a_point_and_count_their_seeds_up(make: Make) -> None:
    scheduler = hire(make(GRID, method="grid", options={"repeats": 2}))
    taken = [take(scheduler, busy=range(number))[0] for number in range(6)]
    assert [(t.configuration, t.repeat, t.seed) for t in taken] == [
        (configuration, repeat, SEED + repeat) for configuration in range(3) for repeat in range(2)
    ]
    assert [t.point["optim.lr"] for t in taken] == [0.1, 0.1, 0.2, 0.2, 0.3, 0.3]
    assert scheduler.take(busy=range(6)) is None


def test_a_point_may_set_the_seed(make: Make) -> None:
    folder = make({"seed": {"values": [5, 6]}}, method="grid", options={"repeats": 2})
    scheduler = hire(folder)
    assert [take(scheduler, busy=range(number))[0].seed for number in range(4)] == [5, 6, 6, 7]


def test_what_waits_comes_before_what_is_new_and_the_lowest_number_first(make: Make) -> None:
    folder = make()
    scheduler = hire(folder)
    leases = [take(scheduler, busy=range(number))[1] for number in range(4)]
    end(scheduler, leases[2], "released", epoch=4)
    end(scheduler, leases[1], "crashed", epoch=2)
    end(scheduler, leases[0], "finished", value=0.5)
    assert take(scheduler, busy=[3]) == (
        trial(
            1,
            point=folder.trials().refresh()[1].point,
            seed=SEED,
            token=1,
            epoch=2,
            end=dict_end("crashed", 2),
        ),
        Lease(1, 2, "a", 2, None),
    )
    assert take(scheduler, busy=[1, 3])[1] == Lease(2, 2, "a", 4, None)
    assert take(scheduler, busy=[1, 2, 3])[1] == Lease(4, 1, "a", 0, None)


def dict_end(kind: str, epoch: int) -> dict[str, Any]:
    return {"kind": kind, "by": "a", "epoch": epoch, "rungs": {}}


def test_a_trial_that_runs_under_this_worker_without_its_knowledge_is_taken_up(make: Make) -> None:
    """As after a claim that was written although the disk reported an error."""
    folder = make()
    _, lease = take(hire(folder))
    assert take(hire(folder))[1] == lease
    assert take(hire(folder), busy=[0])[1].number == 1
    assert take(hire(folder, "b"))[1].number == 2, "the trial of another worker is not free"


def test_only_the_trials_of_dead_workers_are_freed_and_go_on_where_those_were(make: Make) -> None:
    folder = make(run_cap=4)
    for worker in ("gone", "alive", "gone too", "a"):
        take(hire(folder, worker))
    asked: list[tuple[str, int]] = []

    def epoch_of(worker: str, number: int) -> int:
        asked.append((worker, number))
        return 5 + number

    # Dead are a worker that is asked about itself, as well as two others.
    scheduler = hire(folder, dead=["gone", "gone too", "a"], epoch_of=epoch_of)
    assert take(scheduler, busy=[3])[1] == Lease(0, 2, "a", 5, None)
    assert asked == [("gone", 0), ("gone too", 2)]
    assert [one.state for one in folder.trials().refresh()] == ["running", "running", "waiting", "running"]
    ends = [one.end for one in folder.trials().refresh()]
    assert ends[0] == {"kind": "expired", "by": "a", "epoch": 5, "rungs": {}}
    assert ends[2] == {"kind": "expired", "by": "a", "epoch": 7, "rungs": {}}
    assert take(scheduler, busy=[0, 3])[1] == Lease(2, 2, "a", 7, None)
    assert scheduler.take(busy=[0, 2, 3]) is None


def test_one_of_many_that_free_the_same_trial_counts(make: Make) -> None:
    """The second of two was freed by another worker in between; the first one's trial is free all the same."""
    folder = make(run_cap=2)
    for worker in ("gone", "gone too"):
        take(hire(folder, worker))

    def epoch_of(worker: str, number: int) -> int | None:
        if worker == "gone too":
            trials = folder.trials()
            assert trials.expire(trials.refresh()[number], by="b")
        return None

    scheduler = hire(folder, dead=["gone", "gone too"], epoch_of=epoch_of)
    assert take(scheduler)[1] == Lease(0, 2, "a", 0, None)
    assert [one.end["by"] for one in folder.trials().refresh() if one.end] == ["a", "b"]


def test_a_cap_ends_the_search_until_it_is_extended(make: Make) -> None:
    folder = make(run_cap=1)
    scheduler = hire(folder)
    assert scheduler.num_trials() == 1
    assert scheduler.may_add([])
    assert take(scheduler)[1].number == 0
    assert not scheduler.may_add(folder.trials().refresh())
    assert scheduler.take(busy=[0]) is None
    folder.control().say("extend", trials=1)
    assert scheduler.num_trials() == 2
    assert take(scheduler, busy=[0])[1].number == 1
    assert scheduler.take(busy=[0, 1]) is None
    assert hire(make()).num_trials() is None
    assert hire(make(GRID, method="grid", options={"repeats": 5})).num_trials() == 15


@pytest.mark.parametrize(
    ("metric", "values", "ends"),
    [
        (MAXIMIZE | {"target": 0.5}, [None, 0.25], False),
        (MAXIMIZE | {"target": 0.5}, [0.25, 0.5], True),
        (MAXIMIZE | {"target": 0.5}, [0.75, None], True),
        (MINIMIZE | {"target": 0.5}, [0.25, None], True),
        (MINIMIZE | {"target": 0.5}, [0.5], True),
        (MINIMIZE | {"target": 0.5}, [0.75, None], False),
        (MINIMIZE | {"target": -0.5}, [0.0], False),
        (MAXIMIZE | {"target": 1.7e308}, [1.6e308], False),
        (MINIMIZE | {"target": 1.6e308}, [1.7e308], False),
        (MINIMIZE, [0.0], False),
        (MINIMIZE | {"target": 0.5}, [], False),
        (None, [1.0], False),
    ],
)
def test_no_trial_is_added_once_one_has_reached_the_target(
    make: Make, metric: Mapping[str, Any] | None, values: list[float | None], ends: bool
) -> None:
    folder = make(**({} if metric is None else {"metric": dict(metric)}))
    scheduler = hire(folder)
    assert scheduler.goal == (metric or MAXIMIZE)["goal"]
    trials = [trial(number, "finished", value=value) for number, value in enumerate(values)]
    assert scheduler.may_add(trials) != ends


def test_a_search_that_reached_its_target_leaves_what_waits_to_be_trained(make: Make) -> None:
    scheduler = hire(make(metric=MINIMIZE | {"target": 0.5}))
    leases = [take(scheduler, busy=range(number))[1] for number in range(2)]
    end(scheduler, leases[0], "finished", value=0.25)
    end(scheduler, leases[1], "released")
    assert take(scheduler)[1] == Lease(1, 2, "a", 0, None)
    assert scheduler.take(busy=[1]) is None


def pause(scheduler: Scheduler, lease: Lease, value: float) -> None:
    """Reach a rung."""
    assert lease.until_epoch is not None
    scheduler.trials.rung(lease, lease.until_epoch, value)
    end(scheduler, lease, "paused", epoch=lease.until_epoch, value=value)


def test_asha_trains_to_the_first_rung_and_promotes_before_it_adds(make: Make) -> None:
    folder = make(metric=MINIMIZE, run_cap=4, options={"asha": True})
    scheduler = hire(folder)
    assert scheduler.rungs is not None
    assert (scheduler.rungs.first, scheduler.rungs.eta, scheduler.rungs.num_epochs) == (1, 3, EPOCHS)
    for number, value in enumerate((0.5, 0.25, 0.75)):
        taken, lease = take(scheduler)
        assert (taken.number, lease) == (number, Lease(number, 1, "a", 0, 1))
        pause(scheduler, lease, value)
    best, promoted = take(scheduler)
    assert (best.number, best.state, best.epoch) == (1, "paused", 1)
    assert promoted == Lease(1, 2, "a", 1, 3)
    assert take(scheduler, busy=[1])[1] == Lease(3, 1, "a", 0, 1)
    assert scheduler.take(busy=[1, 3]) is None
    end(scheduler, promoted, "released", epoch=2)
    # What waits goes on to the rung to which it was on the way.
    assert take(scheduler, busy=[3])[1] == Lease(1, 3, "a", 2, 3)


def test_without_asha_no_trial_pauses_or_is_promoted(make: Make) -> None:
    scheduler = hire(make(metric=MINIMIZE, run_cap=3))
    assert scheduler.rungs is None
    for number in range(3):
        _, lease = take(scheduler)
        assert lease.until_epoch is None
        scheduler.trials.rung(lease, 1, float(number))
        end(scheduler, lease, "paused", epoch=1, value=float(number))
    assert scheduler.take() is None


def test_results_of_all_repeats_reach_the_search(make: Make) -> None:
    folder = make(LR, method="bayes", metric=MINIMIZE, run_cap=26, options={"repeats": 2, "seed": 4})
    scheduler = hire(folder)
    for number in range(24):
        taken, lease = take(scheduler)
        end(scheduler, lease, "finished", value=taken.point["optim.lr"] + number % 2)
    trials = folder.trials().refresh()
    seen = [
        Observation(n, dict(trials[2 * n].point), "finished", trials[2 * n].point["optim.lr"] + 0.5)
        for n in range(12)
    ]
    expected = open_searcher(load_sweep(folder.sweep_file), seed=4).ask(12, seen)
    assert expected != open_searcher(load_sweep(folder.sweep_file), seed=4).ask(12, [])
    taken, _ = take(scheduler)
    assert (taken.configuration, taken.repeat, taken.point) == (12, 0, expected)


def test_a_damaged_repeat_hands_its_point_on_from_another(make: Make) -> None:
    folder = make(options={"repeats": 3})
    points = [take(hire(folder), busy=range(number))[0].point for number in range(2)]
    damage(folder, 0)
    assert take(hire(folder), busy=range(2))[0].point == points[1]


def test_repeats_that_are_all_damaged_have_no_point(make: Make) -> None:
    folder = make(options={"repeats": 2})
    take(hire(folder))
    file = damage(folder, 0)
    with pytest.raises(VidclsError) as caught:
        hire(folder).take()
    assert str(caught.value).startswith(f"{file}: ")
    assert str(caught.value) == folder.trials().refresh()[0].damage


def test_a_trial_without_any_point_has_none_to_repeat(make: Make) -> None:
    folder = make(options={"repeats": 2})
    assert folder.trials().add(0, configuration=0, repeat=0, point={}, seed=0)
    take(hire(folder))
    with pytest.raises(VidclsError, match=r"^trial 0 has no point$"):
        hire(folder).take(busy=[0])


@dataclass
class Disk:
    """A network disk, of which machines see the last `lag_s` seconds late."""

    server: Server = field(default_factory=Server)
    lag_s: float = 0.0
    num_accesses: int = 0

    def on_it(self, folder: SweepFolder) -> RemoteFolder:
        """A sweep, as one more machine sees it."""
        return RemoteFolder(folder.path, NetworkStorage(self.server, self._access))

    def _access(self) -> Grant:
        self.num_accesses += 1
        return Grant(lag_s=self.lag_s)


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long a worker meant to wait; it does not."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


def test_workers_that_arrive_together_wait_longer_after_each_lost_attempt(
    make: Make, delays: list[float]
) -> None:
    disk, folder = Disk(), make()
    winner = hire(disk.on_it(folder), "first")
    for number in range(5):
        take(winner, busy=range(number))
    assert delays == []
    disk.lag_s = 59.0
    # It sees no trial; each file that it cannot create it sees from then on.
    taken, lease = take(hire(disk.on_it(folder), "late"))
    assert (taken.number, lease.worker) == (5, "late")
    chance = random.Random("late")
    bounds = [0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0, 1.0, 1.0]
    expected = []
    for k, bound in enumerate(bounds):
        expected.append(chance.uniform(0, bound))
        if k % 2 == 0:
            chance.choice([None])  # of one trial that seems free, the file of which it has just found
    assert delays == expected


def test_after_a_lost_attempt_a_worker_chooses_by_chance(make: Make, delays: list[float]) -> None:
    disk, folder = Disk(), make()
    winner = hire(disk.on_it(folder), "first")
    leases = [take(winner, busy=range(number))[1] for number in range(12)]
    for lease in leases:
        end(winner, lease, "released")
    disk.server.now_s = 100.0
    assert take(winner)[1].number == 0
    disk.lag_s = 59.0
    taken, _ = take(hire(disk.on_it(folder), "late"))
    chance = random.Random("late")
    assert delays == [chance.uniform(0, 0.02)]
    assert taken.number == chance.choice(range(1, 12))
    assert taken.number > 1


def test_a_promotion_that_another_made_first_is_lost(make: Make, delays: list[float]) -> None:
    disk, folder = Disk(), make(metric=MINIMIZE, run_cap=6, options={"asha": True})
    winner = hire(disk.on_it(folder), "first")
    leases = [take(winner, busy=range(number))[1] for number in range(6)]
    for lease in leases:
        pause(winner, lease, lease.number / 8)
    disk.server.now_s = 100.0
    assert take(winner)[1] == Lease(0, 2, "first", 1, 3)
    disk.lag_s = 59.0
    assert take(hire(disk.on_it(folder), "late"))[1] == Lease(1, 2, "late", 1, 3)
    assert len(delays) == 1


def test_the_disk_is_read_once_if_nobody_died(make: Make) -> None:
    disk, folder = Disk(), make(run_cap=3)
    scheduler = hire(disk.on_it(folder))
    for number in range(3):
        take(scheduler, busy=range(number))
    accesses = []
    for work in (scheduler.trials.refresh, scheduler.num_trials, lambda: scheduler.take(busy=range(3))):
        before = disk.num_accesses
        work()
        accesses.append(disk.num_accesses - before)
    refresh, num_trials, whole = accesses
    assert whole == refresh + num_trials


@pytest.mark.parametrize(
    ("run_cap", "extra_trials", "num_configurations", "repeats", "expected"),
    [
        (None, 0, None, 3, None),
        (None, 9, None, 3, None),
        (7, 0, None, 3, 7),
        (7, 2, None, 3, 9),
        (None, 9, 4, 3, 12),
        (7, 2, 4, 3, 9),
        (7, 50, 4, 3, 12),
    ],
)
def test_a_search_is_bounded_by_its_space_and_its_cap(
    make: Make,
    run_cap: int | None,
    extra_trials: int,
    num_configurations: int | None,
    repeats: int,
    expected: int | None,
) -> None:
    sweep = load_sweep(make(**({} if run_cap is None else {"run_cap": run_cap})).sweep_file)
    options = SweepOptions(repeats=repeats)
    assert planned_trials(sweep, options, num_configurations, extra_trials) == expected


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["finished", "finished"], "finished"),
        (["finished"], "running"),
        (["finished", "running"], "running"),
        (["failed", "waiting"], "running"),
        (["paused", "failed"], "finished"),
        (["paused", "paused"], "finished"),
        (["finished", "stopped"], "finished"),
        (["stopped", "stopped"], "stopped"),
        (["failed", "stopped"], "stopped"),
        (["failed", "failed"], "failed"),
    ],
)
def test_a_configuration_has_ended_once_all_its_repeats_have(states: list[Any], expected: str) -> None:
    trials = [trial(k, state, configuration=0, repeat=k) for k, state in enumerate(states)]
    (seen,) = Observations(2)(trials)
    assert seen == Observation(0, {"optim.lr": 0.1}, expected, None)  # type: ignore[arg-type]


def test_a_configuration_is_worth_the_mean_of_its_repeats() -> None:
    values: list[tuple[float | None, dict[str, Any] | None]] = [
        (0.5, {"latest": 4.0}),
        (0.0, {"latest": 0.0}),
        (1.0, None),
        (None, {}),
        (0.25, None),
        (None, {"latest": 2.0}),
    ]
    trials = [
        trial(k, "finished", configuration=k // 3, repeat=k % 3, point={"x": k // 3}, value=value, end=end)
        for k, (value, end) in enumerate(values)
    ]
    assert Observations(3)(trials) == [
        Observation(0, {"x": 0}, "finished", 0.5, 2.0),
        Observation(1, {"x": 1}, "finished", 0.25, 2.0),
    ]
    assert Observations(1)(trials[3:4]) == [Observation(1, {"x": 1}, "finished", None, None)]


def test_observations_follow_what_changes() -> None:
    seen_by = Observations(2)
    trials = [trial(k, "running", configuration=k // 2, point={"x": k // 2}) for k in range(3)]
    running = Observation(0, {"x": 0}, "running", None)
    assert seen_by(trials[:2]) == [running]
    assert seen_by(trials) == [running, Observation(1, {"x": 1}, "running", None)]
    trials[2:] = [trial(k, "finished", configuration=1, point={"x": 1}, value=0.5) for k in (2, 3)]
    assert seen_by(trials) == [running, Observation(1, {"x": 1}, "finished", 0.5)]
    trials[0] = trial(0, "running", configuration=0, point={"x": 0}, value=0.25)
    assert seen_by(trials) == [
        Observation(0, {"x": 0}, "running", 0.25),
        Observation(1, {"x": 1}, "finished", 0.5),
    ]


def test_a_configuration_without_an_intact_repeat_is_not_observed() -> None:
    """The number of its configuration is unknown too, where the file is damaged."""
    trials = [
        trial(0, "failed", configuration=0, point={}, damage="cut"),
        trial(1, "finished", configuration=0, point={"x": 0}, value=0.5),
        trial(2, "failed", configuration=2, point={}, damage="cut"),
        trial(3, "failed", configuration=3, point={}, damage="cut"),
        trial(4, "finished", configuration=2, point={"x": 2}, value=0.25),
        trial(5, "failed", configuration=5, point={}, damage="cut"),
    ]
    assert Observations(2)(trials) == [
        Observation(0, {"x": 0}, "finished", 0.5),
        Observation(2, {"x": 2}, "finished", 0.25),
    ]
