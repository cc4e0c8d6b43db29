"""Where a race stands: its contenders, its looks, and the verdict in a sentence that can be copied."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vidcls.campaign.race.look import failed_trials, out_by_failure
from vidcls.errors import UserError
from vidcls.study.compare.results import MATTERS
from vidcls.study.compare.verdict import joined, leaks_in_words
from vidcls.study.intervals import few_groups, interval_in_words, points
from vidcls.sweep.search.build import race_of
from vidcls.sweep.search.race import RaceSearcher
from vidcls.sweep.status import Overview, SweepObserver
from vidcls.sweep.storage.folder import CONTENDER, SweepFolder
from vidcls.sweep.storage.trials import Trial

_Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Contender:
    """A contender of a race.

    Attributes:
        name: Name of its experiment.
        num_trained: Number of its seeds that are trained.
        num_seeds: Number of seeds at its last look; 0 before the first look.
        top1: Val top-1 after the last epoch at that look, mean over the seeds; None before the first look.
        low: Lower end of its 95 % interval; None before the first look, and if nothing varied.
        high: Upper end of its 95 % interval; None in the same cases.
        state: `in the race`, `best`, `not told apart`, or why it is out.
        file: Its experiment, as the trials read it.
    """

    name: str
    num_trained: int
    num_seeds: int
    top1: float | None
    low: float | None
    high: float | None
    state: str
    file: str


@dataclass(frozen=True)
class Standing:
    """State of a race at one moment.

    Attributes:
        overview: State of its trials and workers.
        is_over: Whether no further look will be taken.
        verdict: Verdict so far, in a sentence.
        contenders: Contenders in the order in which they were given.
        looks: Content of the looks that were taken.
        num_looks: Number of looks if the race goes on to its last seed.
        notes: What the user should know or do.
    """

    overview: Overview
    is_over: bool
    verdict: str
    contenders: tuple[Contender, ...]
    looks: tuple[_Figures, ...]
    num_looks: int
    notes: tuple[str, ...]

    @property
    def state(self) -> str:
        """State in a word or two: that of its trials, or `over`."""
        return "over" if self.is_over else self.overview.state

    @property
    def num_workers(self) -> int:
        """Number of workers that are not known to have ended."""
        return sum(row.state not in ("dead", "gone") for row in self.overview.workers)


def standing_of(folder: SweepFolder) -> Standing:
    """Read where a race stands.

    Raises:
        UserError: If the folder is that of a sweep, which is not a race.
    """
    race = race_of(folder)
    if race is None:
        raise UserError(f"{folder.path}: a sweep, not a race", hint=f"vidcls sweep status {folder.path}")
    overview = SweepObserver(folder).look()
    looks = race.published()
    trials = overview.trials
    return Standing(
        overview=overview,
        is_over=race.is_over,
        verdict=_verdict(race, looks),
        contenders=tuple(_contender(name, race, folder, trials) for name in race.contenders),
        looks=tuple(looks),
        num_looks=len(race.looks),
        notes=(*_notes(folder, race, overview), *([] if race.is_over else overview.notes)),
    )


def _contender(
    name: str, race: RaceSearcher, folder: SweepFolder, trials: Sequence[Trial]
) -> Contender:  # fmt: skip
    own = [trial for trial in trials if trial.point.get(CONTENDER) == name]
    seen = [
        (look, row) for look in race.published() for row in look["contenders"] if row["name"] == name
    ]  # fmt: skip
    look, row = seen[-1] if seen else ({}, {})
    return Contender(
        name=name,
        num_trained=sum(trial.state == "finished" for trial in own),
        num_seeds=look.get("num_seeds", 0),
        top1=row.get("value"),
        low=row.get("low"),
        high=row.get("high"),
        state=_state_of(name, race),
        file=str(folder.contender_file(name)),
    )


def _state_of(name: str, race: RaceSearcher) -> str:
    looks = race.published()
    if (why := out_by_failure(looks).get(name)) is not None:
        return f"out: its training failed: {why}"
    for look in looks:
        if name in look["beaten"]:
            winner = look["beaten"][name]
            by = _by(look, winner=winner, loser=name)
            return f"out after {look['num_seeds']} seeds: worse than {winner} by {by}"
    if not race.is_over:
        return "in the race"
    return "best" if len(race.going_on) == 1 else "not told apart"


def _verdict(race: RaceSearcher, looks: Sequence[_Figures]) -> str:
    """The verdict first, then all that it stands on."""
    if not looks:
        return f"no verdict yet: the first look is after {race.looks[0]} seeds each"
    last = looks[-1]
    said = _over(race, looks) if race.is_over else _open(race, last)
    rate = (
        f"look {last['number']} of at most {last['num_looks']}, error rate 5 % over all looks and pairs"
    )  # fmt: skip
    unit = f"in {last['num_groups']} groups" if last["unit"] == "groups" else "whose groups are not known"
    videos = f"{last['num_videos']} {last['split']} videos {unit}"
    seeds = f"{last['num_seeds']} seeds each"
    return f"{said}, {seeds}, {videos}, {leaks_in_words([last['leak_state']])}, last epoch; {rate}"


def _over(race: RaceSearcher, looks: Sequence[_Figures]) -> str:
    failed = out_by_failure(looks)
    are = "is" if len(failed) == 1 else "are"
    told = f"; {joined(sorted(failed))} {are} out without a verdict (training failed)" if failed else ""
    if len(race.going_on) > 1:
        return _undecided(looks[-1], race.going_on, is_last=True) + told
    losses = {loser: (look, winner) for look in looks for loser, winner in look["beaten"].items()}
    (best,) = race.going_on
    if len(losses) == 1:
        ((loser, (look, winner)),) = losses.items()
        return f"{winner} is better than {loser} by {_by(look, winner=winner, loser=loser)}{told}"
    won = [
        f"{loser} (by {_by(look, winner=best, loser=loser)}, after {look['num_seeds']} seeds)"
        for loser, (look, winner) in losses.items()
        if winner == best
    ]
    lost = [
        f"{loser} was worse than {winner} (by {_by(look, winner=winner, loser=loser)}, after "
        f"{look['num_seeds']} seeds)"
        for loser, (look, winner) in losses.items()
        if winner != best
    ]
    better = [f"better than {joined(won)}"] if won else []
    return f"{best} is the best of {1 + len(losses)}: {'; '.join([*better, *lost])}{told}"


def _open(race: RaceSearcher, last: _Figures) -> str:
    out = [name for name in race.contenders if name not in race.going_on]
    told = f"; {joined(out)} {'is' if len(out) == 1 else 'are'} out" if out else ""
    compared = [row["name"] for row in last["contenders"] if row["name"] in race.going_on]
    back = [name for name in race.going_on if name not in compared]
    if back:
        told = f"; {joined(back)} {'is' if len(back) == 1 else 'are'} in the race again{told}"
    if len(compared) < 2:
        return f"no verdict yet: {joined(compared)} is still in the race{told}"
    return f"no verdict yet: {_undecided(last, compared, is_last=False)}{told}"


def _undecided(look: _Figures, names: Sequence[str], *, is_last: bool) -> str:
    """The pair with the widest interval stands for all: if it is a tie, all are."""
    pairs = [pair for pair in look["pairs"] if {pair["first"], pair["second"]} <= set(names)]
    widest = max(pairs, key=_farthest)
    is_tie = _farthest(widest) <= MATTERS
    head = "" if not is_last else "tie: " if is_tie else "too little evidence: "
    state = "are not told apart" if is_last else "are still in the race"
    which = "" if len(names) == 2 else "of all pairs, the least is known of this one: "
    return (
        f"{head}{joined(list(names))} {state}: {which}{widest['second']} minus {widest['first']} is "
        f"{points(widest['value'])} points of top-1 ({interval_in_words(widest['low'], widest['high'])})"
    )


def _farthest(pair: _Figures) -> float:
    """Largest size of a difference that its interval holds; the difference itself if there is no interval."""
    if pair["low"] is None or pair["high"] is None:
        return abs(float(pair["value"]))
    return max(-float(pair["low"]), float(pair["high"]))


def _by(look: _Figures, *, winner: str, loser: str) -> str:
    pair = next(pair for pair in look["pairs"] if {pair["first"], pair["second"]} == {winner, loser})
    sign = 1 if pair["second"] == winner else -1
    low, high = pair["low"], pair["high"]
    if sign < 0 and low is not None and high is not None:
        low, high = -high, -low
    return f"{points(sign * pair['value'])} points, {interval_in_words(low, high)}"


def _notes(folder: SweepFolder, race: RaceSearcher, overview: Overview) -> list[str]:
    notes = []
    failed = failed_trials(race, overview.trials)
    if not race.is_over and len(race.going_on) - len(failed) < 2 and failed:
        notes.append(
            f"trainings of {joined(list(failed))} failed, so there is nothing left to compare; vidcls sweep "
            f"status {folder.path} says why; then: vidcls sweep retry {folder.path}"
        )
    failing = {trial.point.get(CONTENDER) for trial in overview.failed}
    out = [name for name in out_by_failure(race.published()) if name in failing]
    next_look = len(race.published()) + 1
    if out and not race.is_over and next_look < len(race.looks):
        notes.append(
            f"out because trainings failed: {joined(out)}; to have this in the race again, retry it before "
            f"look {next_look}: vidcls sweep retry {folder.path}"
        )
    if not race.is_over and (more := _missing_budget(folder, overview)):
        notes.append(f"the budget is used up; to go on: vidcls sweep extend 0 {folder.path} {' '.join(more)}")
    if any(look["beaten"] for look in race.published()):
        notes.append(
            "a race ends when a difference is large, so that difference is somewhat too large on average; "
            "vidcls compare with other seeds is free of this"
        )
    last = race.published()[-1:]
    notes += [few for look in last if (few := few_groups(look["num_groups"], look["unit"])) is not None]
    return notes


def _missing_budget(folder: SweepFolder, overview: Overview) -> list[str]:
    """Options of `vidcls sweep extend` that give a race an hour more of each budget that is used up."""
    options, said = folder.options(), folder.control().current()
    limits = {"--gpu-hours": (options.gpu_hours, overview.gpu_hours - said.extra_gpu_hours)}
    now = time.time() / 3600 - said.extra_hours
    limits["--hours"] = (options.until and options.until / 3600, now)
    used_up = {
        name: used - most for name, (most, used) in limits.items() if most is not None and used >= most
    }
    return [f"{name} {math.ceil(over) + 1}" for name, over in used_up.items()]


def as_json(standing: Standing) -> dict[str, Any]:
    """Standing as JSON for scripts."""
    overview = standing.overview
    return {
        "name": overview.name,
        "folder": str(overview.folder),
        "state": standing.state,
        "is_over": standing.is_over,
        "verdict": standing.verdict,
        "contenders": [asdict(contender) for contender in standing.contenders],
        "looks": [dict(look) for look in standing.looks],
        "num_looks": standing.num_looks,
        "num_trials": overview.num_trials,
        "counts": overview.counts,
        "num_workers": standing.num_workers,
        "gpu_hours": overview.gpu_hours,
        "worker_hours": overview.worker_hours,
        "notes": list(standing.notes),
    }
