"""`vidcls runs export`: every run once, typed, joined by its keys; nothing dropped without a word."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow.parquet import read_table
from typer.testing import CliRunner, Result

from tests.support.awkward import BROKEN, CLASSES
from tests.support.scored import make_run, store_logits
from tests.support.training import rows as metric_rows
from vidcls.cli import app
from vidcls.data.manifest import read_manifest
from vidcls.evaluate.ledger import ledger_of
from vidcls.run.folder import Run
from vidcls.run.shapes import Status
from vidcls.spec.data import DataSection
from vidcls.spec.load import load_spec
from vidcls.sweep.storage.folder import SweepFolder, SweepOptions

KEYS = ["run", "name", "fingerprint", "seed"]


def run(*args: object) -> Result:
    result = CliRunner().invoke(app, ["runs", "export", *map(str, args)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result


def csv_of(*args: object, code: int = 0) -> list[dict[str, str]]:
    done = run(*args)
    assert done.exit_code == code, done.output
    return list(csv.DictReader(io.StringIO(done.stdout)))


def parquet_of(out: Path, *args: object, code: int = 0) -> pa.Table:
    done = run(*args, "--to", "parquet", "--out", out)
    assert done.exit_code == code, done.output
    assert f"wrote {out}: " in done.stderr
    return read_table(out)


def set_spec(made: Run, *overrides: str) -> None:
    """Change the spec of a run that nobody trained."""
    spec = load_spec(made.spec_file, overrides).spec
    made.create(spec, made.provenance())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two kinds of runs, of which one has finished."""
    first, second = make_run(tmp_path, name="a"), make_run(tmp_path, name="b")
    first.write_status(Status("finished", 3, 3, best_epoch=1, metrics={"val/top1": 0.5}, elapsed_s=7.5))
    set_spec(second, "model.kind=late_fusion", "optim.lr=3e-4", "train.threads=2")
    return tmp_path / "runs"


def test_a_run_is_a_row_of_typed_columns(folder: Path, tmp_path: Path) -> None:
    table = parquet_of(tmp_path / "runs.parquet", folder)
    types = dict(zip(table.schema.names, table.schema.types, strict=True))
    expected = {
        "run": pa.string(),
        "seed": pa.int64(),
        "val/top1": pa.float64(),
        "optim.lr": pa.float64(),
        "train.epochs": pa.int64(),
        "train.compile": pa.bool_(),
        "train.threads": pa.string(),  # `auto` of one run, a number of the other
        "optim.betas": pa.string(),
        "trial": pa.int64(),
        "threads": pa.int64(),
        "energy_j": pa.float64(),  # known of neither
    }
    assert {name: types[name] for name in expected} == expected
    first, second = table.to_pylist()
    assert first["run"] == str(folder / "a" / "0123456789ab-s0")
    assert (first["name"], first["fingerprint"], first["seed"]) == ("a", "0123456789ab", 0)
    assert (first["state"], first["best_epoch"], first["val/top1"], first["elapsed_s"]) == (
        "finished",
        1,
        0.5,
        7.5,
    )
    assert (first["precision"], first["device"], first["manifest_hash"]) == ("fp32", "cpu", "abc")
    assert (second["state"], second["best_epoch"], second["val/top1"]) == ("new", None, None)
    assert (second["optim.lr"], second["train.threads"]) == (3e-4, "2")
    assert json.loads(first["optim.betas"]) == list(Run(Path(first["run"])).spec().optim.betas)
    assert (first["model.join"], second["model.join"]) == (None, Run(Path(second["run"])).spec().model.join)
    assert first["leak_state"] == "unknown"


def test_the_csv_has_the_values_of_the_parquet_file(folder: Path, tmp_path: Path) -> None:
    whole = parquet_of(tmp_path / "runs.parquet", folder)
    shown = csv_of(folder)
    assert list(shown[0]) == whole.schema.names

    def text(value: Any) -> str:
        return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

    assert shown == [{name: text(value) for name, value in row.items()} for row in whole.to_pylist()]


def test_one_run_is_a_table_too(folder: Path) -> None:
    assert [row["name"] for row in csv_of(folder / "b")] == ["b"]


def test_trials_have_the_name_of_their_sweep_and_their_numbers(folder: Path) -> None:
    sweep = SweepFolder(folder / "sweeps" / "search-01234567")
    sweep.path.mkdir(parents=True)
    sweep.freeze(SweepOptions())
    made = make_run(sweep.path, name="small")
    trials = sweep.trials()
    for number, name in enumerate(("runs/gone/x", sweep.run_name(made.folder))):
        trials.add(number, configuration=3 + number, repeat=number, point={}, seed=0)
        lease = trials.claim(trials.refresh()[number], worker="w")
        assert lease is not None
        trials.end(lease, "finished", epoch=1, run=name)
    rows = {row["name"]: row for row in csv_of(folder)}
    found = [rows["small"][name] for name in ("sweep", "trial", "configuration", "repeat")]
    assert found == ["search-01234567", "1", "4", "1"]
    assert rows["a"]["sweep"] == rows["a"]["trial"] == ""
    sweep.options_file.write_text("{")
    done = run(folder)
    assert done.exit_code == 3
    assert f"{sweep.path}: its trials cannot be read: {sweep.options_file}: damaged" in done.stderr
    assert str(made.folder) in done.stdout


