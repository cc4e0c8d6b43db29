"""Verdicts are sentences that say what was found, how sure it is, and what it stands on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from vidcls.statistics.estimate import Estimate
from vidcls.study.compare.results import Comparison, Contender, Difference, Ground
from vidcls.study.compare.verdict import verdict_of

GROUND: dict[str, Any] = {
    "split": "val",
    "checkpoint": "best",
    "num_videos": 120,
    "num_groups": 45,
    "unit": "groups",
    "num_ungrouped": 0,
    "leak_states": ("clean",),
}


def contender(
    label: str, top1: float = 0.8, *, num_seeds: int = 5, flattered: tuple[str, ...] = ()
) -> Contender:
    return Contender(
        label=label,
        key=label,
        seeds=tuple(range(num_seeds)),
        runs=(),
        leak_state="clean",
        flattered=flattered,
        scores={"top1": Estimate(top1, 0.02, 30)},
        best_rank=1,
        worst_rank=2,
    )


def difference(
    value: float, half_width: float, *, first: str = "A", second: str = "B", **facts: Any
) -> Difference:
    # With so many degrees of freedom, the interval is 1.96 standard errors wide.
    estimate = Estimate(value, half_width / 1.959964, 1e9)
    return Difference(first, second, estimate, **{"p_holm": estimate.p_value, **facts})


def verdict(
    *differences: Difference,
    contenders: Sequence[Contender] = (),
    outlook: str | None = None,
    ground: dict[str, Any] | None = None,
    **facts: Any,
) -> str:
    return verdict_of(
        Comparison(
            verdict="",
            remarks=(),
            metric="top1",
            margin=differences[0].margin,
            ground=Ground(**GROUND | (ground or {})),
            configurations=tuple(contenders) or (contender("A"), contender("B")),
            differences=differences,
            checkpoint_pairs=(),
            class_pair=("A", "B"),
            classes=(),
            **{"looks": {}, "unscored": {}, "num_comparisons": 1, **facts},
        ),
        outlook=outlook,
    )


STANDS_ON = "5 seeds each, 120 val videos in 45 groups, clean data"


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (difference(0.061, 0.041), "B is better than A by 6.1 points of top-1 (95 % interval 2.0 to 10.2)"),
        (difference(-0.061, 0.041), "A is better than B by 6.1 points of top-1 (95 % interval 2.0 to 10.2)"),
        (difference(0.008, 0.029), "tie: B minus A is 0.8 points of top-1 (95 % interval -2.1 to 3.7)"),
        (difference(-0.00004, 0.02), "tie: B minus A is 0.0 points of top-1 (95 % interval -2.0 to 2.0)"),
        (
            difference(0.004, 0.016, margin=0.03),
            "A and B are equivalent within 3 points of top-1: B minus A is 0.4 points (95 % interval -1.2 to 2.0)",
        ),
        (
            difference(0.01, 0.005, margin=0.03),
            "A and B are equivalent within 3 points of top-1: B minus A is 1.0 points (95 % interval 0.5 to 1.5),"
            " a difference that is clear but small",
        ),
        (
            difference(0.061, 0.041, margin=0.03),
            "B is better than A by 6.1 points of top-1 (95 % interval 2.0 to 10.2)",
        ),
    ],
)
def test_what_is_known_is_said_at_once(found: Difference, sentence: str) -> None:
    assert verdict(found, outlook="9 seeds each would tell 5 points apart") == f"{sentence}, {STANDS_ON}"


@pytest.mark.parametrize("margin", [None, 0.03])
def test_too_little_evidence_names_what_would_be_enough(margin: float | None) -> None:
    said = verdict(difference(0.02, 0.07, margin=margin), outlook="9 seeds each would tell 5 points apart")
    assert said == (
        "too little evidence: B minus A is 2.0 points of top-1 (95 % interval -5.0 to 9.0), "
        f"{STANDS_ON}; 9 seeds each would tell 5 points apart"
    )


def test_a_difference_that_the_correction_takes_away_is_no_tie() -> None:
    said = verdict(difference(0.03, 0.015, p_holm=0.21))
    assert said.startswith("too little evidence: B minus A is 3.0 points")
    assert "p = 0.21 after the correction for all comparisons" in said


def test_of_many_the_best_is_set_apart_from_those_it_ties_with() -> None:
    contenders = [
        contender(label, top1) for label, top1 in (("X", 0.821), ("Y", 0.81), ("Z", 0.7), ("W", 0.6))
    ]
    found = [
        difference(0.011, 0.03, first="Y", second="X"),
        difference(0.121, 0.05, first="Z", second="X"),
        difference(0.221, 0.3, first="W", second="X"),
        difference(0.11, 0.05, first="Z", second="Y"),
    ]
    assert verdict(*found, contenders=contenders) == (
        "X is the highest of 4 (82.1 % top-1): better than Z (by 12.1 points, 7.1 to 17.1); tie with Y (by 1.1 "
        f"points, -1.9 to 4.1); too little evidence against W (by 22.1 points, -7.9 to 52.1), {STANDS_ON}"
    )
    assert verdict(found[1], found[1], contenders=contenders[:3]).startswith(
        "X is the best of 3 (82.1 % top-1): "
    )
    none = verdict(found[0], contenders=contenders[:3])
    assert none.startswith(
        "no clear winner among 3: X is the highest (82.1 % top-1); tie with Y (by 1.1 points, "
    )


def test_many_others_are_counted() -> None:
    contenders = [contender(f"c{number}") for number in range(9)]
    found = [difference(number / 10, 0.01, first=f"c{number}", second="c0") for number in range(1, 9)]
    said = "better than 8 others (by 10.0 to 80.0 points, intervals within 9.0 to 81.0)"
    assert said in verdict(*found, contenders=contenders)


@pytest.mark.parametrize(
    ("nums", "words"),
    [
        ((1, 1), "one seed each, so this speaks for these checkpoints only"),
        ((1, 5), "1 and 5 seeds, so of A this speaks for one checkpoint only"),
        ((3, 5), "3 and 5 seeds"),
    ],
)
def test_one_seed_speaks_for_its_checkpoint_only(nums: tuple[int, int], words: str) -> None:
    pair = [contender(label, num_seeds=num) for label, num in zip("AB", nums, strict=True)]
    assert f", {words}, 120 val videos" in verdict(difference(0.061, 0.041), contenders=pair)


@pytest.mark.parametrize(
    ("states", "words"),
    [
        (("leaky 92 %",), "leaky data (leaky 92 %)"),
        (("unknown",), "data that was not audited for leaks"),
        (("clean", "unknown"), "clean data and data that was not audited for leaks"),
    ],
)
def test_the_leak_state_ends_the_sentence(states: tuple[str, ...], words: str) -> None:
    assert verdict(difference(0.06, 0.04), ground={"leak_states": states}).endswith(f", {words}")


def test_what_was_chosen_on_these_videos_is_named() -> None:
    what = ("best epoch chosen on these videos",)
    both = [contender("A", flattered=what), contender("B", flattered=what)]
    assert verdict(difference(0.06, 0.04), contenders=both).endswith(f", flattered: {what[0]}")
    one = [contender("A", flattered=what), contender("B")]
    assert verdict(difference(0.06, 0.04), contenders=one).endswith(f", flattered: {what[0]} (of A)")


def test_unknown_groups_and_looks_at_test_are_named() -> None:
    said = verdict(
        difference(0.06, 0.04),
        ground={
            "unit": "videos",
            "num_groups": 120,
            "num_ungrouped": 120,
            "split": "test",
            "checkpoint": "last",
        },
        looks={"num_openings": 7, "num_configurations": 4},
    )
    for words in (
        "120 test videos whose groups are not known (each counts as its own)",
        "last epoch",
        "test split opened 7 times for 4 configurations",
    ):
        assert words in said


@pytest.mark.parametrize(
    ("num", "words"),
    [(1, "one more video could not be scored"), (2, "2 more videos could not be scored")],
)
def test_videos_that_could_not_be_scored_are_counted(num: int, words: str) -> None:
    said = verdict(difference(0.06, 0.04), unscored={f"v{number}.avi": "truncated" for number in range(num)})
    assert f", 120 val videos in 45 groups, {words}, clean data" in said


def test_the_number_of_comparisons_is_part_of_the_verdict() -> None:
    said = verdict(difference(0.03, 0.015, p_holm=0.21), num_comparisons=6)
    assert said.endswith(", p-values corrected for 6 comparisons")
    assert "corrected for" not in verdict(difference(0.03, 0.015))
