"""What a report says: the numbers of a comparison, what is left out and why, in four formats."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.compared import GROUPS, LABELS, LEAKY, configuration, finished_run, logits_with
from tests.support.scored import store_logits
from vidcls.errors import UserError
from vidcls.evaluate.ledger import ledger_of
from vidcls.run.folder import Run
from vidcls.study.compare.of_runs import Request, compare_runs
from vidcls.study.report.build import WrittenReport, write_report
from vidcls.study.report.material import ReportRequest


def report(runs: Sequence[Run], folder: Path, **asked: Any) -> WrittenReport:
    return write_report(
        runs, folder, ReportRequest(**asked), say=lambda text: None, progress=lambda stage, done, total: None
    )


def content(written: WrittenReport) -> dict[str, list[dict[str, Any]]]:
    """Blocks of each section, as a script reads them."""
    read = json.loads((written.page.parent / "report.json").read_text())
    return {section["name"]: section["blocks"] for section in read["sections"]}


def tables(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [block for block in blocks if block["kind"] == "table"]


def test_its_verdict_and_its_numbers_are_those_of_a_comparison(tmp_path: Path) -> None:
    runs = [
        *configuration(tmp_path / "runs", "good", 0.9),
        *configuration(tmp_path / "runs", "bad", 0.6),
    ]
    written = report(runs, tmp_path / "out")
    compared = compare_runs(runs, Request()).as_dict()
    found = content(written)
    assert found["verdict"][0]["paragraphs"] == [compared["verdict"]]
    assert found["verdict"][1]["paragraphs"] == compared["remarks"]
    scores, differences = tables(found["results"])[:2]
    for row, one in zip(scores["rows"], compared["configurations"], strict=True):
        shown = dict(zip(scores["columns"], row, strict=True))
        assert shown["configuration"] == one["configuration"]
        assert float(shown["top-1 %"]) == pytest.approx(100 * one["top1"]["value"], abs=0.051)
        low, high = map(float, shown["95 % interval"].split(" to "))
        assert (low, high) == pytest.approx((100 * one["top1"]["low"], 100 * one["top1"]["high"]), abs=0.051)
    assert float(differences["rows"][0][2]) == pytest.approx(
        100 * compared["differences"][0]["value"], abs=0.051
    )


def test_leaky_and_clean_results_stand_beside_each_other_and_are_not_compared(tmp_path: Path) -> None:
    runs = [
        *configuration(tmp_path / "runs", "clean_one", 0.7),
        *configuration(tmp_path / "runs", "clean_two", 0.6),
        *configuration(tmp_path / "runs", "leaky", 0.95, leaks=LEAKY),
    ]
    written = report(runs, tmp_path / "out")
    clean, leaky = written.verdicts
    assert "clean_one" in clean
    assert "leaky" not in clean
    assert leaky.startswith("leaky: ")
    assert leaky.endswith("leaky 90 % data, flattered: best epoch chosen on these videos")
    for name in ("classes", "calibration", "cost", "videos", "attention"):
        said = content(written)[name][0]["paragraphs"]
        assert said == ["Of the 6 runs on nowhere (leak state: clean) alone."], name


def test_figures_of_an_earlier_report_are_not_left_behind(tmp_path: Path) -> None:
    clean = configuration(tmp_path / "runs", "clean", 0.7)
    leaky = configuration(tmp_path / "runs", "leaky", 0.95, leaks=LEAKY)
    folder = report([*clean, *leaky], tmp_path / "out").page.parent
    (folder / "figures" / "mine.png").write_bytes(b"mine")
    assert (folder / "figures" / "scores-2.svg").is_file()
    report(clean, tmp_path / "out")
    assert not (folder / "figures" / "scores-2.svg").exists()
    assert (folder / "figures" / "mine.png").is_file()


def test_the_best_comes_first_however_two_are_named(tmp_path: Path) -> None:
    bad = configuration(tmp_path / "runs", "bad", 0.5)
    good = configuration(tmp_path / "runs", "good", 0.9)
    found = content(report([*bad, *good], tmp_path / "out"))
    (confusion,) = [block for block in found["classes"] if block.get("file") == "confusion"]
    assert confusion["caption"].startswith("Confusion matrix of good: ")


def test_one_run_speaks_for_its_checkpoint_only(tmp_path: Path) -> None:
    (run,) = configuration(tmp_path / "runs", "alone", 0.7, num_seeds=1)
    (said,) = report([run], tmp_path / "out").verdicts
    right = (np.argmax(logits_of(run), axis=1) == LABELS).mean()
    assert said.startswith(f"alone: {100 * right:.1f} % top-1 (95 % interval ")
    assert "one seed, so this speaks for this checkpoint only, 120 val videos in 20 groups" in said
    assert said.endswith("flattered: best epoch chosen on these videos")


def logits_of(run: Run) -> np.ndarray:
    with np.load(run.predictions_file("val", "best")) as stored:
        return np.asarray(stored["logits"])


def test_what_cannot_be_shown_is_named_with_the_reason(tmp_path: Path) -> None:
    runs = configuration(tmp_path / "runs", "good", 0.9)
    unfinished = finished_run(tmp_path / "runs", "unfinished", state="interrupted")
    unscored = finished_run(tmp_path / "runs", "unscored")
    written = report([*runs, unfinished, unscored], tmp_path / "out")
    assert written.left_out == 2
    (left_out,) = [table for table in tables(content(written)["results"]) if "left out" in table["title"]]
    said = {row[2]: row[0] for row in left_out["rows"]}
    assert said[str(unfinished.folder)] == "it is not finished: interrupted"
    assert "vidcls evaluate RUN --split val --checkpoint best" in said[str(unscored.folder)]


def test_without_any_result_it_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "runs", "unscored")
    with pytest.raises(UserError, match="none of the 1 runs can be shown: no val logits"):
        report([run], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    runs = configuration(tmp_path / "runs", "good", 0.9, num_seeds=1)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "index.html").write_text("mine")
    with pytest.raises(UserError, match="holds files, and no report"):
        report(runs, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "index.html").read_text() == "mine"


def test_the_same_runs_give_the_same_bytes(tmp_path: Path) -> None:
    runs = [
        *configuration(tmp_path / "runs", "good", 0.9, num_seeds=2),
        *configuration(tmp_path / "runs", "bad", 0.6, num_seeds=2),
    ]
    folder = report(runs, tmp_path / "out").page.parent
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    report(runs, tmp_path / "out")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_each_look_at_test_is_recorded_once(tmp_path: Path) -> None:
    runs = [
        *configuration(tmp_path / "runs", "good", 0.9, num_seeds=2),
        *configuration(tmp_path / "runs", "bad", 0.6, num_seeds=2),
    ]
    for number, run in enumerate(runs):
        store_logits(run, logits_with(0.7, seed=number), LABELS, split="test", groups=GROUPS)
    written = report(runs, tmp_path / "out", split="test")
    assert ledger_of(runs[0]).count == len(runs)
    assert any("looks at the test split" in table["title"] for table in tables(content(written)["record"]))


NAMES = ("<b>walk</b> & 100 %", "run_fast|x*", "jump{up}~^$1$\\")


def with_hostile_names(folder: Path) -> list[Run]:
    runs = []
    for number, name in enumerate(("good", "bad")):
        run = finished_run(folder / "runs", name)
        store_logits(run, logits_with(0.9 - 0.2 * number, seed=number), LABELS, groups=GROUPS, classes=NAMES)
        runs.append(run)
    return runs


def test_names_of_classes_are_text_in_every_format(tmp_path: Path) -> None:
    folder = report(with_hostile_names(tmp_path), tmp_path / "out").page.parent
    page = (folder / "index.html").read_text()
    assert "<b>walk" not in page
    assert "&lt;b&gt;walk&lt;/b&gt; &amp; 100 %" in page
    assert r"run\_fast\|x\*" in (folder / "report.md").read_text()
    latex = (folder / "report.tex").read_text()
    assert r"\textless{}b\textgreater{}walk\textless{}/b\textgreater{} \& 100 \%" in latex
    assert r"jump\{up\}\textasciitilde{}\textasciicircum{}\$1\$\textbackslash{}" in latex


def test_figures_are_vectors_with_their_fonts(tmp_path: Path) -> None:
    folder = report(with_hostile_names(tmp_path), tmp_path / "out").page.parent / "figures"
    stems = {path.stem for path in folder.glob("*.pdf")}
    assert {"scores", "differences", "recall", "confusion", "confusion-change", "calibration"} <= stems
    for stem in stems:
        content = (folder / f"{stem}.pdf").read_bytes()
        assert b"/FontFile2" in content, stem  # TrueType, embedded
        assert b"/Type3" not in content, stem
        assert (folder / f"{stem}.svg").is_file()
        assert (folder / f"{stem}.png").is_file()


def test_latex_reads_it(tmp_path: Path) -> None:
    if (program := shutil.which("lualatex")) is None:
        pytest.skip("no LaTeX here: install texlive-luatex, texlive-latex-recommended")
    folder = report(with_hostile_names(tmp_path), tmp_path / "out").page.parent
    (folder / "paper.tex").write_text(
        "\\documentclass[twocolumn]{article}\\usepackage{booktabs,graphicx}\\graphicspath{{figures/}}\n"
        "\\begin{document}\\input{report.tex}\\end{document}\n"
    )
    done = subprocess.run(
        [program, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (folder / "paper.pdf").is_file()


def test_the_setting_that_decides_is_the_important_one(tmp_path: Path) -> None:
    runs = []
    for number in range(12):
        lr, dropout = 10.0 ** -(number % 3 + 1), 0.1 * (number // 3)
        settings = {"optim": {"lr": lr}, "model": {"kind": "late_fusion", "dropout": dropout}}
        runs += configuration(
            tmp_path / "runs",
            f"trial{number:02}",
            0.9 - 0.2 * (number % 3),
            num_seeds=1,
            key=f"{number:012x}",
            settings=settings,
        )
    blocks = content(report(runs, tmp_path / "out"))["search"]
    (importance,) = [block["data"]["rows"] for block in blocks if block["kind"] == "figure"]
    assert importance[0][0] == "optim.lr"
    assert float(importance[0][1]) > 80
    (coordinates,) = [block["data"] for block in blocks if block["kind"] == "coordinates"]
    assert len(coordinates["rows"]) == 12


@pytest.mark.slow
def test_the_page_of_two_hundred_trials_is_small(tmp_path: Path) -> None:
    runs = []
    for number in range(200):
        settings = {"optim": {"lr": 1e-4 * (1 + number)}}
        runs += configuration(
            tmp_path / "runs",
            f"t{number:03}",
            0.5 + number / 500,
            num_seeds=1,
            key=f"{number:012x}",
            settings=settings,
        )
    written = report(runs, tmp_path / "out")
    assert written.page.stat().st_size < 8e6


def test_a_look_is_recorded_where_a_comparison_is_refused(tmp_path: Path) -> None:
    """All videos are of one group, so nothing is compared, and the scores are shown all the same."""
    runs = [finished_run(tmp_path / "runs", name) for name in ("good", "bad")]
    for number, run in enumerate(runs):
        store_logits(run, logits_with(0.7, seed=number), LABELS, split="test", groups=["film"] * len(LABELS))
    written = report(runs, tmp_path / "out", split="test")
    assert written.verdicts[0].startswith("No comparison: ")
    assert ledger_of(runs[0]).count == len(runs)


def test_videos_that_could_not_be_scored_are_named(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "runs", "alone")
    store_logits(
        run, logits_with(0.7, seed=0), LABELS, groups=GROUPS, unscored={"broken.avi": "it has no frames"}
    )
    written = report([run], tmp_path / "out")
    assert written.num_unscored == 1
    (unscored,) = [
        table for table in tables(content(written)["results"]) if "could not be scored" in table["title"]
    ]
    assert unscored["rows"] == [["broken.avi", "it has no frames"]]
