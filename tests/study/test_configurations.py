"""Configurations: runs that differ by their seed only, under a label that tells them apart."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.scored import make_run
from vidcls.errors import UserError
from vidcls.run.folder import Run
from vidcls.spec.fingerprint import fingerprint
from vidcls.study.configurations import configuration_key, configurations_of

JOINS = ("gru", "attention")


def made(folder: Path, key: str, *, name: str = "x", seed: int = 0, **sections: object) -> Run:
    return make_run(folder, name=name, key=key * 12, seed=seed, **sections)


def labels(*runs: Run) -> list[str]:
    return [configuration.label for configuration in configurations_of(runs)]


def test_runs_of_other_seeds_are_repeats(tmp_path: Path) -> None:
    first, other, second = (
        made(tmp_path, "a", seed=3),
        made(tmp_path, "b", name="y"),
        made(tmp_path, "a", name="z", seed=1),  # names are not part of a configuration
    )
    a, b = configurations_of([first, other, second, Run(first.folder / ".." / first.folder.name)])
    assert (a.key, a.label, a.runs, a.seeds) == ("a" * 12, "x", (first, second), (3, 1))
    assert (b.key, b.label, b.runs, b.seeds) == ("b" * 12, "y", (other,), (0,))
    assert configurations_of([]) == ()


def test_the_same_seed_twice_is_one_result_and_refused(tmp_path: Path) -> None:
    first = made(tmp_path, "a")
    copy = Run(tmp_path / "runs" / "copy" / first.folder.name)
    shutil.copytree(first.folder, copy.folder)
    with pytest.raises(UserError, match=r"the same configuration with the same seed") as caught:
        configurations_of([first, copy])
    assert caught.value.message.startswith(f"{first.folder} and {copy.folder} are ")


def test_a_label_has_the_settings_that_differ_within_a_name(tmp_path: Path) -> None:
    runs = [
        made(tmp_path, key, model={"kind": "late_fusion", "join": join}, optim={"lr": lr})
        for key, join, lr in (("a", "gru", 0.1), ("b", "attention", 0.1), ("c", "gru", 1 / 3))
    ]
    assert labels(runs[0]) == ["x"]
    assert labels(*runs[:2]) == ["x: model.join=gru", "x: model.join=attention"]
    assert labels(*runs, made(tmp_path, "d", name="y")) == [
        "x: model.join=gru optim.lr=0.1",
        "x: model.join=attention optim.lr=0.1",
        "x: model.join=gru optim.lr=0.3333",
        "y",
    ]


def test_what_follows_from_the_kind_of_model_is_left_out(tmp_path: Path) -> None:
    kinds = [made(tmp_path, "a"), made(tmp_path, "b", model={"kind": "late_fusion", "join": "gru"})]
    assert labels(*kinds) == ["x: model.kind=cnn3d", "x: model.kind=late_fusion"]
    with_join = labels(*kinds, made(tmp_path, "c", model={"kind": "late_fusion", "join": "attention"}))
    assert with_join == [
        "x: model.kind=cnn3d",
        "x: model.kind=late_fusion model.join=gru",
        "x: model.kind=late_fusion model.join=attention",
    ]


def test_other_data_or_code_is_told_apart_too(tmp_path: Path) -> None:
    clean = make_run(
        tmp_path, name="x", key="a" * 12, root=tmp_path / "clean.csv", manifest_hash="0123456789"
    )
    leaky = make_run(
        tmp_path, name="x", key="b" * 12, root=tmp_path / "leaky.csv", manifest_hash="abcdef0123"
    )
    assert labels(clean, leaky) == ["x: data=clean.csv@012345", "x: data=leaky.csv@abcdef"]
    same = [made(tmp_path, "c"), made(tmp_path, "d")]
    assert labels(*same) == [f"x ({'c' * 12})", f"x ({'d' * 12})"]


def test_a_renamed_folder_keeps_its_configuration(tmp_path: Path) -> None:
    run = made(tmp_path, "a")
    assert configuration_key(run) == "a" * 12
    renamed = Run(run.folder.rename(run.folder.with_name("the good one")))
    assert configuration_key(renamed) == fingerprint(renamed.spec(), "abc")
    other = make_run(tmp_path, name="x", key="a" * 12, seed=1)
    spec = renamed.spec()
    true = Run(other.folder.rename(other.folder.with_name(f"{fingerprint(spec, 'abc')}-s1")))
    (found,) = configurations_of([renamed, true])
    assert found.seeds == (0, 1)
