"""Steps after the last epoch: evaluate the run, draw its curves, and send the results to its tracker."""

from __future__ import annotations

from vidcls.data.batches.clips import Clips
from vidcls.data.batches.dataset_clips import DatasetClips
from vidcls.drawing import Say, optional
from vidcls.evaluate.figures import draw_run
from vidcls.evaluate.predictions import Predictions, load_predictions
from vidcls.evaluate.run import evaluate_open
from vidcls.features.reading import Reading
from vidcls.leaks.run_state import leaks_of
from vidcls.run.folder import Checkpoint, Run
from vidcls.spec.experiment import Spec
from vidcls.spec.show import plain
from vidcls.tracking.jsonl import read_rows
from vidcls.tracking.tracker import NullTracker, Preview, Tracker
from vidcls.tracking.wandb import open_tracker
from vidcls.training.checkpoint_writer import CheckpointWriter
from vidcls.training.loop import Loop, MetricValues
from vidcls.training.previews import make_previews


def tracker_of(run: Run, spec: Spec, say: Say, *, offline: bool = True) -> Tracker:
    """Open the tracker of a run's spec, with the metrics logged so far; without `offline` only if online."""
    return open_tracker(
        spec.tracking,
        run_dir=run.folder,
        run_id=run.wandb_id,
        name=f"{spec.name}-s{spec.seed}",
        group=spec.name,
        spec=plain(spec),
        leak_state=str(leaks_of(run)),
        history=read_rows(run.metrics_file),
        warn=say,
        offline=offline,
    )


def replay(run: Run, spec: Spec, say: Say) -> None:
    """Send the metrics of a finished run to the W&B run that an agent has started."""
    tracker = tracker_of(run, spec, say)
    status = run.status()
    if status is not None:
        tracker.summarise({f"best/{name}": value for name, value in status.metrics.items()})
    tracker.finish(exit_code=0)


def conclude(
    run: Run,
    checkpoints: CheckpointWriter,
    reading: Reading,
    tracker: Tracker,
    say: Say,
    *,
    complete: bool,
) -> MetricValues:
    """Evaluate the best checkpoint, draw the curves, and track the results. Tracking cannot fail a run.

    Args:
        run: Run that was trained to its end.
        checkpoints: Checkpoints of the run, with its training loop.
        reading: Clip source of the run.
        tracker: Tracker that gets the results.
        say: Receives a message about results that could not be tracked.
        complete: Draw curves and confusion matrix, and write the tables of predictions.

    Returns:
        Metrics of the best checkpoint on val; none if nothing is validated.
    """
    loop = checkpoints.loop
    clips, classes = loop.data.clips, reading.manifest.classes
    if not loop.data.val:
        if complete:
            draw_run(run, say=say)
        tracker.log_checkpoint(run.checkpoint_file("best"), metrics={})
        return {}
    scored: list[Checkpoint] = ["last", "best"] if loop.spec.train.keep_last else ["best"]
    for which in scored:
        metrics = evaluate_open(
            run,
            manifest=reading.manifest,
            clips=clips,
            split="val",
            which=which,
            device=loop.device,
            say=say,
            # A head computes the same in any memory format, so its model can be used instead of a new one.
            restored=checkpoints.restore(which) if clips.residency == "features" else None,
            complete=complete,
        )
    if complete:
        draw_run(run, say=say)
    named = metrics.named("val")
    if isinstance(tracker, NullTracker):
        return named
    with optional("previews of videos for Weights & Biases", say):
        predictions = load_predictions(run.predictions_file("val", "best"))
        tracker.log_previews(_previews(loop, reading, predictions))
    tracker.log_confusion(metrics.confusion, classes)
    tracker.summarise({f"best/{name}": value for name, value in named.items()})
    tracker.log_checkpoint(run.checkpoint_file("best"), metrics=named)
    return named


def _previews(loop: Loop, reading: Reading, predictions: Predictions) -> list[Preview]:
    clips, num = loop.data.clips, loop.spec.tracking.previews
    if isinstance(clips, DatasetClips) and not clips.is_normalised:
        return []  # how a user's data set made the values is not known
    if isinstance(clips, Clips | DatasetClips):
        return make_previews(clips, loop.data.val, predictions, clip=reading.clip, num=num)
    if not num:
        return []
    # Features cannot be shown as pictures, and a store of frames may not exist, so decode the videos.
    with reading.frames(loop.data.val, progress=lambda *_: None, stored=False) as frames:
        return make_previews(frames, loop.data.val, predictions, clip=reading.clip, num=num)
