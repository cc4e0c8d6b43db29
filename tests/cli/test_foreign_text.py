"""Names of files and classes that no terminal, table or spreadsheet should take for anything but text."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.support.training import Experiment, train_child
from tests.support.video import moving_square, write_clip
from vidcls.cli import app

NOT_UTF8 = os.fsdecode(b"caf\xe9")
CLASSES = (
    "[bold]x",
    "[",
    ":smile:",
    "=cmd|calc",
    "a\x1b[31mred",
    "b\nline",
    "中文",
    "rtl\u202eevil",
    "$a$b$",
)
SHOWN = ("[bold]x", ":smile:", "=cmd|calc", r"a\x1b[31mred", r"b\nline", r"rtl\u202eevil", "$a$b$")
ENCODINGS = ("utf-8", "ascii", "latin-1")


def run(*args: str | Path, encoding: str = "utf-8") -> Result:
    result = CliRunner(charset=encoding).invoke(app, [str(arg) for arg in args])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result


def make(root: Path, names: tuple[str, ...], *, splits: tuple[str, ...] = ("train", "val", "test")) -> Path:
    root.mkdir(parents=True)
    for number, split in enumerate(splits):
        for k, name in enumerate(names):
            folder = root / split / name
            folder.mkdir(parents=True)
            frames = moving_square(4, 32, 32, seed=len(names) * number + k)
            # Encoded under a plain name: it is not the encoder that is tried here.
            write_clip(root / "plain.avi", frames).rename(folder / f"x].{name}.avi")
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("foreign") / "data", (*CLASSES, NOT_UTF8))


@pytest.fixture(scope="module")
def trained(data: Path) -> Path:
    experiment = Experiment(data.parent, data)
    spec = experiment.spec(model__kind="frame_average", train__epochs=1)
    assert train_child(spec) == 0
    return experiment.run().folder


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_data_scan_shows_every_name_as_it_is(data: Path, encoding: str) -> None:
    result = run("data", "scan", data, encoding=encoding)
    assert result.exit_code == 0
    for name in (*SHOWN, r"caf\xe9", "中文" if encoding == "utf-8" else r"\u4e2d\u6587"):
        assert name in result.stdout
    assert "\x1b" not in result.stdout
    widths = {len(line) for line in result.stdout.splitlines() if line.startswith(("|", "+"))}
    assert encoding == "utf-8" or len(widths) == 2  # two tables, whose lines are all of one length


def test_markup_in_a_label_and_in_a_problem_is_text(tmp_path: Path) -> None:
    table = tmp_path / "videos.csv"
    table.write_text("path,label,split\nmissing[/x].mp4,[/x],train\nother.mp4,[red],val\n")
    result = run("data", "scan", table)
    assert result.exit_code == 3
    assert "missing[/x].mp4" in result.stdout


@pytest.mark.long
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_run_on_such_names_ends_is_evaluated_and_predicts(trained: Path, data: Path, encoding: str) -> None:
    evaluated = run("evaluate", trained, encoding=encoding)
    assert evaluated.exit_code == 0
    predicted = run("predict", trained, data / "val", "--top", 1, encoding=encoding)
    assert predicted.exit_code == 0
    mistakes = run("mistakes", trained, encoding=encoding)
    assert mistakes.exit_code == 0
    for result in (evaluated, predicted, mistakes):
        assert all(name in result.stdout for name in (*SHOWN, r"caf\xe9"))
        assert "\x1b" not in result.stdout
    figure = trained / "report" / "val-best" / "confusion.png"
    assert figure.stat().st_size > 1000


def test_predict_as_csv_leads_to_the_files_and_holds_no_formula(trained: Path, data: Path) -> None:
    odd = data.parent / "odd"
    odd.mkdir()
    for name in ("=1+1.avi", "-g.avi", f"{NOT_UTF8}.avi"):
        (odd / name).symlink_to(data / "val" / "[" / "x].[.avi")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(odd)
        result = run("predict", trained, ".", "--csv", "--top", 10, encoding="ascii")
        assert result.exit_code == 0
        text = result.stdout_bytes.decode("utf-8", "surrogateescape")
        rows = list(csv.DictReader(io.StringIO(text)))
        assert len(rows) == 30
        assert all(Path(row["path"]).exists() for row in rows)
    cells = {cell for row in rows for cell in row.values()}
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert "'=cmd|calc" in cells


def test_the_tables_of_a_report_hold_no_formula(trained: Path) -> None:
    for name in ("per_class.csv", "confusion.csv", "predictions.csv"):
        with (trained / "report" / "val-best" / name).open(newline="") as file:
            cells = {cell for row in csv.reader(file) for cell in row}
        assert "'=cmd|calc" in cells
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


@pytest.mark.parametrize("command", [("scan", "--write-manifest"), ("split", "--out")])
def test_a_manifest_is_refused_for_names_that_are_not_utf8(
    data: Path, tmp_path: Path, command: tuple[str, str]
) -> None:
    for name in ("run", NOT_UTF8):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        for k in range(3):
            write_clip(tmp_path / "plain.avi", moving_square(4, 32, 32, seed=3 * len(name) + k)).rename(
                folder / f"v_x_g0{k}_c01.avi"
            )
    verb, option = command
    store = ("--store-dir", tmp_path / "store") if verb == "split" else ()
    result = run("data", verb, tmp_path / "data", option, tmp_path / "out.csv", *store)
    assert result.exit_code == 2
    assert r"caf\xe9" in result.stderr
    assert "UTF-8" in result.stderr
    assert "rename" in result.stderr
    assert not (tmp_path / "out.csv").exists()


def test_a_manifest_holds_no_formula_and_reads_back_to_the_same_classes(tmp_path: Path) -> None:
    names = (*CLASSES, "-x", "@home", "'=quoted", "+")
    root = make(tmp_path / "data", names, splits=("train", "val"))
    out = tmp_path / "out.csv"
    assert run("data", "scan", root, "--write-manifest", out).exit_code == 0
    with out.open(newline="") as file:
        cells = {cell for row in csv.reader(file) for cell in row}
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    from vidcls.data.manifest import read_manifest
    from vidcls.spec.data import DataSection

    found, again = (read_manifest(DataSection(root=str(path)), cache_dir=None) for path in (root, out))
    assert again.classes == found.classes
    assert [video.label for video in again.videos] == [video.label for video in found.videos]


def test_a_mistake_with_escape_sequences_is_shown_with_escapes(tmp_path: Path) -> None:
    result = run("train", tmp_path / "a\x1b[2J[/x].yaml")
    assert result.exit_code == 2
    assert r"a\x1b[2J[/x].yaml" in result.stderr
    assert "\x1b[2J" not in result.stderr
