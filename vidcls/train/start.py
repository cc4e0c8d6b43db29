"""From a spec to a finished run: find or make its folder, resume or begin, train, evaluate."""

from __future__ import annotations

import os
import platform
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vidcls.data.batches import Clips, open_clips
from vidcls.data.manifest import Manifest, load_manifest
from vidcls.data.transforms import flip_map
from vidcls.data.workers import usable_cores
from vidcls.errors import ExitCode, VidclsError
from vidcls.evaluate.predictions import load_predictions
from vidcls.evaluate.previews import make_previews
from vidcls.evaluate.run import evaluate_open, training_videos
from vidcls.models.build import build
from vidcls.models.device import pick_device, pin
from vidcls.runs import Run, code_digest
from vidcls.signals import Signals, under_agent
from vidcls.spec.experiment import Spec
from vidcls.spec.fingerprint import fingerprint
from vidcls.spec.load import LoadedSpec
from vidcls.spec.sections import Precision
from vidcls.spec.show import plain
from vidcls.tracking.curves import draw_curves
from vidcls.tracking.jsonl import read_rows
from vidcls.tracking.tracker import Tracker
from vidcls.tracking.wandb import open_tracker
from vidcls.train.checkpoint import seed_everything
from vidcls.train.failure import failure_kept
from vidcls.train.loop import Data, Loop
from vidcls.train.precision import resolve_precision
from vidcls.train.session import Display, Identity, Judge, Session


@dataclass(frozen=True)
class Options:
    """What may be said about a start without changing the experiment.

    Attributes:
        device: Name of a device, None for the best there is.
        restart: Set the old run aside and begin anew.
        accept_code: Go on although the code changed since the run began.
        threads: What `train.threads: auto` becomes, None for all usable cores.
        wait: Wait for another process that trains this run, rather than refuse.
        judge: Says after each epoch whether to go on.
    """

    device: str | None = None
    restart: bool = False
    accept_code: bool = False
    threads: int | None = None
    wait: bool = False
    judge: Judge | None = None


@dataclass(frozen=True)
class Outcome:
    """What a call of `train` came to."""

    run: Run
    already_finished: bool


def train(loaded: LoadedSpec, *, options: Options, display: Display) -> Outcome:
    """Train a spec to its end, resuming what is there.

    Raises:
        SpecError: If the spec does not go with its data.
        VidclsError: If a signal stopped it (exit code 75 or 1), or the disk, the data or the loss did.
    """
    spec, device = loaded.spec, pick_device(options.device)
    # The signals are heard from here on, so that a queue's warning is not fatal while data is prepared.
    with Signals() as signals:
        stage = _heeding(signals, display)
        # What cannot be is refused here, before anything is decoded: data that is not there, a mirror that
        # would change labels, a backbone that cannot take such clips.
        with loaded.placed():
            manifest = load_manifest(
                spec.data, cache_dir=Path(spec.store_dir), progress=partial(stage, "read files")
            )
            flip_map(spec.augment, flip_labels=spec.data.flip_labels, classes=manifest.classes)
            seed_everything(spec.seed)
            model = build(spec.model, num_classes=manifest.num_classes, clip=spec.clip)
        for problem in manifest.problems:
            display.say(str(problem))
        plan = _Plan(Run.at(spec, fingerprint(spec, manifest.hash)), spec, manifest, model, device)
        # A sweep's agent may ask for a point that another one is training: its result will do.
        patient = options.wait or under_agent()
        with plan.run.hold(display.say, wait=patient, check=signals.check) as lock_lost:
            if options.restart and plan.run.spec_file.exists():
                display.say(f"{plan.run.folder}: the old run was set aside as {_restart(plan.run)}")
            status = plan.run.status()
            if status is not None and status.state == "finished":
                if under_agent():
                    _replay(plan.run, spec, display)
                return Outcome(plan.run, already_finished=True)
            provenance = _provenance(plan, options)
            pin(threads=provenance["threads"], deterministic=spec.train.deterministic)
            with open_clips(
                training_videos(manifest),
                data=spec.data,
                clip=spec.clip,
                classes=manifest.classes,
                store_dir=Path(spec.store_dir),
                device=device,
                progress=stage,
            ) as clips:
                plan.run.create(spec, provenance | _seen(clips, provenance))
                session = Session(
                    plan.run,
                    loop=_build_loop(plan, clips, provenance["precision"]),
                    identity=plan.identity,
                    signals=signals,
                    lock_lost=lock_lost,
                    display=display,
                    judge=options.judge,
                )
                with failure_kept(session):
                    _fit(session, plan, display)
    return Outcome(plan.run, already_finished=False)


@dataclass(frozen=True)
class _Plan:
    """What is trained where, once all of it is known to fit together."""

    run: Run
    spec: Spec
    manifest: Manifest
    model: nn.Module
    device: torch.device

    @property
    def identity(self) -> Identity:
        """What its checkpoints say of themselves."""
        name = self.run.folder.name.rsplit("-s", 1)[0]
        return Identity(name, self.manifest.classes, self.manifest.hash)


def _build_loop(plan: _Plan, clips: Clips, precision: Precision) -> Loop:
    data = Data(clips, plan.manifest.split("train"), plan.manifest.split("val"))
    return Loop(plan.spec, model=plan.model, data=data, precision=precision, device=plan.device)


