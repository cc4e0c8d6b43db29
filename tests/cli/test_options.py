"""Paths and numbers on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.support.training import Experiment
from vidcls.cli import app


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder; the working folder lies elsewhere."""
    folder, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(elsewhere)
    return folder


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_options_and_arguments_begin_in_the_home_folder(home: Path, demo: Path) -> None:
    (home / "demo").symlink_to(demo)
    done = run("data", "scan", "~/demo", "--write-manifest=~/list.csv")
    assert done.exit_code == 0, done.stderr
    assert (home / "list.csv").is_file()
    done = run("data", "split", "~/demo", "--by=group", "--sizes", "0.5,0.5,0", "--store-dir=~/store", "--out", "~/split.csv")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert (home / "split.csv").is_file()
    assert list(Path().iterdir()) == []


def test_settings_begin_in_the_home_folder(home: Path, experiment: Experiment) -> None:
    spec = str(experiment.spec(data__root="~/demo"))
    (home / "demo").symlink_to(experiment.data)
    done = run("train", spec, "runs_dir=~/runs", "--store_dir=~/store", "--dry-run")
    assert done.exit_code == 0, done.stderr
    assert (home / "store").is_dir()
    assert list(Path().iterdir()) == []


def test_a_user_who_is_not_known_is_a_mistake(home: Path) -> None:
    for words in (("data", "scan", "~nosuchuser/data"), ("runs", "ls", "~nosuchuser")):
        done = run(*words)
        assert done.exit_code == 2
        assert f"{words[2]}: there is no user nosuchuser here; write ./" in done.stderr


@pytest.mark.parametrize("seeds", ["9" * 20, "9" * 5000, str(2**32), "²", "٣", "-1", "1,,2", "1,01", ""])
def test_seeds_of_folds_are_numbers_that_a_seed_can_be(home: Path, seeds: str) -> None:
    done = run("crossval", "x.yaml", f"--fold-seeds={seeds}")
    assert done.exit_code == 2
    assert "--fold-seeds: expected whole numbers below 2**32, all different, got " in done.stderr
    assert len(done.stderr) < 300


@pytest.mark.parametrize("sizes", ["9" * 5000, "0.5,0." + "5" * 5000, "²,1", "0.5"])
def test_sizes_of_splits_are_numbers(home: Path, demo: Path, sizes: str) -> None:
    done = run("data", "split", str(demo), f"--sizes={sizes}", "--out", "split.csv")
    assert done.exit_code == 2
    assert "--sizes: " in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        "--max-hours=nan", "--max-hours=-1", "--max-hours=1e300", "--gpu-hours=inf", "--gpu-hours=0", "--lease=0",
        "--lease=NaN", "--workers=99999999999999999999", f"--seed={10**30}", "--repeats=99999999999999999999",
        "--per-gpu=99999999999999999999", "--keep=99999999999999999999", "--attempts=0", "--until=0001-01-01",
        "--until=99:99", "--until=1960-01-01", f"--workers={'9' * 5000}",
    ],
)  # fmt: skip
def test_numbers_of_options_have_bounds(home: Path, words: str) -> None:
    Path("spec.yaml").write_text("name: x\nmodel: {kind: cnn3d}\n")
    Path("sweep.yaml").write_text(
        "method: grid\nparameters: {optim.lr: {values: [0.1, 0.2]}}\n"
        "command: [vidcls, train, spec.yaml, '${args}']\n"
    )
    for spaced in (words.split("="), [words]):
        done = run("sweep", "launch", "sweep.yaml", "--cluster", "local", "--dry-run", *spaced)
        assert done.exit_code == 2
        assert words.split("=")[0] in done.stderr


def test_a_choice_that_is_none_is_said_in_plain_words() -> None:
    result = CliRunner().invoke(app, ["evaluate", "runs", "--split", "tset"])
    assert result.exit_code == 2
    assert "'--split': 'tset' is not one of 'train'," in result.stderr
