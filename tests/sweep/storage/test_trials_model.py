"""Trial folders under any interleaving: many workers on a network disk that is late, killed anywhere."""

from __future__ import annotations

import random
import re
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.actors import EPOCHS, MAX_STRIKES, MAX_TRIALS, Actor, World, value_of
from tests.support.storage import MAX_LAG_S, Grant, NetworkStorage
from vidcls.sweep.storage.trials import FINAL, Trials

LAGS = st.sampled_from([0.0, 0.0, 10.0, MAX_LAG_S])
FATES = ["lost answer", "failed", "killed before", "killed after"]
STORM: dict[str, float] = {"work": 70, "wait": 10, "suspend": 4, "wake": 2, "hire": 2, "retry": 1}
STORM |= {"lost answer": 2, "failed": 2, "killed before": 0.5, "killed after": 0.5}
SECONDS = st.sampled_from([1.0, 20.0, 100.0])


class Checker:
    """The rules of a trial's log, judged file by file in the order of their creation."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.judged = 0
        self.logs: list[dict[str, Any]] = []

    def all_done(self) -> bool:
        ended = [log["open"] is None and log["kind"] in FINAL for log in self.logs]
        return len(ended) == MAX_TRIALS and all(ended)

    def judge(self) -> None:
        for name, content in self.world.server.created[self.judged :]:
            if match := re.fullmatch(r"trials/(\d+)/(trial|lease|end|retry)(?:-(\d+))?\.json", name):
                number, what, token = int(match[1]), match[2], int(match[3] or 0)
                getattr(self, f"_{what}")(number, token, content)
        self.judged = len(self.world.server.created)

    def _trial(self, number: int, token: int, content: dict[str, Any]) -> None:
        assert number == len(self.logs), "a gap"
        self.logs.append(
            {"token": 0, "kind": "released", "open": None, "reached": 0, "strikes": 0, "content": content}
        )

    def _lease(self, number: int, token: int, content: dict[str, Any]) -> None:
        log = self.logs[number]
        assert token == log["token"] + 1, "tokens grow by one"
        assert log["open"] is None, "two open leases"
        assert log["kind"] in ("released", "paused", "crashed", "expired"), f"taken after {log['kind']}"
        assert log["strikes"] < MAX_STRIKES, "taken after too many deaths"
        log["strikes"] *= content["epoch"] <= log["reached"]
        log.update(token=token, open=content, reached=max(log["reached"], content["epoch"]))

    def _end(self, number: int, token: int, content: dict[str, Any]) -> None:
        log = self.logs[number]
        assert token == log["token"], "the end of a lease that was not the newest"
        owner = next(a for a in self.world.actors if a.worker.id == log["open"]["worker"])
        if content["kind"] == "expired":
            assert owner.silenced or not owner.alive, "a living worker lost its lease"
        else:
            assert content["by"] == owner.worker.id
        progress = content["epoch"] > log["reached"]
        struck = content["kind"] in ("crashed", "expired") and not progress
        log["strikes"] = log["strikes"] + 1 if struck else 0 if progress else log["strikes"]
        log.update(kind=content["kind"], open=None, reached=max(log["reached"], content["epoch"]))

    def _retry(self, number: int, token: int, content: dict[str, Any]) -> None:
        log = self.logs[number]
        assert token == log["token"]
        assert log["open"] is None
        assert log["kind"] == "refused" or log["strikes"] == MAX_STRIKES, "retried without having failed"
        log.update(kind="released", strikes=0)


class TrialFolders(RuleBasedStateMachine):
    """Workers come, work, are suspended, go on, are killed; a person retries what failed."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.checker = Checker(self.world)
        self.people = [Trials(NetworkStorage(self.world.server), max_strikes=MAX_STRIKES) for _ in range(2)]

    def pick(self, index: int) -> Actor | None:
        able = [actor for actor in self.world.actors if actor.alive and not actor.suspended]
        return able[index % len(able)] if able else None

    @initialize(seeds=st.lists(st.integers(0, 2**16), min_size=2, max_size=4), storm=st.integers(0, 2**16))
    def begin(self, seeds: list[int], storm: int) -> None:
        for seed in seeds:
            self.hire(seed)
        self.storm(storm, num_ops=200)

    @precondition(lambda self: sum(actor.alive for actor in self.world.actors) < 4)
    @rule(seed=st.integers(0, 2**16))
    def hire(self, seed: int) -> None:
        self.world.actors.append(Actor(self.world, seed=seed))

    @rule(seed=st.integers(0, 2**16), num_ops=st.sampled_from([30, 100, 300]))
    def storm(self, seed: int, num_ops: int) -> None:
        """Everything at once, by chance."""
        chance = random.Random(seed)
        for _ in range(num_ops):
            if self.checker.all_done():
                break
            what = chance.choices(list(STORM), list(STORM.values()))[0]
            index, lag_s = (
                chance.choices(range(4), [8, 4, 2, 1])[0],
                chance.choice([0.0, 0.0, 10.0, MAX_LAG_S]),
            )
            match what:
                case "suspend":
                    self.suspend(index)
                case "wake":
                    self.wake()
                case "hire" if sum(actor.alive for actor in self.world.actors) < 4:
                    self.hire(chance.randrange(2**16))
                case "retry":
                    self.retry_failed(chance.randrange(2), fresh=True)
                case "wait":
                    self.wait(chance.choice([10.0, 30.0, 100.0]))
                case "work":
                    self.work(index, num_ops=chance.choice([1, 3, 10]), lag_s=lag_s)
                case _ if what in FATES:
                    self.stumble(index, fate=what, lag_s=lag_s)
            self.the_rules_hold()

    @rule(index=st.integers(0, 3), num_ops=st.integers(1, 40), lag_s=LAGS)
    def work(self, index: int, num_ops: int, lag_s: float) -> None:
        for _ in range(num_ops):
            if actor := self.pick(index):
                actor.step(Grant(lag_s=lag_s))

    @rule(index=st.integers(0, 3), fate=st.sampled_from(FATES), lag_s=LAGS)
    def stumble(self, index: int, fate: Any, lag_s: float) -> None:
        if actor := self.pick(index):
            actor.step(Grant(fate, lag_s))
            if fate.startswith("killed"):
                actor.kill()

    @rule(index=st.integers(0, 3))
    def suspend(self, index: int) -> None:
        if actor := self.pick(index):
            actor.suspended = actor.silenced = True

    @rule()
    def wake(self) -> None:
        for actor in self.world.actors:
            actor.suspended = False

    @rule(index=st.integers(0, 3))
    def dismiss(self, index: int) -> None:
        if actor := self.pick(index):
            actor.leaving = True

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule(who=st.integers(0, 1), fresh=st.booleans())
    def retry_failed(self, who: int, fresh: bool) -> None:
        trials = self.people[who]
        for trial in trials.refresh() if fresh else []:
            if trial.state == "failed":
                trials.retry(trial)

    @invariant()
    def the_rules_hold(self) -> None:
        self.checker.judge()
        assert all(count == 1 for count in self.world.published.values())
        for number, tag in self.world.added.items():
            assert self.checker.logs[number]["content"]["point"] == {"tag": tag}

    def teardown(self) -> None:
        try:
            self._let_one_finish_alone()
        finally:
            for actor in self.world.actors:
                actor.kill()

    def _let_one_finish_alone(self) -> None:
        for actor in self.world.actors:
            actor.kill()
        last = Actor(self.world, seed=0, calm=True)
        self.world.actors.append(last)
        truth = self.world.truth
        for _ in range(100):
            if all(trial.state in (*FINAL, "failed") for trial in truth.refresh()):
                break
            for _ in range(20):
                last.step(Grant())
            self.world.advance(20.0)
        self.the_rules_hold()
        for trial in truth.refresh():
            assert trial.state in (*FINAL, "failed"), f"trial {trial.number} is {trial.state} for ever"
            assert dict(trial.rungs) == {epoch: value_of(trial.number, epoch) for epoch in trial.rungs}
            if trial.state == "finished":
                assert trial.value == value_of(trial.number, EPOCHS)


TrialFolders.TestCase.settings = settings(
    max_examples=80,
    stateful_step_count=20,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestTrialFolders = TrialFolders.TestCase