def test_epochs_are_the_rows_of_the_metrics(awkward: Run) -> None:
    shown = csv_of(awkward.folder, "--per-epoch")
    epochs = [row for row in metric_rows(awkward) if row["kind"] == "epoch"]
    assert [list(row)[:4] for row in shown] == [KEYS, KEYS]
    for row, epoch in zip(shown, epochs, strict=True):
        for name in ("epoch", "train/loss", "val/top1"):
            assert float(row[name]) == epoch[name]


def test_videos_are_the_rows_of_the_stored_predictions(awkward: Run, tmp_path: Path) -> None:
    shown = parquet_of(tmp_path / "videos.parquet", awkward.folder, "--per-video")
    report = read_table(awkward.report_dir("val", "best") / "predictions.parquet")
    assert shown.schema.names == [*KEYS, "split", *report.schema.names]
    assert shown.drop_columns([*KEYS, "split"]).to_pylist() == report.to_pylist()
    assert shown.to_pylist()[-1]["video"] == BROKEN
    assert {row["split"] for row in shown.select(["split"]).to_pylist()} == {"val"}
    names = csv_of(awkward.folder, "--per-video")
    assert {row["true"] for row in names} == {f"'{CLASSES[0]}", *CLASSES[1:]}


def test_classes_of_several_data_sets_stand_side_by_side(tmp_path: Path) -> None:
    for name, classes in (("a", ("x", "y")), ("b", ("y", "z"))):
        store_logits(make_run(tmp_path, name=name), np.eye(2), [0, 1], classes=classes)
    first, _, third, _ = csv_of(tmp_path / "runs", "--per-video")
    assert [name for name in first if name.startswith("p:")] == ["p:x", "p:y", "p:z"]
    assert (first["p:z"], third["p:x"]) == ("", "")
    assert float(first["p:x"]) == float(third["p:y"]) == pytest.approx(np.e / (np.e + 1))


def test_a_run_without_predictions_is_named(folder: Path) -> None:
    done = run(folder, "--per-video")
    assert done.exit_code == 2
    assert "no val predictions in 2 run(s)" in done.stderr
    assert "vidcls evaluate RUN --split val" in done.stderr
    store_logits(Run(folder / "a" / "0123456789ab-s0"), np.eye(2), [0, 1])
    done = run(folder, "--per-video")
    assert done.exit_code == 3
    assert f"{folder / 'b' / '0123456789ab-s0'}: left out: no stored val predictions" in done.stderr
    assert len(done.stdout.splitlines()) == 3


def test_test_is_only_what_is_stored_and_each_look_is_recorded(folder: Path) -> None:
    made = Run(folder / "a" / "0123456789ab-s0")
    store_logits(made, np.eye(2), [0, 1])
    done = run(made.folder, "--per-video", "--split", "test")
    assert done.exit_code == 2
    assert "vidcls evaluate RUN --split test" in done.stderr
    assert ledger_of(made).count == 0
    store_logits(made, np.eye(2), [1, 1], split="test")
    assert [row["true"] for row in csv_of(made.folder, "--per-video", "--split", "test")] == ["class1"] * 2
    assert [entry.repeated for entry in ledger_of(made).entries()] == [True]
    assert not [name for name in csv_of(made.folder)[0] if name.startswith("test/")]


@pytest.mark.parametrize("option", [(), ("--per-epoch",), ("--per-video",)])
def test_a_damaged_run_is_named_and_the_others_are_written(folder: Path, option: tuple[str, ...]) -> None:
    good = Run(folder / "a" / "0123456789ab-s0")
    good.metrics_file.write_text(json.dumps({"kind": "epoch", "epoch": 1}) + "\n")
    store_logits(good, np.eye(2), [0, 1])
    bad = Run(folder / "b" / "0123456789ab-s0")
    bad.provenance_file.write_text("{")
    done = run(folder, *option)
    assert done.exit_code == 3
    assert f"{bad.folder}: left out: {bad.provenance_file}: damaged" in done.stderr
    assert str(good.folder) in done.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--to", "parquet"], "--out runs.parquet"),
        (["--split", "val"], "no effect without --per-video"),
        (["--per-epoch", "--per-video"], "cannot be given together"),
        (["--force"], "--force has no effect without --out"),
        (["--to", "xlsx"], "'xlsx' is not one of"),
    ],
)
def test_a_mistake_is_a_message_and_exit_code_2(folder: Path, args: list[str], message: str) -> None:
    done = run(folder, *args)
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_file_is_not_overwritten_without_force(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs.csv"
    out.write_text("mine")
    done = run(folder, "--out", out)
    assert (done.exit_code, out.read_text()) == (2, "mine")
    assert run(folder, "--out", out, "--force").exit_code == 0
    assert out.read_text().startswith("run,name,fingerprint,seed,")


def test_real_videos_have_their_groups(shared: Path, tmp_path: Path) -> None:
    root = shared / "ufc10" / "clean_split.csv"
    manifest = read_manifest(DataSection(root=str(root)), cache_dir=tmp_path / "store")
    made = make_run(tmp_path, name="ufc10", manifest_hash=manifest.hash, root=root)
    val = manifest.split("val")
    labels = [video.label for video in val]
    ids = [video.id for video in val]
    logits, groups = np.eye(manifest.num_classes)[labels], [video.group or "" for video in val]
    store_logits(made, logits, labels, ids=ids, classes=manifest.classes, groups=groups)
    shown = csv_of(tmp_path / "runs", "--per-video")
    assert [row["video"] for row in shown] == ids
    assert [row["group"] for row in shown] == [video.group for video in val]
    assert {row["correct"] for row in shown} == {"true"}