def _heeding(signals: Signals, display: Display) -> Callable[[str, int, int], None]:
    """Progress that ends the work at its next step once a signal came."""

    def stage(name: str, done: int, total: int) -> None:
        display.stage(name, done, total)
        signals.check()

    return stage


def _fit(session: Session, plan: _Plan, display: Display) -> None:
    if session.resume():
        display.say(f"{plan.run.folder}: resumed")
    tracker = _open_tracker(plan.run, plan.spec, display)
    session.track(tracker)
    try:
        session.fit()
        _conclude(plan, session.loop, tracker)
        session.finish()
    except BaseException as error:
        code = error.exit_code if isinstance(error, VidclsError) else ExitCode.FAILED
        tracker.finish(exit_code=int(code), preempted=code == ExitCode.REQUEUE)
        raise
    tracker.finish(exit_code=0)


def _open_tracker(run: Run, spec: Spec, display: Display) -> Tracker:
    return open_tracker(
        spec.tracking,
        run_dir=run.folder,
        run_id=run.wandb_id,
        name=f"{spec.name}-s{spec.seed}",
        group=spec.name,
        spec=plain(spec),
        history=read_rows(run.metrics_file),
        warn=display.say,
    )


def _replay(run: Run, spec: Spec, display: Display) -> None:
    """Hand a finished run's metrics to the W&B run that an agent wants filled."""
    tracker = _open_tracker(run, spec, display)
    status = run.status()
    if status is not None:
        tracker.summarise({f"best/{name}": value for name, value in status.metrics.items()})
    tracker.finish(exit_code=0)


def _conclude(plan: _Plan, loop: Loop, tracker: Tracker) -> None:
    """Evaluate the best checkpoint, draw the curves, and show what came out."""
    run, manifest = plan.run, plan.manifest
    metrics = evaluate_open(
        run, manifest=manifest, clips=loop.data.clips, split="val", which="best", device=loop.device
    )
    draw_curves(
        read_rows(run.metrics_file), run.curves_file, title=f"{run.folder.parent.name}  {run.folder.name}"
    )
    predictions = load_predictions(run.predictions_file("val", "best"))
    previews = make_previews(loop.data.clips, loop.data.val, predictions, spec=loop.spec)
    tracker.log_previews(previews)
    tracker.log_confusion(metrics.confusion, manifest.classes)
    tracker.summarise({f"best/{name}": value for name, value in metrics.named("val").items()})
    tracker.log_checkpoint(run.checkpoint_file("best"), metrics=metrics.named("val"))


def _restart(run: Run) -> Path:
    """Set a run aside although this process holds its lock, which moves to the new folder.

    Raises:
        VidclsError: If another process began the run anew at the same moment.
    """
    aside = run.set_aside()
    run.folder.mkdir(exist_ok=True)
    try:
        os.link(aside / run.lock_file.name, run.lock_file)
    except FileExistsError:
        raise VidclsError(f"{run.folder}: another process just began this run anew") from None
    (aside / run.lock_file.name).unlink()
    return aside


def _provenance(plan: _Plan, options: Options) -> dict[str, Any]:
    """What every `auto` became and which code runs; on a resume, what was written at the start.

    Raises:
        VidclsError: If the code differs from the code that began the run.
    """
    run, spec, manifest = plan.run, plan.spec, plan.manifest
    here = {
        "code": code_digest(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "host": platform.node(),
        "device": str(plan.device),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
    }
    if not run.spec_file.exists():
        return here | {
            "threads": _threads(spec, options),
            "precision": resolve_precision(spec.train, plan.device),
            "manifest": {"hash": manifest.hash, "layout": manifest.layout},
            # Absolute, so that the run can be evaluated from any folder.
            "data_root": str(Path(spec.data.root).absolute()),
            "store_dir": str(Path(spec.store_dir).absolute()),
            "classes": list(manifest.classes),
            "resumes": [],
        }
    before = run.provenance()
    last = before["resumes"][-1] if before["resumes"] else before
    if last["code"] != here["code"] and not options.accept_code:
        raise VidclsError(
            f"{run.folder}: the installed code differs from the code that trained this run so far",
            hint="--accept-code goes on with the new code; --restart sets the run aside and begins anew",
        )
    return before | {"resumes": [*before["resumes"], here]}


def _threads(spec: Spec, options: Options) -> int:
    return (options.threads or usable_cores()) if spec.train.threads == "auto" else spec.train.threads


def _seen(clips: Clips, before: dict[str, Any]) -> dict[str, Any]:
    """What opening the clips came to.

    Raises:
        VidclsError: If other videos than before cannot be read: the run would go on with other data.
    """
    bad = dict(clips.bad)
    if before.get("bad_videos", bad).keys() != bad.keys():
        changed = sorted(before["bad_videos"].keys() ^ bad.keys())
        raise VidclsError(
            f"other videos can be read than when this run began: {', '.join(changed)}",
            hint="a slow disk may do that: give the same command again, or raise data.timeout_s",
        )
    decoders = dict(sorted(Counter(clips.decoders.values()).items()))
    return {"residency": clips.residency, "bad_videos": bad, "decoders": decoders}
