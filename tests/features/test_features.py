"""Features of frozen backbones: computed once, and as good as the backbone in the loop."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import vidcls
from tests.support.training import Experiment, QuietDisplay, assert_same, rows, train_child, train_here
from vidcls.cli import app
from vidcls.errors import UserError, VidclsError
from vidcls.evaluate.ledger import ledger_of
from vidcls.evaluate.predictions import load_predictions
from vidcls.features.store import Block, FeatureStore
from vidcls.run.find import find_runs
from vidcls.run.folder import Run
from vidcls.training.divergence import DivergedError

pytestmark = pytest.mark.long

FROZEN = {"freeze": ["backbone"]}
KINDS: dict[str, dict[str, Any]] = {
    "cnn3d": {"kind": "cnn3d", **FROZEN},
    "frame_average": {"kind": "frame_average", **FROZEN},
    "frame_statistics": {"kind": "frame_statistics", "dropout": 0.2, **FROZEN},
    "early_fusion": {"kind": "early_fusion", **FROZEN},
    "late_fusion": {"kind": "late_fusion", "hidden": 16, **FROZEN},
    "ensemble": {
        "kind": "ensemble",
        "members": [{"kind": "frame_average", **FROZEN}, {"kind": "cnn3d", **FROZEN}],
    },
    "two_stream": {
        "kind": "two_stream",
        "rgb": {"kind": "frame_average", **FROZEN},
        "motion": {"kind": "frame_statistics", **FROZEN},
    },
}
CROPS = {"augment__crop": "random_resized", "augment__num_views": 3}


def settings(kind: str) -> dict[str, Any]:
    clip = {"clip__modality": "rgb+difference"} if kind == "two_stream" else {}
    return {"model": KINDS[kind], "train__precision": "bf16", **clip}


def trained(experiment: Experiment, runs: str, **chosen: Any) -> tuple[Run, list[str]]:
    """A run, and what was said of features."""
    display = QuietDisplay()
    run = train_here(experiment.spec(runs=runs, **chosen), display)
    return run, [text for text in display.said if text.startswith("features")]


def assert_as_in_the_loop(stored: Run, in_the_loop: Run) -> None:
    """Every logged number and every weight of two runs agrees to float32's rounding."""
    for a, b in zip(rows(stored), rows(in_the_loop), strict=True):
        assert a.keys() == b.keys()
        numbers = [(a[key], b[key]) for key in a if isinstance(a[key], float)]
        np.testing.assert_allclose(*zip(*numbers, strict=True), atol=2e-4)
    one, two = (torch.load(run.checkpoint_file("last"), weights_only=True) for run in (stored, in_the_loop))
    for name, value in one["model"].items():
        assert torch.allclose(value.float(), two["model"][name].float(), atol=1e-3), name


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_the_backbone_in_the_loop(experiment: Experiment, kind: str) -> None:
    run, said = trained(experiment, "runs", train__epochs=2, **settings(kind))
    assert len(said) == 1
    assert said[0].startswith("features of the frozen backbone: 40 videos x 1 views")
    assert run.provenance()["residency"] == "features"
    stored = load_predictions(run.predictions_file("val", "best"))
    root = experiment.data / "videos" / "val"
    paths = {str(path.relative_to(root).with_suffix("")): path for path in root.rglob("v_*")}
    predictions = vidcls.load(run.folder).predict([paths[name] for name in stored.ids[:6]])
    logits = np.stack([prediction.logits for prediction in predictions if prediction.logits is not None])
    np.testing.assert_allclose(logits, stored.logits[:6], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("kind", "augment"), [("frame_average", {}), ("two_stream", CROPS)])
def test_a_training_is_that_with_the_backbone_in_the_loop(
    experiment: Experiment, kind: str, augment: dict[str, Any]
) -> None:
    chosen = settings(kind) | augment | {"train__precision": "fp32"}
    stored, said = trained(experiment, "stored", **chosen)
    assert ("1 + 3 views" if augment else "1 views") in said[0]
    in_the_loop, said = trained(experiment, "loop", data__residency="streamed", **chosen)
    assert said == [
        "features of the frozen backbone are not stored but computed in each epoch: data.residency: "
        "streamed stores nothing on disk"
    ]
    assert_as_in_the_loop(stored, in_the_loop)


def test_an_evaluation_reads_what_a_training_has_stored(experiment: Experiment) -> None:
    run, _ = trained(experiment, "runs", train__epochs=1, **settings("frame_average"))
    file = run.predictions_file("val", "best")
    stored = load_predictions(file)

    def said() -> list[str]:
        result = CliRunner().invoke(app, ["evaluate", str(run.folder), "--anew"])
        assert result.exit_code == 0
        return [line for line in result.stderr.splitlines() if "features" in line]

    (line,) = said()
    assert "features of the frozen backbone: 40 videos x 1 views" in line
    assert ", read: " in line
    np.testing.assert_array_equal(load_predictions(file).logits, stored.logits)

    shutil.rmtree(Path(run.provenance()["store_dir"]) / "features")
    assert not said()
    np.testing.assert_allclose(load_predictions(file).logits, stored.logits, atol=1e-5, rtol=1e-5)


