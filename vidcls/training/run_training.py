"""Trains a spec to a finished run: find or create its folder, resume or start, train, evaluate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from vidcls.checkpoints import CheckpointIdentity
from vidcls.choices import Precision
from vidcls.data.batches.augment.flip import refuse_wrong_flips
from vidcls.data.batches.source import BatchSource
from vidcls.data.manifest import Manifest
from vidcls.errors import ExitCode, UserError, VidclsError
from vidcls.features.clips import AnyBatch
from vidcls.features.reading import Reading, read_manifest
from vidcls.features.sources import open_inputs
from vidcls.leaks.run_state import leak_warning
from vidcls.leaks.state import LeakState, leak_state
from vidcls.locking.lock import Held
from vidcls.models.bf16_check import compute_in_float32, wrong_in_bf16
from vidcls.models.build import build
from vidcls.models.device import pick_device, pin, to_channels_last
from vidcls.models.inputs import input_clip
from vidcls.models.kinds.base import VideoModel
from vidcls.models.thread_choice import free_threads
from vidcls.models.weights.catalogue import weights_dir_of
from vidcls.models.weights.load import load_pretrained
from vidcls.process.cores import usable_cores
from vidcls.process.signals import Signals, under_agent
from vidcls.run.folder import Run
from vidcls.spec.experiment import Spec
from vidcls.spec.fingerprint import fingerprint
from vidcls.spec.load import LoadedSpec
from vidcls.spec.sections import Clip
from vidcls.training.conclusion import conclude, replay, tracker_of
from vidcls.training.cost.out_of_memory import memory_explained
from vidcls.training.failure import failure_kept
from vidcls.training.loop import Data, Loop
from vidcls.training.optim import build_optimizer
from vidcls.training.provenance import TrainingStart, begun_with, provenance_of, seen
from vidcls.training.random_state import seed_everything
from vidcls.training.session import Display, Session, StopRule
from vidcls.training.unfreezing import Unfreezing
from vidcls.user_code.find import read_once

_BRIEF_S = 60.0
"""A trial of a sweep that takes less draws no pictures and writes no tables of predictions."""
_HEAD_SAVE_S = 2.0
"""Seconds between saves when training on stored features, where an epoch is faster than a checkpoint."""


@dataclass(frozen=True)
class Options:
    """Options of a start that do not change the experiment.

    Attributes:
        device: Name of a device; None for the best available.
        restart: Set the old run aside and start again.
        accept_code: Continue although the code, or a package that affects results, has changed.
        threads: Number of threads for `train.threads: auto`; None for all usable cores.
        wait: Wait for another process that trains this run, instead of refusing.
        stop_rule: Decides after each epoch whether to continue.
        tells_problems: Report problems of the data; of many trainings on the same videos only one does.
        is_trial: The training is one of many of a sweep. It draws pictures and writes tables of predictions
            only if it takes a minute, and where Weights & Biases is offline, `vidcls sync` sends its rows
            later.
    """

    device: str | None = None
    restart: bool = False
    accept_code: bool = False
    threads: int | None = None
    wait: bool = False
    stop_rule: StopRule | None = None
    tells_problems: bool = True
    is_trial: bool = False


@dataclass(frozen=True)
class TrainingOutcome:
    """Result of a call of `train`; `has_test` if the data has a test split, or may have one."""

    run: Run
    has_test: bool
    already_finished: bool


def train(loaded: LoadedSpec, *, options: Options, display: Display) -> TrainingOutcome:
    """Train a spec to its end, and resume an existing run.

    Raises:
        SpecError: If the spec does not match its data.
        VidclsError: If a signal (exit code 75 or 1), the disk, the data or the loss stopped the training.
    """
    spec, device = loaded.spec, pick_device(options.device)
    # Signals are handled from here on, so that a queue's warning is not fatal while data is prepared. What is
    # fingerprinted, trained and copied is one reading of the user's code.
    with read_once(), Signals() as signals:
        stage = signals.heeding(display.stage)
        plan = _plan(loaded, device, stage)
        manifest = plan.manifest
        has_test = spec.data.target is not None or bool(manifest.split("test"))
        for problem in manifest.problems if options.tells_problems else ():
            display.say(str(problem))
        leaks = leak_state(manifest, store_dir=Path(spec.store_dir))
        if (warning := leak_warning(leaks, spec)) is not None:
            display.say(warning)
        # An agent of a sweep may get a point that another one is training: wait and use that result.
        patient = options.wait or under_agent()
        with plan.run.hold(display.say, wait=patient, check=signals.check) as held:
            if options.restart and plan.run.spec_file.exists():
                display.say(f"{plan.run.folder}: the old run was moved to {_restart(plan.run, held)}")
            status = plan.run.status()
            if status is not None and status.state == "finished":
                begun_with(plan.weights, plan.run.provenance())
                if under_agent():
                    replay(plan.run, spec, display.say)
                return TrainingOutcome(plan.run, has_test, already_finished=True)
            provenance = _provenance(plan, leaks, options, display.say)
            threads = provenance["threads"]
            pin(threads=threads, deterministic=spec.train.deterministic, tf32=spec.train.tf32)
            with (
                memory_explained(spec, num_classes=manifest.num_classes, precision=provenance["precision"]),
                open_inputs(plan.reading, say=display.say, progress=stage) as clips,
            ):
                _refuse_compiled_head(spec, clips.residency)
                provenance |= _right_convolutions(plan, clips.residency, provenance, display.say)
                plan.run.create(spec, provenance | seen(clips, provenance))
                session = Session(
                    plan.run,
                    loop=_build_loop(plan, clips, provenance["precision"]),
                    identity=plan.identity,
                    signals=signals,
                    held=held,
                    display=display,
                    stop_rule=options.stop_rule,
                    save_after_s=_HEAD_SAVE_S if clips.residency == "features" else 0.0,
                )
                signals.is_preparing = False
                with failure_kept(session):
                    _fit(session, plan, display, is_trial=options.is_trial)
    return TrainingOutcome(plan.run, has_test, already_finished=False)


@dataclass(frozen=True)
class _Plan:
    """Checked plan of a training: its parts are known to fit together."""

    run: Run
    spec: Spec
    clip: Clip
    manifest: Manifest
    model: VideoModel
    weights: list[dict[str, str]]
    device: torch.device

    @property
    def reading(self) -> Reading:
        """Clip source of the training."""
        return Reading(self.spec, self.clip, self.manifest, self.model, self.device)

    @property
    def identity(self) -> CheckpointIdentity:
        """Identity that the checkpoints of the training store."""
        name = self.run.folder.name.rsplit("-s", 1)[0]
        return CheckpointIdentity(name, self.manifest.classes, self.manifest.hash, self.clip)


def _plan(loaded: LoadedSpec, device: torch.device, stage: Callable[[str, int, int], None]) -> _Plan:
    """Check the training and plan it, before anything is decoded.

    Refuses missing data, mirroring that would change labels, and a backbone that cannot take such clips.
    """
    spec = loaded.spec
    with loaded.error_context():
        manifest = read_manifest(spec, partial(stage, "read files"))
        refuse_wrong_flips(spec.augment, data=spec.data, classes=manifest.classes)
        run = Run.at(spec, fingerprint(spec, manifest.hash))  # before code of the user runs
        seed_everything(spec.seed)
        clip = input_clip(spec.model, spec.clip)
        model = build(spec.model, num_classes=manifest.num_classes, clip=clip)
        Unfreezing(model, every=spec.train.unfreeze_every)  # raises if there is nothing to unfreeze
        build_optimizer(spec.optim, model)  # raises if layer_decay has no effect
        _refuse_lone(spec, manifest)
        loaded_weights = load_pretrained(model, spec.model, weights_dir=weights_dir_of(spec.store_dir))
    weights = [{name: str(value) for name, value in vars(one).items()} for one in loaded_weights]
    return _Plan(run, spec, clip, manifest, model, weights, device)


def _refuse_lone(spec: Spec, manifest: Manifest) -> None:
    if len(manifest.split("train")) < 2 and any(single.needs_batch for single in spec.model.singles()):
        raise UserError(
            f"{manifest.root}: only one training video; frame_statistics needs several",
            hint="add videos, or set model.kind=frame_average",
        )


def _refuse_compiled_head(spec: Spec, residency: str) -> None:
    if residency == "features" and spec.train.compile:
        raise UserError(
            "train.compile: has no effect on a head that is trained on stored features",
            hint="set train.compile=false",
        )


def _provenance(
    plan: _Plan, leaks: LeakState, options: Options, say: Callable[[str], None]
) -> dict[str, Any]:
    """Collect the record of this start, and say what it has chosen by itself."""
    provenance = provenance_of(
        plan.run,
        spec=plan.spec,
        manifest=plan.manifest,
        leaks=leaks,
        start=TrainingStart(plan.device, options.threads or free_threads(plan.device), options.accept_code),
        say=say,
    )
    provenance |= begun_with(plan.weights, provenance)
    if not options.threads and not provenance["resumes"]:
        _say_threads(plan.spec, provenance["threads"], say)
    return provenance


def _right_convolutions(
    plan: _Plan, residency: str, provenance: Mapping[str, Any], say: Callable[[str], None]
) -> dict[str, list[str]]:
    """Let the convolutions that bf16 computes wrongly on this device compute in float32; record them.

    A resume keeps the record, so that it computes as before.
    """
    if provenance["precision"] != "bf16" or residency == "features":
        return {}
    train, clip = plan.spec.train, plan.clip
    model = plan.model.to(plan.device)
    wrong: list[str] | None = provenance.get("float32_convolutions")
    if wrong is None:
        if train.channels_last:
            to_channels_last(model)
        num_frames = 1 if clip.unit == "frame" else clip.frames
        batch = torch.zeros(train.batch_size, clip.num_channels, num_frames, *clip.size, device=plan.device)
        wrong = wrong_in_bf16(model, batch, cache_dir=Path(plan.spec.store_dir))
        if wrong:
            say(
                "train.precision: bf16 is wrong on this device for some convolutions of this model, "
                f"which compute in float32 instead: {', '.join(wrong)}"
            )
    compute_in_float32(model, wrong)
    return {"float32_convolutions": wrong}


def _build_loop(plan: _Plan, clips: BatchSource[AnyBatch], precision: Precision) -> Loop:
    data = Data(clips, plan.manifest.split("train"), plan.manifest.split("val"))
    return Loop(plan.spec, model=plan.model, data=data, precision=precision, device=plan.device)


def _fit(session: Session, plan: _Plan, display: Display, *, is_trial: bool) -> None:
    if session.checkpoints.resume():
        display.say(f"{plan.run.folder}: resumed")
    if never := session.loop.unfreezing.never(plan.spec.train.num_epochs):
        stay = f"{', '.join(never)} {'stays' if len(never) == 1 else 'stay'} frozen"
        display.say(
            f"train.unfreeze_every: {stay} to the end: {plan.spec.train.num_epochs} epochs are too few"
        )
    tracker = tracker_of(plan.run, plan.spec, display.say, offline=not is_trial)
    session.track(tracker)
    try:
        session.fit()
        complete = not is_trial or session.checkpoints.elapsed_s >= _BRIEF_S
        checkpoints = session.checkpoints
        metrics = conclude(plan.run, checkpoints, plan.reading, tracker, display.say, complete=complete)
        session.finish(metrics)
    except BaseException as error:
        code = error.exit_code if isinstance(error, VidclsError) else ExitCode.FAILED
        if not session.is_cut_off:
            tracker.finish(exit_code=int(code), preempted=code == ExitCode.REQUEUE)
        raise
    tracker.finish(exit_code=0)


def _say_threads(spec: Spec, threads: int, say: Callable[[str], None]) -> None:
    if spec.train.threads == "auto" and threads < (usable := usable_cores()):
        say(
            f"train.threads: {threads} of {usable} cores for this run, as others keep the rest busy; "
            f"train.threads={usable} would take all"
        )


def _restart(run: Run, held: Held) -> Path:
    """Set a run aside while this process holds its lock, and take the lock of the new folder.

    Raises:
        VidclsError: If another process restarted the run at the same moment.
    """
    held.check()
    return held.move(run.set_aside)
