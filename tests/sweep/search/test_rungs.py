"""The rungs that a sweep file asks for, and whose turn it is on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sweep.search.trials import trial
from vidcls.sweep.config.file import SweepFile, load_sweep
from vidcls.sweep.search.rungs import Rungs


def sweep_of(tmp_path: Path, **keys: Any) -> SweepFile:
    content = {
        "method": "random",
        "parameters": {"optim.lr": {"min": 0.001, "max": 0.1}},
        "command": ["vidcls", "train", "spec.yaml", "${args}"],
        "metric": {"name": "val/loss", "goal": "minimize"},
        **keys,
    }
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_sweep(path)


@pytest.mark.parametrize(
    ("section", "first", "eta"),
    [
        (None, 1, 3),
        ({"min_iter": 2}, 2, 3),
        ({"min_iter": 1, "eta": 4}, 1, 4),
        ({"min_iter": 5, "eta": 2.6}, 5, 3),
        ({"min_iter": 5, "eta": 1.2}, 5, 2),
        ({"max_iter": 27, "s": 2}, 1, 3),
    ],
)
def test_a_file_sets_the_first_rung_and_the_ratio(
    tmp_path: Path, section: dict[str, Any] | None, first: int, eta: int
) -> None:
    keys = {} if section is None else {"early_terminate": {"type": "hyperband", **section}}
    assert Rungs.of(sweep_of(tmp_path, **keys), num_epochs=20) == Rungs(first, eta, 20, "minimize")


def test_rungs_follow_the_goal_of_the_file(tmp_path: Path) -> None:
    goal = {"metric": {"name": "val/top1", "goal": "maximize"}}
    assert Rungs.of(sweep_of(tmp_path, **goal), num_epochs=4).goal == "maximize"


def test_a_trial_pauses_up_to_its_own_last_epoch() -> None:
    rungs = Rungs(2, 2, 7, "minimize")
    assert rungs.of_point({"optim.lr": 0.1}) == [2, 4, 7]
    assert rungs.of_point({"train.epochs": 20}) == [2, 4, 8, 16, 20]
    assert rungs.of_point({"train.epochs": 2.0}) == [2]
    # Shorter than the first rung: it never pauses.
    assert rungs.of_point({"train.epochs": 1}) == [1]


def test_the_best_that_pauses_goes_on_to_its_next_rung() -> None:
    rungs = Rungs(1, 2, 7, "minimize")
    trials = [
        trial(0, "paused", until_epoch=1, rungs={1: 0.75}),
        trial(1, "paused", until_epoch=1, rungs={1: 0.25}),
        trial(2, "paused", until_epoch=1, rungs={1: 0.5}),
    ]
    assert rungs.next_promotion([]) is None
    assert rungs.next_promotion(trials[:1]) is None
    assert rungs.next_promotion(trials) == (1, 2)
    assert Rungs(1, 2, 7, "maximize").next_promotion(trials) == (0, 2)
    assert Rungs(1, 3, 7, "minimize").next_promotion(trials) == (1, 3)
    assert Rungs(1, 4, 7, "minimize").next_promotion(trials) is None
    # Its last epoch follows where no rung does; the epochs are those of its own point.
    trials[1] = trial(1, "paused", until_epoch=1, rungs={1: 0.25}, point={"train.epochs": 5})
    assert Rungs(1, 6, 7, "minimize").next_promotion([*trials, *map(trial, range(3, 6))]) is None
    assert Rungs(1, 3, 7, "minimize").next_promotion(trials) == (1, 3)
    assert rungs.next_promotion([trials[0], trial(1, "paused", until_epoch=4, rungs={4: 0.5}), trials[1]])


def test_trials_that_have_left_a_rung_count_there_but_are_not_promoted_again() -> None:
    rungs = Rungs(1, 2, 4, "minimize")
    left = [
        trial(0, "running", until_epoch=2, rungs={1: 0.125}),
        trial(1, "failed", until_epoch=1, rungs={1: 0.25}),
        trial(2, "paused", until_epoch=2, rungs={1: 0.375, 2: 0.5}),
        trial(3, "waiting", until_epoch=1, rungs={1: 0.5}),
    ]
    behind = [trial(n, "paused", until_epoch=1, rungs={1: n / 4}) for n in range(4, 9)]
    assert rungs.next_promotion([*left, *behind[:3]]) is None
    # Five of ten may leave: four have.
    assert rungs.next_promotion([*left, *behind, trial(9, "paused", until_epoch=1, rungs={1: 9.0})]) == (4, 2)
    # The second rung has one of one; with a worse one beside it, the better goes on, from the top rung first.
    second = trial(10, "paused", until_epoch=2, rungs={1: 0.0, 2: 0.75})
    assert rungs.next_promotion([*left, *behind, second]) == (2, 4)
