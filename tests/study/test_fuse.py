"""Fusing runs: what is stored, what is refused and what to type then, and the seal of test."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.scored import make_run, store_logits
from vidcls.data.manifest import load_manifest
from vidcls.errors import UserError, VidclsError
from vidcls.evaluate.ledger import Ledger
from vidcls.evaluate.predictions import load_predictions
from vidcls.run.folder import Run
from vidcls.spec.data import DataSection
from vidcls.study.fuse import FusedSplit, Fusion, FusionPlan, How, fuse
from vidcls.study.logit_pool import cross_fitted, pooled

LABELS = np.tile(np.arange(4), 10)
# Each knows half of the question: which of two, and which two.
HALVES = (
    3.0 * (np.arange(4) // 2 == LABELS[:, None] // 2),
    3.0 * (np.arange(4) % 2 == LABELS[:, None] % 2),
)


def plan(
    *runs: Run, how: How = "equal", split: FusedSplit = "val", given: tuple[float, ...] = ()
) -> FusionPlan:
    return FusionPlan(runs=runs, checkpoint="best", split=split, how=how, given=given)


def stored(fusion: Fusion, split: str = "val") -> tuple[np.ndarray, dict[str, object]]:
    place = Run(fusion.folder)
    record = json.loads((place.report_dir(split, "best") / "fusion.json").read_text())
    return load_predictions(place.predictions_file(split, "best")).logits, record


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Run, Run]:
    """Two runs of the same 40 videos with logits of val and test."""
    found = make_run(tmp_path, name="rgb"), make_run(tmp_path, name="flow")
    rng = np.random.default_rng(0)
    for run, half in zip(found, HALVES, strict=True):
        for split in ("val", "test"):
            store_logits(run, half + rng.normal(size=half.shape), LABELS.tolist(), split=split)
    return found


def logits_of(runs: tuple[Run, ...], split: str = "val") -> np.ndarray:
    return np.stack([load_predictions(r.predictions_file(split, "best")).logits for r in runs]).astype(float)


def test_two_halves_of_the_answer_make_it_whole(runs: tuple[Run, Run]) -> None:
    fusion = fuse(plan(*runs), say=print)
    logits, record = stored(fusion)
    np.testing.assert_array_equal(logits, logits_of(runs).mean(axis=0).astype(np.float32))
    assert max(single.top1 for single in fusion.singles) < 0.75
    assert fusion.fused.top1 > 0.8
    assert fusion.gain is not None
    assert fusion.gain.value == pytest.approx(fusion.fused.top1 - max(s.top1 for s in fusion.singles))
    assert fusion.gain.is_clear
    assert (record["manifest_hash"], record["is_cross_fitted"]) == ("abc", False)
    assert fusion.folder.parent == runs[0].folder.parent.parent / "fused"
    assert (Run(fusion.folder).report_dir("val", "best") / "confusion.png").is_file()


def test_weights_of_one_and_nothing_are_that_run(runs: tuple[Run, Run]) -> None:
    fusion = fuse(plan(*runs, how="given", given=(5.0, 0.0)), say=print)
    np.testing.assert_array_equal(stored(fusion)[0], logits_of(runs)[0].astype(np.float32))
    assert (fusion.weights, fusion.fused.loss) == ((1.0, 0.0), fusion.singles[0].loss)


def test_another_order_of_runs_and_videos_is_the_same_fusion(runs: tuple[Run, Run]) -> None:
    first = fuse(plan(*runs, how="given", given=(0.6, 0.4)), say=print)
    theirs = load_predictions(runs[1].predictions_file("val", "best"))
    store_logits(runs[1], theirs.logits[::-1], theirs.labels[::-1].tolist(), ids=theirs.ids[::-1])
    again = fuse(plan(*runs[::-1], how="given", given=(2, 3)), say=print)
    assert again.folder == first.folder
    assert again.fused.named("val") == pytest.approx(first.fused.named("val"))


def test_of_tuned_weights_the_honest_side_is_stored(runs: tuple[Run, Run]) -> None:
    fusion = fuse(plan(*runs, how="tuned on val"), say=print)
    logits, record = stored(fusion)
    stack = logits_of(runs)
    ids = load_predictions(runs[0].predictions_file("val", "best")).ids
    expected = cross_fitted(stack, LABELS, ids)
    assert expected is not None
    np.testing.assert_allclose(logits, expected, rtol=1e-6)
    assert not np.allclose(logits, pooled(stack, fusion.weights), rtol=1e-6)
    assert fusion.seen is not None
    assert fusion.equal is not None
    assert fusion.seen.loss <= min(fusion.equal.loss, *(single.loss for single in fusion.singles)) + 1e-8
    assert fusion.seen.loss < fusion.fused.loss
    assert record["is_cross_fitted"] is True
    assert (fusion.unit, fusion.num_units) == ("videos", 40)


def test_groups_come_from_the_data(tmp_path: Path, demo: Path) -> None:
    manifest = load_manifest(DataSection(root=str(demo)), cache_dir=tmp_path / "store")
    videos = manifest.split("val")
    runs = [make_run(tmp_path, name=n, manifest_hash=manifest.hash, root=demo) for n in ("a", "b")]
    rng = np.random.default_rng(0)
    labels = [video.label for video in videos]
    for run in runs:
        logits = rng.normal(size=(len(videos), manifest.num_classes))
        groups = [video.group or "" for video in videos]
        ids = [video.id for video in videos]
        store_logits(run, logits, labels, ids=ids, classes=manifest.classes, groups=groups)
    fusion = fuse(plan(*runs, how="tuned on val"), say=print)
    assert (fusion.unit, fusion.num_units) == ("groups", len({video.group for video in videos}))
    assert fusion.num_units < len(videos)


def test_test_is_scored_with_the_weights_of_val_and_written_down(
    runs: tuple[Run, Run], tmp_path: Path
) -> None:
    ledger = Ledger.of("abc", store_dir=tmp_path / "store")
    tuned = fuse(plan(*runs, how="tuned on val"), say=print)
    assert ledger.count == 0
    fusion = fuse(plan(*runs, how="tuned on val", split="test"), say=print)
    assert fusion.weights == tuned.weights
    assert fusion.folder == tuned.folder
    assert fusion.seen is None
    expected = pooled(logits_of(runs, "test"), tuned.weights)
    np.testing.assert_allclose(stored(fusion, "test")[0], expected, rtol=1e-6)
    assert [opening.run for opening in ledger.entries()] == [str(fusion.folder)]


def test_runs_are_matched_by_video_and_not_by_what_they_read(runs: tuple[Run, Run], tmp_path: Path) -> None:
    first, second = runs
    same = fuse(plan(first, second), say=print)
    flows = make_run(tmp_path, name="flows", manifest_hash="def")
    order = np.random.default_rng(1).permutation(40)
    said = load_predictions(second.predictions_file("val", "best")).logits
    store_logits(flows, said[order], LABELS[order].tolist(), ids=[f"v{n}" for n in order])
    found = fuse(plan(first, flows), say=print)
    assert found.fused.named("val") == same.fused.named("val")


def test_what_cannot_be_fused_is_refused(runs: tuple[Run, Run], tmp_path: Path) -> None:
    def refuses(
        message: str, *found: Run, hint: str = "", split: FusedSplit = "val", out: Path | None = None
    ) -> None:
        with pytest.raises(VidclsError, match=message) as caught:
            fuse(plan(*found, split=split), folder=out, say=print)
        assert hint in str(caught.value)

    first, second = runs
    same = Run(first.folder.parent / ".." / first.folder.parent.name / first.folder.name)
    refuses("two or more different runs", first, same)
    third = make_run(tmp_path, name="third")
    hint = f"vidcls evaluate {third.folder} --split val --checkpoint best"
    refuses("no val logits", first, third, hint=hint)
    store_logits(third, HALVES[0], LABELS.tolist())
    refuses("no test logits", first, third, split="test", hint="--split test")
    assert not list((tmp_path / "store").rglob("*.jsonl")), "test was opened for nothing"
    store_logits(third, HALVES[0][1:], LABELS[1:].tolist(), ids=[f"v{n}" for n in range(1, 40)])
    refuses("1 differ, v0 among them", first, third, hint="--split val")
    store_logits(third, HALVES[0], LABELS.tolist(), classes=("a", "b", "c", "d"))
    refuses("not trained on the classes", first, third)
    other = make_run(tmp_path, name="other", manifest_hash="def")
    store_logits(other, HALVES[0], LABELS.tolist(), ids=[f"w{n}" for n in range(40)])
    refuses("not trained on the data of .*: the videos in val differ, v0 among them", first, other)
    store_logits(other, HALVES[0], [*LABELS[:-1].tolist(), 0])
    refuses("not trained on the data of .*: v39 is of another class there", first, other)
    store_logits(third, np.where(HALVES[0] > 0, np.inf, 0), LABELS.tolist())
    refuses("not finite", first, third)
    store_logits(third, np.zeros((0, 4)), [])
    refuses("none of its val videos", third, first)
    refuses("is a run", first, second, out=first.folder)
    fuse(plan(first, second), folder=tmp_path / "out", say=print)
    fuse(plan(second, first), folder=tmp_path / "out", say=print)
    with pytest.raises(UserError, match="contains a fusion of other runs or weights"):
        fuse(plan(first, second, how="tuned on val"), folder=tmp_path / "out", say=print)
