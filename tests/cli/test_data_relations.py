"""`vidcls data audit` and `vidcls data split`."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from vidcls.cli import app


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def table(path: Path, demo: Path, *, leaks: int, splits: tuple[str, ...] = ("train", "val")) -> Path:
    """Splits of the demo data, of whose train videos `leaks` became val."""
    rows: list[list[object]] = []
    for split in splits:
        with (demo / "metadata" / f"{split}.csv").open(newline="") as file:
            listed = list(csv.DictReader(file))
        rows += [[demo / "videos" / split / row["video_path"], row["action"], split] for row in listed]
    for row in rows[:leaks]:
        row[2] = "val"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label", "split"], *rows])
    return path


def test_an_audit_by_groups_names_each_leak(tmp_path: Path, demo: Path) -> None:
    # Every second of the demo's videos is the other clip of the source before it.
    leaky = table(tmp_path / "leaky.csv", demo, leaks=1)
    done = run("data", "audit", leaky, "--store-dir", tmp_path / "store")
    assert done.exit_code == 3
    assert "1 of 21 val videos have a relative in train (1 pair)" in done.output
    assert "verdict: leaky 4 %" in done.output
    assert "vidcls data split" in done.output
    told = json.loads(run("data", "audit", leaky, "--by", "name", "--store-dir", tmp_path, "--json").stdout)
    assert told["state"] == "leaky 4 %"
    (pair,) = told["pairs"]
    assert "g01_c01" in pair["video"]
    assert "g01_c02" in pair["train_video"]


def test_a_clean_audit_exits_with_0(tmp_path: Path, demo: Path) -> None:
    done = run("data", "audit", table(tmp_path / "clean.csv", demo, leaks=0), "--store-dir", tmp_path)
    assert (done.exit_code, "verdict: clean" in done.output) == (0, True)


def test_a_split_parts_no_group_and_audits_clean(tmp_path: Path, demo: Path) -> None:
    leaky = table(tmp_path / "leaky.csv", demo, leaks=3)
    made = tmp_path / "made" / "clean.csv"
    done = run("data", "split", leaky, "--sizes", "train=20,val=20", "--out", made, "--store-dir", tmp_path)
    assert done.exit_code == 0, done.output
    assert "20 groups, none in two splits" in done.output
    assert run("data", "audit", made, "--store-dir", tmp_path).exit_code == 0
    with made.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["label"], row["split"]) for row in rows} == {
        (row["label"], split) for row in rows for split in ("train", "val")
    }
    again = tmp_path / "again.csv"
    kept = run("data", "split", leaky, "--seed", "3", "--keep", made, "--sizes", "0.5,0.5", "--out", again)
    assert kept.exit_code == 0, kept.output
    with again.open(newline="") as file:
        assert {Path(row["path"]).name: row["split"] for row in csv.DictReader(file)} == {
            Path(row["path"]).name: row["split"] for row in rows
        }


def test_folds_are_each_val_once(tmp_path: Path, demo: Path) -> None:
    data = table(tmp_path / "all.csv", demo, leaks=0)
    done = run("data", "split", data, "--folds", "2", "--out", tmp_path / "f.csv", "--store-dir", tmp_path)
    assert done.exit_code == 0, done.output
    times = defaultdict(list)
    for number in (1, 2):
        with (tmp_path / f"f-fold{number}.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                times[row["path"]].append(row["split"])
    assert len(times) == 40
    assert all(sorted(splits) == ["train", "val"] for splits in times.values())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["audit", "ROOT", "--sheet", "x.gif"], "does not end in .jpg"),
        (["split", "ROOT", "--out", "x.txt"], "does not end in .csv"),
        (["split", "ROOT", "--out", "x.csv", "--sizes", "0.8;0.2"], "cannot be read"),
        (["split", "ROOT", "--out", "x.csv", "--sizes", "0.8,10"], "cannot be read"),
        (["split", "ROOT", "--out", "x.csv", "--sizes", "0.8,0.1"], "add up to 0.9"),
        (["split", "ROOT", "--out", "x.csv", "--sizes", "train=1,train=2"], "cannot be read"),
        (["split", "ROOT", "--out", "x.csv", "--folds", "3", "--sizes", "0.8,0.2"], "no effect"),
        (["split", "ROOT", "--out", "x.csv", "--sizes", "0.8,0.2"], "no size for the 20 test videos"),
        (["audit", "ROOT", "--force"], "--force has no effect without --sheet"),
        (["scan", "ROOT", "--force"], "--force has no effect without --write-manifest"),
    ],
)
def test_mistakes_are_told(
    words: list[str], says: str, tmp_path: Path, demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("data", *(str(demo) if word == "ROOT" else word for word in words))
    assert done.exit_code == 2
    assert says in done.output


def test_keep_holds_train_videos_of_a_manifest_without_val(tmp_path: Path, demo: Path) -> None:
    videos = table(tmp_path / "videos.csv", demo, leaks=0)
    old = tmp_path / "old.csv"
    sizes = ("--sizes", "train=30,test=10", "--store-dir", tmp_path)
    assert run("data", "split", videos, "--out", old, *sizes).exit_code == 0
    kept = run("data", "split", videos, "--out", tmp_path / "new.csv", *sizes, "--keep", old)
    assert kept.exit_code == 0, kept.output
    assert (tmp_path / "new.csv").read_text() == old.read_text()


def test_a_split_by_group_does_not_pretend_to_know_videos_without_one(tmp_path: Path, demo: Path) -> None:
    rows = ["path,label,split,group"]
    for number, path in enumerate(sorted((demo / "videos" / "train").rglob("*.avi"))):
        copy = tmp_path / "videos" / f"{number}.avi"
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
        rows.append(f"videos/{copy.name},{path.parent.name},train,{'known' if number == 0 else ''}")
    (tmp_path / "videos.csv").write_text("\n".join(rows))
    made = tmp_path / "made.csv"
    run("data", "split", tmp_path / "videos.csv", "--by", "group", "--out", made, "--store-dir", tmp_path)
    done = run("data", "audit", made, "--by", "group", "--store-dir", tmp_path)
    assert done.exit_code == 3
    assert "verdict: unknown" in done.output


def splits_of(path: Path) -> dict[str, str]:
    """The split of each video that a CSV lists, by file name."""
    with path.open(newline="") as file:
        return {Path(row["path"]).name: row["split"] for row in csv.DictReader(file)}


def group(name: str) -> str:
    return name.rpartition("_")[0]


ALL = ("train", "val", "test")


def test_a_test_without_relatives_stays_and_the_rest_is_drawn(tmp_path: Path, demo: Path) -> None:
    leaky = table(tmp_path / "leaky.csv", demo, leaks=3, splits=ALL)
    done = run("data", "split", leaky, "--out", tmp_path / "new.csv", "--store-dir", tmp_path)
    assert done.exit_code == 0, done.output
    assert "test stays as it is: none of its 20 videos has a relative" in done.stderr
    before, after = splits_of(leaky), splits_of(tmp_path / "new.csv")
    assert {name for name, split in after.items() if split == "test"} == {
        name for name, split in before.items() if split == "test"
    }
    assert {split: list(after.values()).count(split) for split in ALL} == dict.fromkeys(ALL, 20)
    assert run("data", "audit", tmp_path / "new.csv", "--store-dir", tmp_path).exit_code == 0


def test_a_test_with_relatives_is_drawn_anew_and_as_large(tmp_path: Path, demo: Path) -> None:
    leaky = table(tmp_path / "leaky.csv", demo, leaks=0, splits=ALL)
    text = leaky.read_text()
    first = next(line for line in text.splitlines() if line.endswith(",train"))
    leaky.write_text(text.replace(first, first.removesuffix("train") + "test"))
    audited = run("data", "audit", leaky, "--store-dir", tmp_path).output
    assert "0 of 20 val videos have a relative in train (0 pairs)" in audited
    assert "1 of 21 test videos have a relative in train (1 pair)" in audited
    for words in (["--out", tmp_path / "new.csv"], ["--out", tmp_path / "f.csv", "--folds", "2"]):
        done = run("data", "split", leaky, *words, "--store-dir", tmp_path)
        assert done.exit_code == 0, done.output
        assert "a new test split is drawn: 1 of 21 test videos had a relative" in done.stderr
    for made in (tmp_path / "new.csv", tmp_path / "f-fold1.csv", tmp_path / "f-fold2.csv"):
        splits = splits_of(made)
        assert set(splits.values()) == set(ALL)
        assert abs(list(splits.values()).count("test") - 21) <= 1
        assert len({(group(name), split) for name, split in splits.items()}) == 30
    tests = [{n for n, s in splits_of(tmp_path / f"f-fold{k}.csv").items() if s == "test"} for k in (1, 2)]
    assert tests[0] == tests[1]


@pytest.mark.parametrize("sizes", ["0.5,0.5,0", "train=30,val=30"])
def test_a_test_is_dissolved_where_that_is_said(sizes: str, tmp_path: Path, demo: Path) -> None:
    data = table(tmp_path / "data.csv", demo, leaks=0, splits=ALL)
    done = run("data", "split", data, "--sizes", sizes, "--out", tmp_path / "x.csv", "--store-dir", tmp_path)
    assert done.exit_code == 0, done.output
    assert "the 20 test videos go to train and val here" in done.stderr
    assert set(splits_of(tmp_path / "x.csv").values()) == {"train", "val"}


def test_a_val_that_is_cut_from_train_is_no_split_of_the_data(tmp_path: Path, demo: Path) -> None:
    data = table(tmp_path / "data.csv", demo, leaks=0, splits=ALL)
    data.write_text(data.read_text().replace(",val", ",train"))
    assert run("data", "split", data, "--out", tmp_path / "x.csv", "--store-dir", tmp_path).exit_code == 0
    assert splits_of(tmp_path / "x.csv") == splits_of(data)
    data.write_text(data.read_text().replace(",test", ",train"))
    assert run("data", "split", data, "--out", tmp_path / "y.csv", "--store-dir", tmp_path).exit_code == 0
    assert list(splits_of(tmp_path / "y.csv").values()).count("val") == 20  # a group of each class


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (["split", "ROOT", "--out", "x.csv"], "x.csv"),
        (["split", "ROOT", "--out", "x.csv", "--folds", "2"], "x-fold2.csv"),
        (["scan", "ROOT", "--write-manifest", "x.csv"], "x.csv"),
        (["audit", "ROOT", "--sheet", "x.png"], "x.png"),
    ],
)
def test_no_file_is_overwritten_unasked(
    words: list[str], file: str, tmp_path: Path, demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = table(tmp_path / "data.csv", demo, leaks=1)
    words = ["data", *(str(data) if word == "ROOT" else word for word in words)]
    (tmp_path / file).write_text("mine")
    refused = run(*words)
    assert refused.exit_code == 2
    assert f"{file} exists already" in refused.stderr
    assert "--force" in refused.stderr
    assert (tmp_path / file).read_text() == "mine"
    run(*words, "--force")
    assert (tmp_path / file).read_bytes() != b"mine"
    (tmp_path / file).unlink()
    (tmp_path / file).mkdir()
    assert f"{file} is a folder" in run(*words, "--force").stderr
