"""Coverage, false alarms, races and power on simulated studies; `benchmarks/verdicts.py` is the full form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.simulated_studies import Design, simulate
from benchmarks.verdicts import Cell, measure, run_races

NUM_STUDIES = 500
CELLS = [
    Design("logistic", 0.03, 0.0, 2, 45),
    Design("linear", 0.0, 0.0, 3, 45),
    Design("logistic", 0.05, 0.06, 3, 45),
    Design("linear", 0.03, 0.06, 5, 45),
    Design("logistic", 0.0, 0.06, 5, 45),
]


def error(share: float, number: int, *, errors: float = 3) -> float:
    """So many standard errors of a share of that many studies."""
    return errors * math.sqrt(share * (1 - share) / number)


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    return [measure(design, NUM_STUDIES, number) for number, design in enumerate(CELLS)]


def test_intervals_cover_the_truth(cells: list[Cell]) -> None:
    for cell in cells:
        for covered in (cell.mean, cell.difference):
            assert 0.93 - error(0.93, NUM_STUDIES) < covered < 0.97 + error(0.97, NUM_STUDIES), cell
    covered = np.mean([[cell.mean, cell.difference] for cell in cells], axis=0)
    assert (np.abs(covered - 0.955) < 0.02).all(), covered


def test_false_alarms_are_rare_after_correction(cells: list[Cell]) -> None:
    for cell in cells:
        assert cell.false_alarms <= 0.05 + error(0.05, NUM_STUDIES), cell


def test_power_predicts_how_often_a_difference_is_found(cells: list[Cell]) -> None:
    for cell in cells:
        assert abs(cell.power - cell.found) < 0.03 + error(cell.power, NUM_STUDIES, errors=2), cell


def test_naive_intervals_cover_less(cells: list[Cell]) -> None:
    for cell in cells:
        assert cell.naive["videos"] < 0.93, cell
    assert min(cell.naive["groups"] for cell in cells) < 0.85
    assert min(cell.naive["seeds"] for cell in cells) < 0.85


@pytest.mark.parametrize(
    "design",
    [Design("logistic", 0.03, 0.0, 10, 45, 2), Design("linear", 0.05, 0.0, 10, 45, 4)],
    ids=["two", "four"],
)
def test_a_race_holds_its_rate_over_its_looks(design: Design) -> None:
    num = 300
    found = run_races(design, num, 1)
    assert found.false_alarms <= 0.05 + error(0.05, num), found
    assert found.at_each_look > 0.08, "looking again and again at 5 % is what a race must not do"
    assert found.num_seeds > 9


def test_a_race_finds_the_best_and_spends_less_on_the_others() -> None:
    found = run_races(Design("logistic", 0.0, 0.12, 10, 45, 2), 100, 1)
    assert found.won > 0.7
    assert found.num_seeds < 9


@pytest.mark.parametrize("link", ["logistic", "linear"])
def test_the_truth_of_simulated_studies_is_known(link: str) -> None:
    design = Design(link, 0.05, 0.06, 4, 45)  # type: ignore[arg-type]
    studies = simulate(design, num_studies=400, rng=np.random.default_rng(0))
    by_study = studies.correct.mean(axis=(2, 3))
    errors = by_study.std(axis=0) / math.sqrt(len(by_study))
    assert (np.abs(by_study.mean(axis=0) - design.truths) < 4 * errors).all()
    assert studies.checkpoints.std(axis=(0, 2)) == pytest.approx(0.05, rel=0.06)
    assert studies.checkpoints.mean(axis=(0, 2)) == pytest.approx(design.truths, abs=0.006)
    sizes = studies.group_sums(45)[1]
    assert sizes.min() == 1
    assert sizes.max() > 8