def test_other_heads_read_what_is_there_and_other_clips_do_not(experiment: Experiment) -> None:
    _, first = trained(experiment, "a", **settings("frame_average"))
    _, head = trained(experiment, "b", optim__lr=0.01, **settings("frame_average"))
    _, kind = trained(experiment, "c", **settings("frame_statistics"), seed=0)
    _, clip = trained(experiment, "d", clip__size=[32, 32], **settings("frame_average"))
    assert "computed in" in first[0]
    assert "read" in head[0]
    assert head[0].split(": ")[-1] == first[0].split(": ")[-1]
    assert kind[0].split(": ")[-1] == first[0].split(": ")[-1]
    assert "computed in" in clip[0]


@pytest.mark.parametrize(
    ("chosen", "why"),
    [
        ({"augment__crop": "random_resized"}, "set augment.num_views for a fixed number of views"),
        ({"clip__sampling": "segment"}, "set augment.num_views for a fixed number of views"),
        ({"clip__unit": "frame"}, "trains on single frames"),
    ],
)
def test_says_why_features_are_not_stored(experiment: Experiment, chosen: dict[str, Any], why: str) -> None:
    run, said = trained(experiment, "runs", train__epochs=1, **settings("frame_average"), **chosen)
    assert why in said[0]
    assert run.provenance()["residency"] == "mapped"
    assert not (experiment.folder / "store" / "features").exists()


def test_nothing_is_said_where_nothing_is_frozen(experiment: Experiment) -> None:
    assert trained(experiment, "runs", train__epochs=1)[1] == []


def test_a_killed_training_of_a_head_resumes_to_the_bit(experiment: Experiment) -> None:
    chosen = settings("frame_average") | CROPS | {"train__epochs": 4}
    alone = train_here(experiment.spec(runs="alone", **chosen))
    spec = experiment.spec(runs="killed", **chosen)
    for step in (1, 12):
        assert train_child(spec, die_at_step=step) == -9
    assert train_child(spec) == 0
    assert_same(alone, experiment.run("killed"))


def test_signals_are_heard_within_a_block_of_features(experiment: Experiment) -> None:
    display = QuietDisplay()
    train_here(experiment.spec(train__epochs=1, **settings("frame_average")), display)
    seen = [done for name, done, total in display.stages if name == "features"]
    assert seen == [8, 16, 24, 32, 32, 40, 40]


def test_a_training_that_fails_leaves_the_best_epoch_that_its_status_names(experiment: Experiment) -> None:
    optim = {"kind": "sgd", "lr": 5, "weight_decay": 1, "clip_norm": None, "schedule": "constant"}
    spec = experiment.spec(
        train__epochs=100, optim=optim | {"warmup_epochs": 30}, **settings("frame_average")
    )
    with pytest.raises(DivergedError):
        train_here(spec)
    run = experiment.run()
    status = run.status()
    assert status is not None
    assert status.state == "failed"
    best = torch.load(run.checkpoint_file("best"), weights_only=True)
    assert (best["epoch"], best["epoch"] > 1) == (status.best_epoch, True)


def test_refuses_before_anything_is_decoded(experiment: Experiment) -> None:
    train, val = (next((experiment.data / "videos" / split).rglob("v_*")) for split in ("train", "val"))
    table = experiment.folder / "one.csv"
    table.write_text(f"path,label,split\n{train},a,train\n{val},b,val\n")
    chosen = settings("frame_statistics")
    with pytest.raises(UserError, match="layer_decay: has no effect"):
        train_here(experiment.spec(optim__layer_decay=0.5, **chosen))
    with pytest.raises(UserError, match="only one training video"):
        train_here(experiment.spec(data={"root": str(table)}, **chosen))
    assert not find_runs(experiment.folder / "runs")


def test_a_mirror_changes_the_label_of_stored_features_too(experiment: Experiment) -> None:
    names = [path.name for path in sorted((experiment.data / "videos" / "train").iterdir())]
    flips = {n: n.replace("left", "LEFT").replace("right", "left").replace("LEFT", "right") for n in names}
    chosen = settings("frame_average") | {
        "augment__flip": 0.5,
        "augment__num_views": 4,
        "data__flip_labels": {a: b for a, b in flips.items() if a != b and b in names},
        "train__precision": "fp32",
    }
    stored, _ = trained(experiment, "stored", **chosen)
    in_the_loop, _ = trained(experiment, "loop", data__residency="streamed", **chosen)
    assert_as_in_the_loop(stored, in_the_loop)


def blocks(digests: Sequence[str]) -> Block:
    values = np.array([[int(digest, 16)] for digest in digests], np.float32)
    return Block((values[:, None], values[:, None, None] + 0.5), np.zeros((len(digests), 1), bool))


