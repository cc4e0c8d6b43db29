"""Evaluates a run: scores the videos of a split with its checkpoint, stores logits and reports metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from vidcls.choices import Split
from vidcls.data.batches.source import BatchSource
from vidcls.data.decoding.workers import StageProgress
from vidcls.data.manifest import Manifest, Video
from vidcls.data.user_dataset.manifest import with_test
from vidcls.errors import UserError
from vidcls.evaluate.ledger import ledger_of
from vidcls.evaluate.metrics import Metrics
from vidcls.evaluate.predictions import Predictions, UnscoredVideo
from vidcls.evaluate.report import write_report
from vidcls.evaluate.restore import Restored, restore
from vidcls.evaluate.run_data import data_of
from vidcls.evaluate.score import score
from vidcls.evaluate.stored import checkpoint_digest
from vidcls.features.clips import AnyBatch
from vidcls.features.reading import Reading
from vidcls.features.sources import open_scored, open_sealed
from vidcls.leaks.run_state import leaks_of
from vidcls.leaks.state import leak_state, remember
from vidcls.models.device import pin
from vidcls.run.folder import Checkpoint, Run
from vidcls.spec.experiment import Spec
from vidcls.spec.fingerprint import targets_in
from vidcls.user_code.trust import kept_code


def evaluate(
    run: Run,
    *,
    split: Split,
    checkpoints: list[Checkpoint],
    device: torch.device,
    say: Callable[[str], None],
    progress: StageProgress,
) -> dict[Checkpoint, Metrics]:
    """Score a split of a run's data with one or several of its checkpoints; see `evaluate_open`.

    The test split is sealed: each call that scores it is first recorded in its ledger.

    Raises:
        UserError: If the data differs from that of the run, the split is empty, a checkpoint is missing, or
            the run needs code that the user does not have and has not trained with.
    """
    with kept_code(run.code_dir, targets_in(run.spec())):
        spec, manifest = data_of(run)
        is_made_now = split == "test" and spec.data.target is not None
        if spec.data.join_val and split != "test":
            raise UserError(
                f"{run.folder}: was trained on train and val, so it is unvalidated, "
                f"and {split} tells nothing",
                hint=f"vidcls evaluate {run.folder} --split test   opens the sealed test split",
            )
        if not is_made_now and not manifest.split(split):
            raise UserError(f"{manifest.root}: no videos in split {split}")
        pin(threads=run.provenance()["threads"], deterministic=spec.train.deterministic)
        for which in checkpoints:
            # A missing checkpoint is detected before the test split is opened.
            restored = restore(run, which, device)
            if split == "test":
                ledger_of(run).append(run=str(run.folder), checkpoint=which)
        if is_made_now:
            manifest = _with_test(spec, manifest, progress)
            if not manifest.split(split):
                raise UserError(f"{manifest.root}: no videos in split {split}")
        # Fully frozen backbones are the same in all checkpoints, so one reading serves all of them.
        reading = Reading(spec, restored.clip, manifest, restored.model, device)
        opened = (
            open_sealed(reading, ledger_of(run).features_dir, say=say, progress=progress)
            if split == "test"
            else open_scored(reading, say=say, progress=progress)
        )
        with opened as clips:
            return {
                which: evaluate_open(
                    run, manifest=manifest, clips=clips, split=split, which=which, device=device, say=say
                )
                for which in checkpoints
            }


def _with_test(spec: Spec, manifest: Manifest, progress: StageProgress) -> Manifest:
    """Manifest with the test items of a user's data set, whose leaks are known from now on."""
    store_dir = Path(spec.store_dir)
    manifest = with_test(manifest, spec.data, cache_dir=store_dir, progress=partial(progress, "read labels"))
    remember(leak_state(manifest, store_dir=store_dir), store_dir=store_dir, manifest_hash=manifest.hash)
    return manifest


def evaluate_open(
    run: Run,
    *,
    manifest: Manifest,
    clips: BatchSource[AnyBatch],
    split: Split,
    which: Checkpoint,
    device: torch.device,
    say: Callable[[str], None],
    restored: Restored | None = None,
    complete: bool = True,
) -> Metrics:
    """Score a split with clips that are already open; store logits, write the report.

    Args:
        run: Run.
        manifest: Manifest of its data.
        clips: Clips, or features, of at least the videos of the split.
        split: Split to score.
        which: Checkpoint whose weights are used.
        device: Device that computes.
        say: Receives a message about each table or figure that could not be written.
        restored: Model with the weights of the checkpoint; None reads the file.
        complete: Draw the confusion matrix and write the tables of predictions.

    Raises:
        UserError: If the checkpoint is missing.
    """
    # The digest comes first: if a training writes another checkpoint meanwhile, it matches no file any more.
    digest = checkpoint_digest(run, which)
    restored = restored or restore(run, which, device)
    videos = manifest.split(split)
    train = restored.spec.train
    batches = clips.eval_batches(videos, batch_size=train.batch_size)
    scores = score(restored.model, batches, channels_last=train.channels_last)
    group_of = {video.id: video.group or "" for video in videos}
    predictions = Predictions(
        ids=scores.ids,
        labels=scores.labels,
        groups=tuple(group_of[name] for name in scores.ids),
        views=np.ones_like(scores.labels),
        logits=scores.logits,
        classes=restored.classes,
        split=split,
        checkpoint=which,
        epoch=restored.epoch,
        manifest_hash=manifest.hash,
        unscored_videos=_unscored(videos, clips.bad),
    )
    predictions.save(run.predictions_file(split, which))
    leak_state = leaks_of(run).of_split(split)
    folder = run.report_dir(split, which)
    return write_report(
        predictions,
        folder,
        leak_state=leak_state,
        checkpoint_digest=digest,
        say=say,
        complete=complete,
    )


def _unscored(videos: Sequence[Video], bad: Mapping[str, str]) -> tuple[UnscoredVideo, ...]:
    """Videos that could not be scored, with the reasons by id."""
    return tuple(
        UnscoredVideo(video.id, bad[video.id], video.label, video.group or "")
        for video in videos
        if video.id in bad
    )
