"""`vidcls leak`: what a leaking split is worth, on equal sizes and group-disjoint splits."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.support.training import Experiment
from vidcls.campaign.leak import Inflation, SeedPair
from vidcls.campaign.leak_splits import arms_of, leaking_share
from vidcls.choices import Split
from vidcls.cli import app
from vidcls.data.manifest import Manifest, Video
from vidcls.errors import UserError
from vidcls.evaluate.predictions import load_predictions
from vidcls.run.find import find_runs
from vidcls.run.folder import Run
from vidcls.statistics.estimate import Estimate

pytestmark = pytest.mark.long


def manifest(groups: list[list[int]], *, leaks: bool) -> Manifest:
    """Videos of classes with groups of given sizes; val is every third video, or every third group."""
    videos: list[Video] = []
    for label, sizes in enumerate(groups):
        for number, size in enumerate(sizes):
            for clip in range(size):
                split: Split = "val" if (clip if leaks else number) % 3 == 1 else "train"
                name = f"{label}-{number}-{clip}"
                videos.append(Video(name, Path(name), label, split, f"{label}/{number}", name))
    classes = tuple(f"class{label}" for label in range(len(groups)))
    ordered = tuple(sorted(videos, key=lambda video: video.id))
    return Manifest(Path("data"), "csv", classes, ordered, (), val_is_cut=False)


def sizes(arm: Manifest) -> Counter[tuple[int, str]]:
    return Counter((video.label, video.split) for video in arm.videos)


@settings(max_examples=25)
@given(
    groups=st.lists(st.lists(st.integers(2, 6), min_size=3, max_size=7), min_size=2, max_size=4),
    leaks=st.booleans(),
    seed=st.integers(0, 5),
)
def test_both_arms_have_the_same_sizes_and_only_one_leaks(
    groups: list[list[int]], leaks: bool, seed: int
) -> None:
    data = manifest(groups, leaks=leaks)
    try:
        arms = arms_of(data, seed=seed)
    except UserError:
        assume(False)
    assert sizes(arms.leaky) == sizes(arms.clean)
    assert {split for _, split in sizes(arms.clean)} == {"train", "val"}
    assert leaking_share(arms.clean) == 0
    ids = {video.id: video for video in data.videos}
    for arm in (arms.leaky, arms.clean):
        assert all(ids[video.id].label == video.label for video in arm.videos)
        assert len({video.id for video in arm.videos}) == len(arm.videos)
    if leaks:
        assert leaking_share(arms.leaky) > 0
        assert all(ids[video.id].split == video.split for video in arms.leaky.videos)


def test_a_seed_has_a_clean_split_of_its_own() -> None:
    data = manifest([[3] * 8, [3] * 8], leaks=True)
    chosen = {frozenset(v.group for v in arms_of(data, seed=seed).clean.split("val")) for seed in range(4)}
    assert len(chosen) > 1


def test_the_command_trains_pairs_and_goes_on_where_it_was(experiment: Experiment) -> None:
    spec = experiment.spec(train__epochs=1)
    command = ["leak", str(spec), "--seeds", "2", "--json", "train.batch_size=8"]
    out = experiment.folder / "found"
    first = CliRunner().invoke(app, [*command, "--out", str(out)])
    assert first.exit_code == 0, first.output
    found = json.loads(first.stdout)
    assert [pair["seed"] for pair in found["pairs"]] == [0, 1]
    assert -1 <= found["low"] <= found["inflation"] <= found["high"] <= 1
    assert found["is_clear"] == (found["low"] > 0 or found["high"] < 0)
    assert found["interval_covers"] == "other seeds, other splits of both kinds and other groups of videos"
    assert found["held_fixed"] == "the settings"
    assert found["warnings"] == []
    assert min(found["num_groups"].values()) >= 10
    for pair in found["pairs"]:
        for arm, folder in zip(("leaky", "clean"), pair["runs"], strict=True):
            last = load_predictions(Run(Path(folder)).predictions_file("val", "last"))
            assert pair[arm] == pytest.approx(last.metrics().top1), "the best epoch would be flattered"
    assert found["leaky_split"] == "drawn at random", "motion10's own split is clean"
    assert found["leaking_share"] > 0
    assert json.loads((out / "leak.json").read_text()) == found
    assert len((out / "pairs.csv").read_text().splitlines()) == 3
    assert "inflates val top-1 by" in (out / "leak.md").read_text()
    local = ["--cluster", "local", "--dry-run"]
    queued = CliRunner().invoke(app, ["leak", str(spec), "--seeds", "3", "train.batch_size=8", *local])
    assert queued.stdout.count(" -m vidcls train ") == 2, "the first two seeds are there"
    listed = CliRunner().invoke(app, ["runs", "ls", str(experiment.folder / "runs"), "--json"])
    assert json.loads(listed.stdout) == []
    listed = CliRunner().invoke(app, ["runs", "ls", str(experiment.folder / "runs")])
    assert "not shown: 4 runs of studies; --all shows them" in listed.stderr
    runs = find_runs(experiment.folder / "runs")
    assert len(runs) == 4
    stamps = {run.folder: run.metrics_file.stat().st_mtime_ns for run in runs}
    again = CliRunner().invoke(app, command)
    assert json.loads(again.stdout) == found
    shown = CliRunner().invoke(app, [word for word in command if word != "--json"]).stdout
    assert f"95 % interval {100 * found['low']:+.1f} to {100 * found['high']:+.1f}, 2 pairs" in shown
    assert "the interval covers other seeds" in shown
    assert {run.folder: run.metrics_file.stat().st_mtime_ns for run in runs} == stamps, "nothing trained anew"


def test_few_groups_and_what_is_held_fixed_are_named() -> None:
    pairs = tuple(SeedPair(seed, 0.9, 0.7, (Path("a"), Path("b"))) for seed in (0, 1))
    found = Inflation(pairs, 0.5, Estimate(0.2, 0.05, 4), (9, 20), is_own_split=True)
    assert found.warnings() == ["only 9 groups: intervals of fewer than 10 may be too short"]
    assert found.held_fixed == "the settings, and the leaky split, which is the data's own"
    assert found.covered == "other seeds, other group-disjoint splits and other groups of videos"


def test_an_inflation_that_varies_nowhere_has_no_interval_and_is_not_certain(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = tuple(SeedPair(seed, 0.9, 0.7, (Path("a"), Path("b"))) for seed in (0, 1))
    found = Inflation(pairs, 0.5, Estimate(0.2, 0.0, 3), (4, 4), is_own_split=False)
    monkeypatch.setattr("vidcls.campaign.leak.measure_leak", lambda *_, **__: found)
    command = ["leak", str(experiment.spec())]
    shown = CliRunner().invoke(app, command).stdout
    assert (
        "by +20.0 points (no interval: all seeds and groups of videos agree, which may be chance, 2 pairs,"
        " 4 groups): no inflation shown\nan interval would cover other seeds"
    ) in shown
    plain = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert (plain["low"], plain["high"], plain["is_clear"]) == (None, None, False)


def test_a_val_split_of_one_group_is_refused() -> None:
    """Nothing that is seen there says what another group would do."""
    data = manifest([[3, 3, 3]], leaks=False)
    one_group = replace(
        data, videos=tuple(v for v in data.videos if v.split == "train") + data.split("val")[:3]
    )
    with pytest.raises(UserError, match="are of one group"):
        arms_of(one_group, seed=0)


def test_unknown_groups_are_a_message(experiment: Experiment) -> None:
    rows = (experiment.data / "metadata" / "train.csv").read_text().splitlines()[1:]
    table = experiment.folder / "plain.csv"
    lines = ["path,label,split"]
    for number, row in enumerate(rows):
        name, path, action, _ = row.split(",")
        copy = experiment.folder / "videos" / f"{number}.avi"
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes((experiment.data / "videos" / "train" / path).read_bytes())
        lines.append(f"videos/{copy.name},{action},{'val' if number % 2 else 'train'}")
        assert name
    table.write_text("\n".join(lines))
    done = CliRunner().invoke(app, ["leak", str(experiment.spec()), f"data.root={table}"])
    assert done.exit_code == 2
    assert "have no known group" in done.output
    assert "data split" in done.output