def test_a_builder_that_was_killed_goes_on(tmp_path: Path) -> None:
    digests = [f"{number:04x}" for number in range(100)]
    seen: list[str] = []

    def dies(part: Sequence[str]) -> Block:
        if len(seen) >= 64:
            raise KeyboardInterrupt
        seen.extend(part)
        return blocks(part)

    def lives(part: Sequence[str]) -> Block:
        seen.extend(part)
        return blocks(part)

    store = FeatureStore(tmp_path, identity={"a": 1})
    with pytest.raises(KeyboardInterrupt):
        store.build(digests, dies, num_views=1, decoders={})
    assert not store.is_published()
    store.build(digests, lives, num_views=1, decoders=dict.fromkeys(digests, "pyav"))
    assert seen == digests
    opened = store.open()
    assert opened.digests == tuple(digests)
    assert opened.leaves[0].shape == (100, 1, 1)
    assert opened.leaves[1].flatten().tolist() == [number + 0.5 for number in range(100)]
    assert {path.name for path in store.path.iterdir()} == {
        "index.json",
        "leaf-0.npy",
        "leaf-1.npy",
        "flips.npy",
        "verified",
    }
    leaf = store.path / "leaf-1.npy"
    whole = leaf.read_bytes()
    leaf.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(VidclsError, match=r"the files have changed since they were written:\n.*leaf-1\.npy"):
        store.open()
    leaf.write_bytes(whole)
    assert store.open().digests == tuple(digests)
    (store.path / "leaf-0.npy").write_bytes(b"cut")
    with pytest.raises(VidclsError, match="damaged"):
        store.open()


def test_features_of_test_are_stored_under_the_seal_and_read_by_evaluations_alone(
    experiment: Experiment,
) -> None:
    opened: list[str] = []
    watching = [True]

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if watching[0] and event in ("open", "os.listdir", "os.scandir"):
            opened.append(str(arguments[0]))

    sys.addaudithook(watch)  # it stays for good, so it is told to stop
    first, _ = trained(experiment, "a", train__epochs=1, **settings("frame_average"))
    command = ["evaluate", str(first.folder), "--split", "test", "--json"]
    computed = CliRunner().invoke(app, command)
    assert computed.exit_code == 0, computed.output
    ledger = ledger_of(first)
    assert f"computed in 0 s: {ledger.features_dir}" in re.sub(
        r"computed in \d+ s", "computed in 0 s", computed.stderr
    )
    assert len(list((experiment.folder / "store" / "features").glob("*/index.json"))) == 1, "train and val"

    opened.clear()
    second, _ = trained(experiment, "b", train__epochs=1, optim__lr=0.01, **settings("frame_average"))
    watching[0] = False
    assert opened
    assert not [name for name in opened if str(ledger.features_dir) in name]
    read = CliRunner().invoke(app, ["evaluate", str(second.folder), "--split", "test"])
    assert f", read: {ledger.features_dir}" in read.stderr

    again = CliRunner().invoke(app, command)
    assert json.loads(again.stdout)["evaluations"][0] == {
        **json.loads(computed.stdout)["evaluations"][0],
        "stored": True,
    }
    assert "features" not in again.stderr
    assert [opening.repeated for opening in ledger.entries()] == [False, False, True]


def test_a_signal_is_heard_after_each_clip_where_a_clip_takes_long(
    experiment: Experiment, demo: Path
) -> None:
    videos = [next((demo / "videos" / split).rglob("v_*")) for split in ("train", "val")]
    table = experiment.folder / "two.csv"
    table.write_text(f"path,label,split\n{videos[0]},a,train\n{videos[1]},b,val\n")
    display = QuietDisplay()
    chosen = settings("frame_average") | {"clip__frames": 16, "clip__size": [224, 224]}
    train_here(experiment.spec(data={"root": str(table)}, train__epochs=1, **chosen), display)
    assert [done for name, done, _ in display.stages if name == "features"] == [1, 2, 2]


def test_a_first_save_that_a_kill_ended_is_made_again(experiment: Experiment) -> None:
    """Heads are saved every few seconds, and `best` is written before `last`."""
    whole, _ = trained(experiment, "whole", train__epochs=2, **settings("frame_average"))
    cut, _ = trained(experiment, "cut", train__epochs=2, **settings("frame_average"))
    cut.checkpoint_file("last").unlink()
    status = json.loads(cut.status_file.read_text())
    cut.status_file.write_text(json.dumps(status | {"state": "running"}))
    with pytest.raises(VidclsError, match="its last checkpoint is missing, so the run cannot continue"):
        trained(experiment, "cut", train__epochs=2, **settings("frame_average"))
    cut.status_file.write_text(json.dumps(status | {"state": "running", "epoch": 0, "best_epoch": None}))
    trained(experiment, "cut", train__epochs=2, **settings("frame_average"))
    assert_same(whole, cut)
