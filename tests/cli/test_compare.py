"""`vidcls compare` as a person and a script use it."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.support.compared import (
    CLEAN,
    GROUPS,
    LABELS,
    LEAKY,
    configuration,
    finished_run,
    logits_with,
    store,
)
from tests.support.scored import UNKNOWN, store_logits
from vidcls.cli import app
from vidcls.evaluate.ledger import ledger_of
from vidcls.statistics.scores import SCORES
from vidcls.study.compare.tables import latex


def run(*args: object) -> Result:
    return CliRunner().invoke(app, ["compare", *map(str, args)], env={"COLUMNS": "300"})


def content_of(*args: object) -> dict[str, Any]:
    result = run(*args, "--json")
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads(result.stdout)
    return content


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "runs"
    configuration(folder, "bad", 0.45)
    configuration(folder, "good", 0.85)
    configuration(folder, "other_good", 0.85, num_seeds=2)
    return folder


@pytest.fixture
def runs(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs of a bad, a good and another good configuration; the working folder holds `runs`."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(made, Path("runs"))


def labels(content: dict[str, Any]) -> set[str]:
    return {one["configuration"] for one in content["configurations"]}


def test_the_verdict_comes_first_and_can_be_copied(runs: Path) -> None:
    result = run(runs / "bad", runs / "good")
    assert result.exit_code == 0, result.output
    verdict = result.stdout.splitlines()[0]
    assert re.fullmatch(
        r"good is better than bad by [\d.]+ points of top-1 \(95 % interval [\d.]+ to [\d.]+\), 3 seeds each, 120 "
        r"val videos in 20 groups, clean data, flattered: best epoch chosen on these videos",
        verdict,
    )
    assert verdict == content_of(runs / "bad", runs / "good")["verdict"]
    assert "- flattered (best epoch chosen on these videos)" in result.stdout
    assert "15 bins" in result.stdout


@pytest.mark.parametrize("named", [("bad", "good"), ("bad", "good", "other_good"), ("bad/*-s0", "good/*-s0")])
def test_every_number_of_every_table_is_that_of_json(
    runs: Path, tmp_path: Path, named: tuple[str, ...]
) -> None:
    args = [*(runs / name for name in named), "--per-class", "--margin", "3"]
    result = run(*args, "--latex", tmp_path / "t.tex", "--csv", tmp_path / "t.csv")
    assert result.exit_code == 0, result.output
    content = content_of(*args)
    wanted = shown_numbers(content)
    assert len(wanted) >= 3
    # The screen: columns are two or more spaces apart.
    lines = [re.split(r"\s{2,}", line.strip()) for line in result.stdout.splitlines()]
    assert_contains(lines, wanted)
    # LaTeX: cells are joined by &, signs that mean something to it are escaped.
    text = (tmp_path / "t.tex").read_text()
    for sign, plain in ((r"\_", "_"), (r"\%", "%"), (r"\textless{}", "<"), ("$-$", "-")):
        text = text.replace(sign, plain)
    assert_contains([line.removesuffix(r" \\").split(" & ") for line in text.splitlines()], wanted)
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == len(wanted)
    assert_csv(list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text()))), content)


def shown_numbers(content: dict[str, Any]) -> list[list[list[str]]]:
    """Rows of each table as they are shown, written from JSON without the code that draws tables."""

    def share(value: float) -> str:
        return f"{100 * value:.1f}"

    def signed(value: float) -> str:
        return f"{100 * value:+.1f}".replace("-0.0", "+0.0")

    def p_value(value: float | None) -> str:
        return "-" if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"

    def rank(one: dict[str, Any]) -> str:
        return "-".join(dict.fromkeys((str(one["best_rank"]), str(one["worst_rank"]))))

    configurations = [
        [
            rank(one),
            one["configuration"],
            str(len(one["seeds"])),
            share(one["top1"]["value"]),
            f"{share(one['top1']['low'])} to {share(one['top1']['high'])}",
            share(one["mean_class_acc"]["value"]),
            share(one["macro_f1"]["value"]),
            f"{one['loss']['value']:.3f}",
            f"{one['ece']['value']:.3f}",
            one["leak_state"],
        ]
        for one in content["configurations"]
    ]
    # One comparison has nothing that it is corrected for.
    p_names = ["p_value", *(["p_holm"] if content["num_comparisons"] > 1 else []), "p_equivalent"]
    differences = [
        [
            one["configuration"],
            one["minus"],
            signed(one["value"]),
            f"{signed(one['low'])} to {signed(one['high'])}",
            *(p_value(one[name]) for name in p_names),
            one["finding"],
        ]
        for one in content["differences"]
    ]
    mcnemar = [
        [
            one["configuration"],
            one["minus"],
            str(one["only_configuration"]),
            str(one["only_minus"]),
            p_value(one["p_value"]),
        ]
        for one in content["mcnemar"]
    ]
    classes = [
        [
            one["class"],
            str(one["num_videos"]),
            str(one["num_groups"]),
            share(one["recall"]),
            share(one["recall_of_minus"]),
            signed(one["value"]),
            f"{signed(one['low'])} to {signed(one['high'])}",
            p_value(one["p_holm"]),
        ]
        for one in content["per_class"]["classes"]
    ]
    return [table for table in (configurations, differences, mcnemar, classes) if table]


def assert_contains(lines: list[list[str]], tables: list[list[list[str]]]) -> None:
    """Each row of the tables is a line, in this order."""
    found = iter(lines)
    for row in (row for table in tables for row in table):
        assert any(line == row for line in found), row


def assert_csv(rows: list[dict[str, str]], content: dict[str, Any]) -> None:
    def numbers(row: dict[str, Any]) -> dict[str, Any]:
        keys = ("value", "low", "high", "std_error", "dof", "p_value", "p_holm", "p_equivalent", "only_minus")
        return {key: None if row.get(key) in ("", None) else float(row[key]) for key in keys}

    wanted = [one[score] for one in content["configurations"] for score in SCORES]
    wanted += [*content["differences"], *content["mcnemar"], *content["per_class"]["classes"]]
    assert [numbers(row) for row in rows] == [numbers(row) for row in wanted]


def test_files_are_not_overwritten_and_one_result_is_printed(runs: Path, tmp_path: Path) -> None:
    both, file = (runs / "bad", runs / "good"), tmp_path / "t.tex"
    assert run(*both, "--latex", "-").stdout == (run(*both, "--latex", file) and file.read_text())
    again = run(*both, "--latex", file)
    assert again.exit_code == 2
    assert f"--latex: {file} exists already" in again.stderr
    assert run(*both, "--latex", file, "--force").exit_code == 0
    assert "--force has no effect" in run(*both, "--force").stderr
    assert run(*both, "--csv", "-").stdout.startswith("table,configuration,score,seeds,value,low,high")
    assert "only one of them can be printed" in run(*both, "--csv", "-", "--json").stderr


def test_names_that_latex_would_read_are_escaped(runs: Path) -> None:
    content = content_of(runs / "bad", runs / "good")
    content["configurations"][0]["configuration"] = "50%_$x\\y^{2}~&#\x1b"
    text = latex(content, per_class=False)
    escaped = r"50\%\_\$x\textbackslash{}y\textasciicircum{}\{2\}\textasciitilde{}\&\#\textbackslash{}x1b"
    assert f" & {escaped} & " in text


def test_a_name_after_the_end_of_a_row_is_no_option_of_latex(runs: Path) -> None:
    content = content_of(runs / "bad", runs / "good", runs / "other_good")
    content["differences"][1]["configuration"] = "[2pt]"
    content["differences"][2]["configuration"] = "*"
    lines = latex(content, per_class=False).splitlines()
    assert not [line for line in lines if line.startswith(("[", "*"))]


@pytest.mark.parametrize(
    ("args", "found"),
    [
        (("runs",), {"bad", "good", "other_good"}),
        (("runs/*good",), {"good", "other_good"}),
        (("bad", "good"), {"bad", "good"}),
        (("runs/bad/{bad}-s1", "good/{good:.6}"), {"bad", "good"}),
        (("runs/bad/{bad}", "runs/good/*-s[01]"), {"bad", "good"}),
        (("{cwd}/runs/bad", "{cwd}/runs/other*"), {"bad", "other_good"}),
    ],
)
def test_runs_are_named_in_many_ways(runs: Path, args: tuple[str, ...], found: set[str]) -> None:
    keys = {name: next((runs / name).iterdir()).name.partition("-")[0] for name in ("bad", "good")}
    content = content_of(*(arg.format(**keys, cwd=Path.cwd()) for arg in args))
    assert labels(content) == found


def test_a_name_that_is_none_is_a_mistake(runs: Path) -> None:
    result = run("runs/bad", "other_goood")
    assert result.exit_code == 2
    assert (
        "other_goood: no run, configuration, sweep or folder of runs; did you mean other_good?"
        in result.stderr
    )


def test_one_seed_is_about_a_checkpoint_with_mcnemar(runs: Path) -> None:
    result = run(runs / "bad" / "*-s0", runs / "good" / "*-s0")
    assert "one seed each, so this speaks for these checkpoints only" in result.stdout.splitlines()[0]
    assert "exact McNemar test: about these two checkpoints only" in result.stdout
    assert "one seed: the interval is for this checkpoint only" in result.stdout
    assert "McNemar" not in run(runs / "bad", runs / "good").stdout


def test_equivalence_is_asked_for_by_a_margin(runs: Path) -> None:
    for name, noise in (("same", 0.01), ("same_again", 0.02)):
        configuration(runs, name, 0.7, noise=noise)
    pair = (runs / "same", runs / "same_again")
    assert run(*pair).stdout.startswith("tie: ")
    assert "are equivalent within 6 points" in run(*pair, "--margin", "6").stdout.splitlines()[0]


def refusal(*args: object) -> str:
    result = run(*args)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    return result.stderr


def test_one_configuration_is_nothing_to_compare(runs: Path) -> None:
    assert "only one configuration, bad with 3 seeds" in refusal(runs / "bad")


def test_a_leaky_split_is_not_compared_with_a_clean_one(runs: Path) -> None:
    configuration(runs, "leaky", 0.9, leaks=LEAKY, manifest_hash="def")
    said = refusal(runs / "good", runs / "leaky", "--across-data")
    assert "leaky data (leaky 90 %)" in said
    assert "vidcls data split" in said
    configuration(runs, "leaky_too", 0.5, leaks=LEAKY, manifest_hash="def")
    result = run(runs / "leaky", runs / "leaky_too")
    assert "leaky data (leaky 90 %)" in result.stdout.splitlines()[0]
    assert "this says little about new videos" in result.stdout
    configuration(runs, "unaudited", 0.5, leaks=UNKNOWN)
    assert "vidcls data audit" in refusal(runs / "leaky", runs / "unaudited", "--across-data")
    assert "data that was not audited for leaks" in run(runs / "good", runs / "unaudited").stdout


def test_other_videos_are_refused(runs: Path) -> None:
    other = finished_run(runs, "other", manifest_hash="def")
    ids = [f"w{number}" for number in range(len(LABELS))]
    store_logits(other, logits_with(0.5, seed=1), LABELS, groups=GROUPS, ids=ids)
    assert "the videos in val differ" in refusal(runs / "good", runs / "other")


def test_other_data_is_compared_only_where_asked(runs: Path) -> None:
    """Frames and flow of the same videos, say, or more train videos with the same val."""
    configuration(runs, "more_data", 0.9, manifest_hash="def")
    assert "--across-data" in refusal(runs / "good", runs / "more_data")
    result = run(runs / "good", runs / "more_data", "--across-data")
    assert result.exit_code == 0
    assert "trained on 2 different data sets, so a difference may come from the data" in result.stdout


def test_an_unfinished_run_is_refused(runs: Path) -> None:
    configuration(runs, "brief", 0.5, state="interrupted")
    said = refusal(runs / "good", runs / "brief")
    assert "is not finished (interrupted)" in said
    assert "spec.yaml" in said


def test_predictions_that_are_not_stored_are_named_with_the_command(runs: Path) -> None:
    assert "--split val --checkpoint last" in refusal(runs / "good", runs / "bad", "--checkpoint", "last")


def test_a_final_run_is_compared_with_final_runs_on_test_only(runs: Path) -> None:
    joined = {"data": {"root": "nowhere", "join_val": True}, "train": {"stop_after": 3}}
    finals = [finished_run(runs, name, settings=joined, manifest_hash="def") for name in ("first", "second")]
    good = finished_run(runs, "tested")
    store([*finals, good], 0.7, split="test")
    assert "val tells nothing" in refusal(runs / "first", runs / "good")
    assert "trained on train and val, runs/tested/" in refusal(runs / "first", good.folder, "--split", "test")
    assert run(runs / "first", runs / "second", "--split", "test").exit_code == 0


def test_a_fusion_is_no_run(runs: Path) -> None:
    (runs / "fused" / "ab" / "report" / "val-best").mkdir(parents=True)
    (runs / "fused" / "ab" / "report" / "val-best" / "fusion.json").write_text("{}")
    assert "is a fusion and not a run" in refusal(runs / "good", runs / "fused" / "ab")


def test_looks_at_test_are_recorded_counted_and_corrected_for(runs: Path) -> None:
    tested = [finished_run(runs, f"tested{number}") for number in range(3)]
    store(tested, 0.7, split="test")
    earlier = ledger_of(tested[0])
    for number in range(4):
        earlier.append(run=f"runs/x/{number:012x}-s0", checkpoint="best")
    content = content_of(*(each.folder for each in tested), "--split", "test")
    assert content["looks"] == {"num_openings": 7, "num_configurations": 7}
    assert content["num_comparisons"] == 21
    assert "test split opened 7 times for 7 configurations" in content["verdict"]
    assert [opening.repeated for opening in earlier.entries()] == [False] * 4 + [True] * 3
    assert content["configurations"][0]["flattered"] == []


def test_what_was_chosen_on_val_is_flattered(runs: Path) -> None:
    configuration(runs, "one_epoch", 0.5, num_epochs=1)
    by_name = {
        one["configuration"]: one["flattered"]
        for one in content_of(runs / "one_epoch", runs / "good")["configurations"]
    }
    assert by_name == {"one_epoch": [], "good": ["best epoch chosen on these videos"]}
    sweep = runs / "sweeps" / "search-12345678"
    for name in ("point_a", "point_b", "point_c"):
        configuration(sweep / "runs", name, 0.6)
    (sweep / "options.json").write_text("{}")
    left_out = run("runs")
    assert "9 runs of sweeps and studies in it are left out" in left_out.stderr
    assert "point_a" not in left_out.stdout
    whole = content_of("search")
    assert labels(whole) == {"point_a", "point_b", "point_c"}
    assert "did you mean search?" in refusal("saerch")
    assert "did you mean runs/good?" in refusal("runs/goood", "runs/bad")
    chosen = "may be the best of a sweep on these videos"
    assert all(chosen not in one["flattered"] for one in whole["configurations"])
    part = content_of(sweep / "runs" / "point_a", runs / "good")
    assert [chosen in one["flattered"] for one in part["configurations"]] == [True, False]


def test_a_part_of_a_sweep_that_did_not_finish_is_left_out_in_words(runs: Path) -> None:
    sweep = runs / "sweeps" / "search-12345678"
    for name in ("point_a", "point_b"):
        configuration(sweep / "runs", name, 0.6)
    configuration(sweep / "runs", "point_c", 0.6, state="stopped")
    (sweep / "options.json").write_text("{}")
    result = run(sweep)
    assert result.exit_code == 0, result.output
    assert "3 of 9 runs are left out: not finished" in result.stderr


def test_videos_that_nobody_scored_are_named(runs: Path) -> None:
    for name in ("p", "q"):
        logits = logits_with(0.5, seed=ord(name))
        store_logits(
            finished_run(runs, name), logits, LABELS, groups=GROUPS, unscored={"broken.avi": "truncated"}
        )
    result = run(runs / "p", runs / "q")
    assert result.exit_code == 3
    assert "broken.avi: not scored: truncated" in result.stderr


def test_unknown_groups_are_said(runs: Path) -> None:
    for name in ("p", "q"):
        run_of = finished_run(runs, name, leaks=CLEAN)
        store_logits(run_of, logits_with(0.5, seed=ord(name)), LABELS)
    result = run(runs / "p", runs / "q")
    assert "whose groups are not known (each counts as its own)" in result.stdout


def test_videos_whose_group_is_not_known_are_counted(runs: Path) -> None:
    partly = [*GROUPS[:-3], "", "", ""]
    for name in ("p", "q"):
        for seed in range(2):
            run_of = finished_run(runs, name, leaks=CLEAN, seed=seed)
            store_logits(run_of, logits_with(0.5, seed=seed + ord(name), noise=0.2), LABELS, groups=partly)
    said = "120 val videos in 23 groups (3 are single videos whose group is not known)"
    result = run(runs / "p", runs / "q")
    assert said in result.stdout.splitlines()[0]
    assert "- the group of 3 of 120 videos is not known, so each of them counts" in result.stdout
    assert content_of(runs / "p", runs / "q")["num_ungrouped"] == 3
    power = ["power", "--difference", "5", str(runs / "p"), str(runs / "q")]
    assert said in CliRunner().invoke(app, power, env={"COLUMNS": "300"}).stdout


@pytest.mark.parametrize("command", [["compare"], ["power", "--difference", "5"]])
def test_videos_of_one_group_are_refused_before_the_look_is_recorded(runs: Path, command: list[str]) -> None:
    for name in ("p", "q"):
        tested = [finished_run(runs, name, seed=seed) for seed in range(2)]
        store(tested, 0.7, split="test", groups=["one"] * len(LABELS))
    words = [*command, str(runs / "p"), str(runs / "q"), "--split", "test"]
    result = CliRunner().invoke(app, words, env={"COLUMNS": "300"})
    assert result.exit_code == 2
    assert "all 120 test videos belong to one group, so nothing is known of other groups" in result.stderr
    assert ledger_of(tested[0]).count == 0
