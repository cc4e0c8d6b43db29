from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import OptimizeResult

from vidcls.errors import UserError
from vidcls.leaks.split import group_folds, group_split

# A group: its class, and how many videos it has.
GROUPS = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5)), min_size=3, max_size=16)


def videos_of(groups: list[tuple[int, int]]) -> tuple[list[int], list[str]]:
    labels = [label for label, size in groups for _ in range(size)]
    return labels, [f"g{number}" for number, (_, size) in enumerate(groups) for _ in range(size)]


@settings(max_examples=25)
@given(groups=GROUPS, seed=st.integers(0, 5), data=st.data())
def test_no_group_is_parted_and_order_plays_no_part(
    groups: list[tuple[int, int]], seed: int, data: st.DataObject
) -> None:
    labels, names = videos_of(groups)
    split = group_split(labels, names, sizes={"train": 0.6, "val": 0.2, "test": 0.2}, seed=seed)
    of_group = dict(zip(names, split, strict=True))
    assert [of_group[name] for name in names] == split
    order = data.draw(st.permutations(range(len(labels))))
    again = group_split(
        [labels[index] for index in order],
        [names[index] for index in order],
        sizes={"train": 0.6, "val": 0.2, "test": 0.2},
        seed=seed,
    )
    assert again == [split[index] for index in order]


@settings(max_examples=25)
@given(groups=GROUPS, seed=st.integers(0, 5))
def test_kept_groups_stay(groups: list[tuple[int, int]], seed: int) -> None:
    labels, names = videos_of(groups)
    keep = {"g0": "val", "g1": "train", "not there": "val"}
    split = group_split(labels, names, sizes={"train": 0.7, "val": 0.3}, seed=seed, keep=keep)
    of_group = dict(zip(names, split, strict=True))
    assert of_group["g0"] == "val"
    assert of_group["g1"] == "train"


@settings(max_examples=20)
@given(num_train=st.integers(1, 11), num_classes=st.integers(1, 4), seed=st.integers(0, 5))
def test_classes_are_exact_where_groups_are_single_videos(
    num_train: int, num_classes: int, seed: int
) -> None:
    labels = [label for label in range(num_classes) for _ in range(12)]
    names = [f"v{number}" for number in range(len(labels))]
    sizes = {"train": num_train * num_classes, "val": (12 - num_train) * num_classes}
    split = group_split(labels, names, sizes=sizes, seed=seed)
    counts = Counter(zip(labels, split, strict=True))
    assert set(counts.values()) <= {num_train, 12 - num_train}


def test_another_seed_is_another_draw() -> None:
    labels, names = [0] * 30, [f"v{number}" for number in range(30)]
    splits = {
        tuple(group_split(labels, names, sizes={"train": 0.5, "val": 0.5}, seed=seed)) for seed in (0, 1, 2)
    }
    assert len(splits) == 3


def test_added_videos_move_few_groups() -> None:
    labels = [label for label in range(4) for _ in range(20)]
    names = [f"{label}/{number // 2}" for label in range(4) for number in range(20)]
    before = group_split(labels, names, sizes={"train": 0.8, "val": 0.2}, seed=0)
    new_labels, new_names = [*labels, 0, 1, 2], [*names, "0/new", "1/new", "2/3"]
    after = group_split(new_labels, new_names, sizes={"train": 0.8, "val": 0.2}, seed=0)
    moved = {name for name, old, new in zip(names, before, after, strict=False) if old != new}
    assert len(moved) <= 6


def test_folds_cover_each_class_alike() -> None:
    labels = [label for label in range(3) for _ in range(20)]
    names = [f"{label}/{number // 2}" for label in range(3) for number in range(20)]
    folds = group_folds(labels, names, num_folds=5, seed=0)
    assert set(Counter(zip(labels, folds, strict=True)).values()) == {4}
    assert len(set(zip(names, folds, strict=True))) == len(set(names))


def test_folds_of_many_classes_are_found_and_even() -> None:
    num_groups, num_classes = 10, 30
    labels, names = [], []
    for label in range(num_classes):
        for number in range(num_groups):
            size = 4 + (label * 7 + number * number) % 4
            labels += [label] * size
            names += [f"{label}/{number}"] * size
    folds = group_folds(labels, names, num_folds=5, seed=0)
    assert group_folds(labels, names, num_folds=5, seed=0) == folds
    assert len(set(zip(names, folds, strict=True))) == len(set(names))
    counts = Counter(zip(labels, folds, strict=True))
    for label in range(num_classes):
        share = labels.count(label) / 5
        assert all(abs(counts[label, fold] - share) < 4 for fold in range(5))


def test_every_fold_has_a_group_however_uneven_they_are() -> None:
    names = ["a", "b", "c", "d", *["e"] * 16]
    folds = group_folds([0] * len(names), names, num_folds=5, seed=0)
    assert set(folds) == set(range(5))


def test_a_search_that_finds_nothing_still_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    def give_up(*_: object, **__: object) -> OptimizeResult:
        return OptimizeResult(x=None)

    monkeypatch.setattr("vidcls.leaks.milp.milp", give_up)
    labels = [label for label in range(3) for _ in range(20)]
    names = [f"{label}/{number // 2}" for label in range(3) for number in range(20)]
    split = group_split(labels, names, sizes={"train": 0.8, "val": 0.2}, seed=0, keep={"0/0": "val"})
    assert len(set(zip(names, split, strict=True))) == len(set(names))
    assert split[0] == "val"
    assert Counter(zip(labels, split, strict=True))[1, "val"] == 4
    assert set(group_folds(labels, names, num_folds=5, seed=0)) == set(range(5))


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ({"train": 0.8, "val": 0.3}, "add up to 1.1"),
        ({"train": 3, "val": 3}, "3 \\+ 3 = 6, but there are 4 videos"),
        ({"train": 1.0, "val": 0.0}, "above 0"),
    ],
)
def test_sizes_that_do_not_add_up_are_refused(sizes: dict, says: str) -> None:
    with pytest.raises(UserError, match=says):
        group_split([0, 0, 1, 1], ["a", "b", "c", "d"], sizes=sizes, seed=0)


def test_too_few_groups_are_refused() -> None:
    with pytest.raises(UserError, match="1 groups cannot be divided into 2 splits"):
        group_split([0, 0], ["a", "a"], sizes={"train": 0.5, "val": 0.5}, seed=0)


def test_the_real_videos_are_split_within_one_video_a_class(shared: Path) -> None:
    with (shared / "ufc10" / "clean_split.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    classes = sorted({row["label"] for row in rows})
    labels = [classes.index(row["label"]) for row in rows]
    groups = [row["group"] for row in rows]
    split = group_split(labels, groups, sizes={"train": 320, "val": 80}, seed=0)
    splits_of = defaultdict(set)
    for group, name in zip(groups, split, strict=True):
        splits_of[group].add(name)
    assert {len(names) for names in splits_of.values()} == {1}
    counts = Counter(zip(labels, split, strict=True))
    for label in range(len(classes)):
        assert abs(counts[label, "train"] - 0.8 * labels.count(label)) <= 1
