"""`make poster`: from a data root to the table of the four strategies, in one command that can be given again."""

from __future__ import annotations

import csv
import subprocess
from pathlib import Path

import pytest

from tests.test_docs import check_out
from vidcls.leaks.run_state import leaks_of
from vidcls.run.find import find_runs

STRATEGIES = {"ufc10_frame_average", "ufc10_late_fusion", "ufc10_early_fusion", "ufc10_cnn3d"}
pytestmark = pytest.mark.long


def make_poster(checkout: Path, data: Path) -> str:
    words = ["make", "-o", ".venv/.ready", "poster", f"DATA={data}", "SEEDS=0 1", "EPOCHS=1"]
    done = subprocess.run(words, cwd=checkout, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def made(checkout: Path, data: Path) -> None:
    """Make a poster twice: all strategies are in its table, and the second time nothing is trained again."""
    make_poster(checkout, data)
    poster = checkout / "poster"
    rows = list(csv.DictReader((poster / "table.csv").read_text().splitlines()))
    assert {name for row in rows for name in row.values()} >= STRATEGIES
    assert all(name.replace("_", r"\_") in (poster / "table.tex").read_text() for name in STRATEGIES)
    runs = find_runs(poster / "runs")
    assert len(runs) == 2 * len(STRATEGIES)
    assert {str(leaks_of(run)) for run in runs} == {"clean"}
    assert (poster / "report" / "index.html").is_file()
    before = [run.status() for run in runs]
    assert make_poster(checkout, data).count("finished already") == len(runs)
    assert [run.status() for run in runs] == before


@pytest.mark.slow
def test_frames_of_the_course_are_split_anew_because_they_leak(shared: Path, tmp_path: Path) -> None:
    checkout = check_out(tmp_path)
    made(checkout, shared / "ufc10_frames")
    assert (checkout / "poster" / "clean_split.csv").is_file()


def test_without_data_it_says_what_it_needs(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "-o", ".venv/.ready", "poster"],
        cwd=check_out(tmp_path),
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0
    assert "make poster DATA=path/to/ufc10_frames" in done.stdout
