"""Races of contenders with known accuracy: who drops out, when it ends, and what the verdict says."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.support.races import FAILING, frozen, planned, run_race, scripted_seed, specs
from tests.support.sweeps import work
from vidcls.campaign.race.look import take_looks
from vidcls.campaign.race.standing import Standing, standing_of
from vidcls.cli import app
from vidcls.errors import ExitCode, UserError
from vidcls.statistics.looks import TOTAL_ALPHA
from vidcls.sweep import actions
from vidcls.sweep.config.file import load_sweep
from vidcls.sweep.launch import freeze
from vidcls.sweep.search.build import race_of
from vidcls.sweep.storage.folder import SweepFolder

pytestmark = pytest.mark.long


def said(*args: object) -> Any:
    """What a command prints as JSON."""
    done = CliRunner().invoke(app, [*map(str, args), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def points(folder: SweepFolder) -> list[tuple[str, int]]:
    return [(trial.point["spec"], trial.seed) for trial in folder.trials().refresh()]


@pytest.fixture(scope="module")
def race(tmp_path_factory: pytest.TempPathFactory) -> SweepFolder:
    """A finished race of two that are alike and one that is far worse; a test must not change it."""
    files = specs(tmp_path_factory.mktemp("race"), {"a": 0.8, "b": 0.801, "c": 0.3})
    folder = frozen(files)
    assert run_race(folder).exit_code == ExitCode.DONE
    return folder


def test_only_contenders_get_more_seeds(race: SweepFolder) -> None:
    first = [(name, seed) for seed in (0, 1) for name in "abc"]
    assert points(race) == [*first, ("a", 2), ("b", 2)]
    searcher = race_of(race)
    assert searcher is not None
    looks = searcher.published()
    assert [look["going_on"] for look in looks] == [["a", "b"], ["a", "b"]]
    assert looks[0]["beaten"].keys() == {"c"}
    assert [look["num_seeds"] for look in looks] == [2, 3]
    assert sum(look["alpha"] for look in looks) == pytest.approx(TOTAL_ALPHA)
    assert not actions.has_work(race)


def test_weights_stay_with_those_in_the_race(race: SweepFolder) -> None:
    kept = {file.parents[2].name for file in race.path.rglob("*.pt")}
    assert kept == {"exp-a", "exp-b"}
    assert len(list(race.path.rglob("val-last.npz"))) == 8, "logits stay for all"


def test_the_verdict_and_every_figure_are_those_of_the_looks(race: SweepFolder) -> None:
    found = said("race", race.path)
    assert found["is_over"]
    assert found["verdict"].startswith("too little evidence: a and b are not told apart: b minus a is ")
    assert "3 seeds each, 60 val videos in 20 groups, data that was not audited" in found["verdict"]
    assert "look 2 of at most 2, error rate 5 % over all looks and pairs" in found["verdict"]
    by_name = {row["name"]: row for row in found["contenders"]}
    assert [by_name[name]["num_seeds"] for name in "abc"] == [3, 3, 2]
    (pair,) = [p for p in found["looks"][0]["pairs"] if {p["first"], p["second"]} == {"b", "c"}]
    assert by_name["c"]["state"].startswith("out after 2 seeds: worse than ")
    assert pair["value"] == pytest.approx(by_name["c"]["top1"] - found["looks"][0]["contenders"][1]["value"])
    table = CliRunner().invoke(app, ["race", str(race.path)], env={"COLUMNS": "200"}).output
    assert found["verdict"] in table
    for row in found["contenders"]:
        assert f"{row['top1']:.1%}" in table


def test_a_look_is_a_pure_function_of_the_logits(race: SweepFolder, tmp_path: Path) -> None:
    copy = SweepFolder(tmp_path / race.path.name)
    shutil.copytree(race.path, copy.path)
    shutil.rmtree(copy.path / "looks")
    for file in copy.path.glob("trials/0000[67]/*"):  # the trials of the second round
        file.unlink()
    before, after = race_of(race), race_of(copy)
    assert before is not None
    assert after is not None
    assert take_looks(copy), "the first look is due again"
    assert after.published() == before.published()[:1]
    assert not take_looks(copy), "the second one needs seeds"
    assert run_race(copy).exit_code == ExitCode.DONE
    assert after.published() == before.published()


@pytest.mark.parametrize("text", ["{", '{"going_on": ["a"]}'])
def test_a_damaged_look_is_removed_and_taken_again(race: SweepFolder, tmp_path: Path, text: str) -> None:
    copy = SweepFolder(tmp_path / race.path.name)
    shutil.copytree(race.path, copy.path)
    look = copy.path / "looks" / "1.json"
    look.write_text(text)
    told = CliRunner().invoke(app, ["race", str(copy.path)])
    assert (told.exit_code, f"rm {look}" in told.output) == (1, True), told.output
    look.unlink()
    assert take_looks(copy), "though seeds of the next round are trained"
    before, after = race_of(race), race_of(copy)
    assert before is not None
    assert after is not None
    assert after.published() == before.published()


@pytest.mark.parametrize("option", ["--max-seeds=20", "--workers=3", "--gpu-hours=1", "--dry-run"])
def test_an_option_without_effect_on_a_launched_race_is_refused(race: SweepFolder, option: str) -> None:
    refused = CliRunner().invoke(app, ["race", str(race.path), option])
    assert refused.exit_code == 2
    assert f"{option.split('=')[0]}: has no effect on a race that was launched before" in refused.output


def test_the_named_extension_is_enough_for_a_race_whose_time_is_up(tmp_path: Path) -> None:
    plan = planned(specs(tmp_path, {"a": 0.9, "b": 0.2}))
    late = plan.launch.options.model_copy(update={"until": time.time() - 9000})
    freeze(replace(plan.launch, options=late))
    folder = plan.launch.folder
    (note,) = [each for each in standing_of(folder).notes if "the budget is used up" in each]
    assert note.endswith(f"vidcls sweep extend 0 {folder.path} --hours 4")
    folder.control().say("extend", hours=4)
    assert not any("the budget is used up" in each for each in standing_of(folder).notes)


def test_a_run_that_is_being_created_does_not_disturb_who_looks(tmp_path: Path) -> None:
    folder = frozen(specs(tmp_path, {"a": 0.9, "b": 0.2}))
    begun = folder.runs_dir / "exp-a" / "0123456789ab-s0" / "provenance.json"
    begun.parent.mkdir(parents=True)
    begun.write_text(json.dumps({"manifest": {"hash": "abc"}}))  # the spec follows
    assert standing_of(folder).verdict == "no verdict yet: the first look is after 2 seeds each"
    assert said("sweep", "status", folder.path)["leak_state"] == "unknown"


def test_a_clear_verdict_ends_the_race(tmp_path: Path) -> None:
    folder = frozen(specs(tmp_path, {"good": 0.9, "bad": 0.2}), max_seeds=10)
    run_race(folder)
    assert len(points(folder)) == 4, "two seeds each were enough"
    standing = standing_of(folder)
    assert standing.is_over
    assert standing.verdict.startswith("good is better than bad by ")
    assert "look 1 of at most 5" in standing.verdict
    assert any("somewhat too large" in note for note in standing.notes)
    assert standing.contenders[0].state == "best"
    assert run_race(folder).reason.startswith("no trial is left")


def test_a_race_in_which_nothing_varies_shows_no_interval(tmp_path: Path) -> None:
    """Both contenders are always right."""
    folder = frozen(specs(tmp_path, {"a": 9.0, "b": 8.0}), max_seeds=2)
    run_race(folder)
    standing = standing_of(folder)
    agree = "(no interval: all seeds and groups of videos agree, which may be chance)"
    assert f"b minus a is 0.0 points of top-1 {agree}" in standing.verdict
    assert {(one.low, one.high) for one in standing.contenders} == {(None, None)}
    shown = CliRunner().invoke(app, ["race", str(folder.path)]).stdout
    assert shown.count("no interval") >= 3


def test_a_contender_whose_training_fails_is_out_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / FAILING).write_text("0.7")
    folder = frozen(specs(tmp_path, {"a": 0.8, "b": 0.801, "broken": 0.7}), max_seeds=2)
    run_race(folder)
    standing = standing_of(folder)
    assert standing.is_over
    assert standing.contenders[2].state == "out: its training failed: seed 0: the loss is not finite"
    assert standing.verdict.startswith("too little evidence: a and b are not told apart")
    assert "; broken is out without a verdict (training failed), 2 seeds each" in standing.verdict
    status = CliRunner().invoke(app, ["sweep", "status", str(folder.path)])
    assert "2 failed" in status.output
    assert "sweep retry" not in status.output
    with pytest.raises(UserError, match="the race is over"):
        actions.retry(folder, [])


def test_a_contender_whose_training_fails_is_not_counted_among_the_beaten(tmp_path: Path) -> None:
    (tmp_path / FAILING).write_text("0.7")
    folder = frozen(specs(tmp_path, {"good": 0.9, "bad": 0.2, "broken": 0.7}))
    run_race(folder)
    verdict = standing_of(folder).verdict
    assert verdict.startswith("good is better than bad by ")
    assert "; broken is out without a verdict (training failed), 2 seeds each" in verdict


@pytest.mark.parametrize(
    ("accuracy", "so_far", "num_seeds", "verdict"),
    [
        (0.801, "; broken is in the race again, 3 seeds each", [4, 4, 4], ": a, b and broken are not told"),
        (
            0.69,
            ": a is still in the race; broken is in the race again; b is out, ",
            [4, 3, 4],
            ": a and broken",
        ),
    ],
    ids=["others go on", "one other goes on"],
)
def test_a_contender_whose_failed_trainings_succeed_after_a_retry_is_in_the_race_again(
    tmp_path: Path, accuracy: float, so_far: str, num_seeds: list[int], verdict: str
) -> None:
    (tmp_path / FAILING).write_text("0.802")
    folder = frozen(specs(tmp_path, {"a": 0.8, "b": accuracy, "broken": 0.802}), max_seeds=4)
    seen: list[Standing] = []

    def look() -> bool:
        is_new = take_looks(folder)
        if is_new:
            seen.append(standing_of(folder))
        if is_new and len(seen) == 1:
            (tmp_path / FAILING).unlink()
            assert actions.retry(folder, []) == [2, 5]
        return is_new

    work(folder, scripted_seed, when_idle=look)
    assert [one.contenders[2].state.split(":")[0] for one in seen] == ["out", "in the race", "not told apart"]
    assert "retry it before look 2: vidcls sweep retry" in " ".join(seen[0].notes)
    assert so_far in seen[1].verdict
    assert "retry" not in " ".join(seen[1].notes)
    assert verdict in seen[2].verdict
    assert "failed" not in seen[2].verdict
    assert [one.num_seeds for one in seen[2].contenders] == num_seeds
    trained = dict(zip(("a", "b", "broken"), num_seeds, strict=True))
    assert sorted(points(folder)) == [(name, seed) for name in trained for seed in range(trained[name])]
    kept = {file.parents[2].name for file in folder.path.rglob("*.pt")}
    assert kept == {f"exp-{name}" for name in trained if trained[name] == 4}


def test_a_race_with_nobody_left_to_compare_waits_for_a_retry(tmp_path: Path) -> None:
    (tmp_path / FAILING).write_text("0.7")
    folder = frozen(specs(tmp_path, {"a": 0.8, "broken": 0.7}), max_seeds=2)
    run_race(folder)
    standing = standing_of(folder)
    assert not standing.is_over
    assert f"vidcls sweep retry {folder.path}" in " ".join(standing.notes)
    (tmp_path / FAILING).unlink()
    assert actions.retry(folder, []) == [1, 3]
    run_race(folder)
    assert standing_of(folder).is_over


def test_sweep_commands_take_a_race(race: SweepFolder) -> None:
    shown = CliRunner().invoke(app, ["sweep", "status", str(race.path)])
    assert "8 finished" in shown.stdout
    assert "a race: vidcls race" in shown.stdout
    assert "flatters" not in shown.stdout, "a race corrects for its choice"
    best = CliRunner().invoke(app, ["sweep", "best", str(race.path)])
    assert (best.exit_code, f"vidcls race {race.path}" in best.output) == (2, True)
    other = CliRunner().invoke(app, ["race", str(race.path.parent)])
    assert other.exit_code == 0, "the only one below a folder"


def test_the_sweep_file_of_a_race_reads_back(tmp_path: Path) -> None:
    files = specs(tmp_path, {"a": 0.8, "no": 0.5})
    plan = planned(files, max_seeds=4)
    read = load_sweep(frozen(files, max_seeds=4).sweep_file)
    assert (read.space, read.metric, read.name) == (
        plan.launch.sweep.space,
        plan.launch.sweep.metric,
        plan.launch.sweep.name,
    )
    assert plan.launch.options.looks == (2, 3, 4)
    assert plan.launch.num_trials == 8
    assert planned(files, "seed=7").launch.folder != plan.launch.folder, "other seeds are another race"


@pytest.mark.parametrize(
    ("accuracies", "overrides", "words"),
    [
        ({"a": 0.5}, [], "needs two spec files or more"),
        ({"a": 0.5, "b": 0.5}, [], "are the same configuration"),
        ({"a": 0.5, "b": 0.6}, ["optim.lr=0.1"], "are the same configuration"),
        ({"a": 0.5, "b": 0.6}, ["data.join_val=true", "train.stop_after=3"], "is for a final training"),
    ],
)
def test_what_cannot_race_is_refused(
    tmp_path: Path, accuracies: dict[str, float], overrides: list[str], words: str
) -> None:
    with pytest.raises(UserError) as refused:
        planned(specs(tmp_path, accuracies), *overrides)
    assert words in str(refused.value)


def test_mistakes_in_all_specs_are_told_at_once(tmp_path: Path) -> None:
    files = specs(tmp_path, {"a": -1.0, "b": 0.5, "c": -2.0})
    with pytest.raises(UserError) as refused:
        planned(files)
    assert str(files[0]) in str(refused.value)
    assert str(files[2]) in str(refused.value)


def test_contenders_start_from_the_same_seed(tmp_path: Path) -> None:
    files = specs(tmp_path, {"a": 0.5, "b": 0.6})
    files[1].write_text(files[1].read_text() + "seed: 3\n")
    with pytest.raises(UserError, match="would start at 3"):
        planned(files)
    planned(files, "seed=3")
