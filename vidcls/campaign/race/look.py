"""Looks of a race: compares the contenders once all have the seeds, and decides which of them go on.

A look is a pure function of stored logits, so it does not matter which process takes it: a worker that finds
no free trial, or the command that shows the race. It is published once, by an exclusive link. The contenders
are compared on the val videos after the last epoch; the best epoch was chosen on these videos, which would
make each result too good.

A contender with a failed training is left out of a look. If the user asks for a retry and its trials finish
before the next look, that look lets it go on; it gets the seeds that it has missed, and is compared again at
the look after that one. The last look lets nobody return.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from vidcls.errors import UserError, VidclsError
from vidcls.run.folder import Run
from vidcls.statistics.corrections import holm
from vidcls.statistics.crossed_effects import CrossedEffects
from vidcls.statistics.looks import beaten, looks_up_to
from vidcls.statistics.scores import Answers, top1
from vidcls.study.evidence import load_evidence
from vidcls.study.intervals import plain_difference, plain_share
from vidcls.sweep.search.build import race_of
from vidcls.sweep.search.race import RaceSearcher
from vidcls.sweep.storage.folder import CONTENDER, SweepFolder
from vidcls.sweep.storage.trials import Trial

_ENDED = ("finished", "stopped", "failed")


def take_looks(folder: SweepFolder) -> bool:
    """Take the looks of a race for which all trials have ended.

    Returns:
        Whether there is a new look, taken by this process or by another one: then there may be new trials.

    Raises:
        UserError: If the stored logits cannot be compared.
        VidclsError: If a file is damaged.
    """
    race = race_of(folder)
    is_new = False
    while race is not None and not race.is_over:
        trials = folder.trials().refresh()
        if len(trials) < len(race.known()) or any(trial.state not in _ENDED for trial in trials):
            break
        failed = failed_trials(race, trials)
        left = [name for name in race.going_on if name not in failed]
        if len(left) < 2:
            break  # a repeated trial may still succeed
        content = _look(folder, race, trials, names=left)
        content["failed"] = {name: _why(trial) for name, trial in failed.items()}
        if content["number"] < len(race.looks):  # after the last look nobody is trained any more
            content["going_on"] += returning(race, trials)
        race.publish(len(race.published()) + 1, content)
        _remove_weights(folder, race, trials)
        is_new = True
    return is_new


def failed_trials(race: RaceSearcher, trials: Sequence[Trial]) -> dict[str, Trial]:
    """First failed trial of each contender that is still in the race and has one."""
    failed = [trial for trial in trials if trial.state in ("failed", "stopped")]
    found: dict[str, Trial] = {}
    for trial in failed:
        if trial.point.get(CONTENDER) in race.going_on:
            found.setdefault(trial.point[CONTENDER], trial)
    return found


def returning(race: RaceSearcher, trials: Sequence[Trial]) -> list[str]:
    """Contenders that are out because a training failed, and whose trials have all finished since."""
    out = [name for name in out_by_failure(race.published()) if name not in race.going_on]
    own = {name: {t.state for t in trials if t.point.get(CONTENDER) == name} for name in out}
    return [name for name in out if own[name] == {"finished"}]


def out_by_failure(looks: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Contenders that the looks have left out because a training failed, with the reason."""
    out: dict[str, str] = {}
    for look in looks:
        out |= look["failed"]
        out = {name: why for name, why in out.items() if name not in look["going_on"]}
    return out


def _why(trial: Trial) -> str:
    message = str((trial.end or {}).get("message", "")).splitlines()
    return f"seed {trial.seed}: {message[0] if message else 'its workers died'}"


def runs_of(folder: SweepFolder, trials: Sequence[Trial], name: str) -> list[Run]:
    """Finished runs of a contender, by seed."""
    own = [trial for trial in trials if trial.point.get(CONTENDER) == name and trial.state == "finished"]
    found = (folder.run_of(trial) for trial in sorted(own, key=lambda trial: trial.seed))
    return [run for run in found if run is not None]


def _look(
    folder: SweepFolder, race: RaceSearcher, trials: Sequence[Trial], *, names: Sequence[str]
) -> dict[str, Any]:
    """Content of the next look: what it compared, how, and which contenders go on."""
    number = len(race.published())
    look = looks_up_to(race.looks[-1])[number]
    # A look that was removed is taken again: there may be runs of later rounds.
    runs = {name: runs_of(folder, trials, name)[: look.num_seeds] for name in names}
    for name, own in runs.items():
        if len(own) != look.num_seeds:
            raise VidclsError(f"{folder.path}: {name} has {len(own)} runs, expected {look.num_seeds}")
    evidence = load_evidence([run for own in runs.values() for run in own], "val", checkpoint="last")
    if evidence.num_groups < 2:
        raise UserError(
            f"{folder.path}: all val videos are of one group, so nothing can be said about other videos",
            hint="train on data with a val split of 10 groups or more",
        )
    member = [k for k, own in enumerate(runs.values()) for _ in own]
    answers = Answers.of(evidence.logits, evidence.labels)
    effects = CrossedEffects.of(top1(answers, evidence.groups), member)
    losers = beaten(effects, contenders=range(len(names)), alpha=look.alpha)
    return {
        "number": number + 1,
        "num_looks": len(race.looks),
        "num_seeds": look.num_seeds,
        "alpha": look.alpha,
        "going_on": [name for k, name in enumerate(names) if k not in losers],
        "beaten": {names[loser]: names[winner] for loser, winner in losers.items()},
        "contenders": [
            {"name": name, "value": mean.value, **plain_share(mean)}
            for name, mean in zip(names, map(effects.mean, range(len(names))), strict=True)
        ],
        "pairs": _pairs(effects, names),
        "split": evidence.split,
        "checkpoint": evidence.checkpoint,
        "num_videos": len(evidence.ids),
        "num_groups": evidence.num_groups,
        "unit": evidence.unit,
        "leak_state": ", ".join(dict.fromkeys(run.leak_state for run in evidence.runs)),
    }  # fmt: skip


def _pairs(effects: CrossedEffects, names: Sequence[str]) -> list[dict[str, Any]]:
    pairs = list(combinations(range(len(names)), 2))
    found = [effects.difference(first, second) for first, second in pairs]
    corrected = holm([each.p_value for each in found])
    return [
        {
            "first": names[first],
            "second": names[second],
            "value": each.value,
            **plain_difference(each),
            "p_value": each.p_value,
            "p_value_holm": p_value,
        }
        for (first, second), each, p_value in zip(pairs, found, corrected, strict=True)
    ]


def _remove_weights(folder: SweepFolder, race: RaceSearcher, trials: Sequence[Trial]) -> None:
    """Remove the weights of contenders that are out for good: nobody asks for them, and the logits stay."""
    out = set(race.contenders) - set(race.going_on)
    if not race.is_over:
        out -= out_by_failure(race.published()).keys()
    for name in out:
        for run in runs_of(folder, trials, name):
            run.remove_checkpoints(why=f"{name} is out of the race {folder.path.name}")
