"""The generated pages have everything that the code has, and the site loads nothing from the web."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import typer

from docs.make_figures import CHAR_W, FIGURES, Box
from docs.make_reference import commands_page, exit_codes_page, files_page, keys_page, metrics_page
from tests.support.training import Experiment, train_child
from vidcls.cli import app
from vidcls.errors import ExitCode
from vidcls.launch.profiles import load_profile
from vidcls.spec.keys import all_keys

ROOT = Path(__file__).parents[1]
each_figure = pytest.mark.parametrize("name", FIGURES)


def _commands(command: Any, words: tuple[str, ...]) -> Iterator[str]:
    yield " ".join(words)
    for name, inner in getattr(command, "commands", {}).items():
        if not inner.hidden:
            yield from _commands(inner, (*words, name))


def test_every_key_has_a_heading() -> None:
    headings = set(re.findall(r"^### `(.+)`$", keys_page(), re.MULTILINE))
    nested = ("model.rgb.", "model.motion.")  # their keys are those of `model`
    assert {key for key in all_keys() if not key.startswith(nested)} <= headings


def test_every_command_has_a_heading_and_its_options() -> None:
    page = commands_page()
    wanted = set(_commands(typer.main.get_command(app), ("vidcls",)))
    assert set(re.findall(r"^## `(.+)`$", page, re.MULTILINE)) == wanted
    assert "- `--repeats <int range>`: Number of trials for each point" in page


def test_every_exit_code_is_explained() -> None:
    codes = set(re.findall(r"^\| `(\d+)` \| \w", exit_codes_page(), re.MULTILINE))
    assert codes == {str(code.value) for code in ExitCode}


@pytest.mark.long
@pytest.mark.decoded
def test_every_metric_and_file_of_a_run_is_explained(experiment: Experiment) -> None:
    assert train_child(experiment.spec(train__epochs=1, train__keep_last=True)) == 0
    run = experiment.run()
    rows = map(json.loads, run.metrics_file.read_text().splitlines())
    assert {key for row in rows for key in row} <= set(
        re.findall(r"^\| `(.+?)`", metrics_page(), re.MULTILINE)
    )
    page = files_page()
    for path in run.folder.iterdir():
        assert path.name in page or path.name.startswith(".")
    for key in json.loads(run.status_file.read_text()):
        assert f"| `{key}` |" in page


def test_every_shipped_profile_has_only_keys_of_the_reference() -> None:
    from docs.make_reference import profiles_page

    page = profiles_page()
    for path in (ROOT / "slurm").glob("*.yaml"):
        part = page.partition(f"## `queue: {load_profile(path).queue}`")[2].partition("\n## ")[0]
        keys = re.findall(r"^(?:# )?(\w+):", path.read_text(), re.MULTILINE)
        assert keys
        assert set(keys) <= set(re.findall(r"^\| `(\w+)`", part, re.MULTILINE))


@each_figure
def test_text_fits_its_box_and_boxes_keep_apart(name: str) -> None:
    figure = FIGURES[name]()
    for box in figure.boxes.values():
        left, _, right, _ = box.edges
        assert max(len(line) for line in (box.head, *box.lines)) * CHAR_W < right - left
    for one, other in combinations(figure.boxes.values(), 2):
        assert _apart(one, other), (one, other)
    assert {end for arrow in figure.arrows for end in (arrow.start, arrow.end)} <= figure.boxes.keys()
    assert ElementTree.fromstring(figure.svg()).tag.endswith("svg")


def _apart(one: Box, other: Box) -> bool:
    a, b = one.edges, other.edges
    return a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]


@pytest.mark.long
@pytest.mark.skipif(importlib.util.find_spec("sphinx") is None, reason="needs the extra docs: make docs")
def test_the_site_is_built_without_warnings_and_loads_nothing_from_the_web(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("experiments", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("CONTRIBUTING.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    build = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "docs", "site"]
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for page in (tmp_path / "site").rglob("*.html"):
        loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=\"([^\"]+)", page.read_text())
        assert not [target for target in loaded if re.match(r"(?:https?:)?//", target)], page
    for style in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style.read_text()), style
