"""Fits a launch to its limits: requests that cannot fit are refused or reduced."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass

from vidcls.errors import UserError, VidclsError
from vidcls.files import nearest_folder
from vidcls.launch.local import LocalProfile, num_gpus
from vidcls.launch.profile import QueuedProfile
from vidcls.launch.queue import AnyProfile, open_queue
from vidcls.spec.experiment import Spec
from vidcls.sweep.config.file import SweepFile
from vidcls.sweep.config.metric_check import most_epochs
from vidcls.sweep.search.build import open_searcher
from vidcls.sweep.search.rungs import Rungs
from vidcls.sweep.search.scheduler import planned_trials
from vidcls.sweep.storage.folder import SweepFolder, SweepOptions

DEFAULT_TASKS = 8
"""Default number of workers in a queue."""
_ADAMW_COPIES = 4
"""Copies of the weights in the checkpoints of a run: last (weights and two moments) and best."""
_LARGEST_BYTES = 2.6e9
"""Size of the weights of the largest torchvision classifier, ViT-H/14 with 633 million parameters."""
_NUM_CLASSES = 400
"""Number of classes to estimate the model size before the data was read; that of Kinetics-400."""


@dataclass(frozen=True)
class Fitted:
    """Resources of a launch that fit its limits.

    Attributes:
        profile: Resources of one task.
        num_workers: Number of tasks.
        num_trials: Number of trials; None if only a budget ends the sweep.
        notes: Notes for the user: what was reduced, and why.
    """

    profile: AnyProfile
    num_workers: int
    num_trials: int | None
    notes: tuple[str, ...]


def fit(
    sweep: SweepFile,
    *,
    experiments: Sequence[Spec],
    options: SweepOptions,
    folder: SweepFolder,
    profile: AnyProfile,
    num_workers: int | None,
) -> Fitted:
    """Fit the resources of a launch to its limits and its number of trials.

    Args:
        sweep: Sweep file.
        experiments: Experiments that the trials vary; the first one is that of the sweep file.
        options: Options that are frozen with the sweep.
        folder: Folder of the sweep.
        profile: Resources of one task.
        num_workers: Number of tasks; None for as many as are useful.

    Raises:
        UserError: For a request that cannot fit, and for an option that would have no effect.
        VidclsError: If the checkpoints would not fit on the disk.
    """
    profile = profile.packed(options.per_gpu) if options.per_gpu > 1 else profile
    num_trials = _num_trials(sweep, options)
    _refuse(sweep, experiments[0], options, profile, num_trials)
    notes: list[str] = []
    num_workers = _trim_workers(num_workers, num_trials, options, profile, notes)
    profile, num_workers = _trim_time(profile, num_workers, options, notes)
    _check_disk(folder, experiments, options, num_workers, num_trials)
    return Fitted(profile, num_workers, num_trials, tuple(notes))


def _num_trials(sweep: SweepFile, options: SweepOptions) -> int | None:
    num_configurations = open_searcher(sweep, seed=options.seed).num_configurations
    return planned_trials(sweep, options, num_configurations, 0)


def _refuse(
    sweep: SweepFile, base: Spec, options: SweepOptions, profile: AnyProfile, num_trials: int | None
) -> None:
    if options.until is not None and options.until <= time.time():
        raise UserError(
            "--until: this time is in the past", hint="for example --until 23:30 or --max-hours 8"
        )
    if num_trials is None and options.until is None and options.gpu_hours is None:
        raise UserError(
            f"{sweep.path}: this sweep would never end",
            hint="set run_cap in this file, or give --max-hours or --gpu-hours",
        )
    if options.gpu_hours is not None and profile.num_gpus == 0:
        raise UserError("--gpu-hours: the profile requests no GPU", hint="give --max-hours instead")
    if (profile.num_gpus or 0) > 1:
        raise UserError(
            f"the profile requests {profile.num_gpus} GPUs, but a worker uses only one",
            hint="set gpus.count: 1 and start more workers with --workers",
        )
    if options.repeats > 1 and "seed" in sweep.space.names:
        raise UserError(
            f"{sweep.place('parameters.seed')}: seed is a parameter of the sweep, so --repeats has no effect"
        )
    if options.asha:
        if sweep.metric is None:
            raise UserError(
                f"{sweep.path}: --asha needs a metric", hint="metric: {name: val/top1, goal: maximize}"
            )
        rungs = Rungs.of(sweep, num_epochs=base.train.epochs)
        longest = most_epochs(sweep, base)
        if len(rungs.of_point({"train.epochs": longest})) < 2:
            raise UserError(
                f"{sweep.path}: --asha has no rung before the end of a trial, which trains for {longest} "
                "epoch(s)",
                hint="raise train.epochs, lower early_terminate.min_iter, or leave out --asha",
            )


def _trim_workers(
    asked: int | None, num_trials: int | None, options: SweepOptions, profile: AnyProfile, notes: list[str]
) -> int:
    local = isinstance(profile, LocalProfile)
    number = asked or (max(1, num_gpus()) if local else DEFAULT_TASKS)
    largest = open_queue(profile).largest_array()
    if largest is not None and number > largest:
        notes.append(
            f"{number} workers: the queue allows arrays of at most {largest} tasks, so {largest} workers "
            "are started"
        )
        number = largest
    if num_trials is not None and number * options.per_gpu > num_trials:
        useful = math.ceil(num_trials / options.per_gpu)
        if asked is not None:
            notes.append(f"{number} workers for {num_trials} trials: only {useful} workers are started")
        number = useful
    return number


def _trim_time(
    profile: AnyProfile, num_workers: int, options: SweepOptions, notes: list[str]
) -> tuple[AnyProfile, int]:
    """Shorten allocations that a limit would leave idle; reduce their number to what the budget can pay."""
    if not isinstance(profile, QueuedProfile):
        return profile, num_workers
    limit_s = float(profile.time_s)
    if options.until is not None and options.until - time.time() < limit_s:
        limit_s = options.until - time.time()
    if options.gpu_hours is not None:
        budget_s = options.gpu_hours * 3600 / max(1, profile.num_gpus)
        limit_s = min(limit_s, budget_s)
        if num_workers * limit_s > budget_s:
            fitting = max(1, int(budget_s // limit_s))
            if fitting < num_workers:
                notes.append(
                    f"{num_workers} workers of {limit_s / 3600:.2g} h: {options.gpu_hours:g} GPU hours are "
                    f"enough for {fitting} workers"
                )
                num_workers = fitting
    minutes = math.ceil(limit_s / 60)
    if limit_s < 60 or limit_s <= profile.warn_s:
        raise UserError(
            f"a task would have only {limit_s:.0f} s, and would be warned {profile.warn_s} s before its end",
            hint="raise --gpu-hours, --max-hours or --until, or lower warn_s in the profile",
        )
    if minutes * 60 < profile.time_s:
        notes.append(f"the time limit of a task is reduced from {profile.time} to {minutes} minutes")
        profile = profile.model_copy(update={"time": str(minutes)})
    return profile, num_workers


def copies_at_once(options: SweepOptions, num_workers: int, num_trials: int | None) -> int:
    """Maximum number of trials that hold a resumable checkpoint at one time; under ASHA, all trials."""
    paused = (num_trials or 0) if options.asha else 0
    return num_workers * options.per_gpu + paused


def runs_kept(options: SweepOptions, num_trials: int | None) -> int:
    """Maximum number of ended runs whose best checkpoint stays: those of the best `keep` configurations."""
    kept = options.keep * options.repeats
    return kept if num_trials is None else min(kept, num_trials)


def _check_disk(
    folder: SweepFolder,
    experiments: Sequence[Spec],
    options: SweepOptions,
    num_workers: int,
    num_trials: int | None,
) -> None:
    disk = nearest_folder(folder.path)
    free = shutil.disk_usage(disk).free
    at_once = copies_at_once(options, num_workers, num_trials)
    num_kept = runs_kept(options, num_trials)
    of_kept = _ADAMW_COPIES if any(one.train.keep_last for one in experiments) else 1
    copies = _ADAMW_COPIES * at_once + of_kept * num_kept
    if free >= copies * _LARGEST_BYTES:
        return  # enough for any model, so the model need not be built, which would load torch
    from vidcls.models.describe import describe

    each = (describe(one.model, clip=one.clip, num_classes=_NUM_CLASSES) for one in experiments)
    needed = copies * 4 * max(summary.num_params for summary in each)
    if free < needed:
        raise VidclsError(
            f"{disk}: {free / 1e9:.1f} GB free; the checkpoints of {at_once} trials and of the best"
            f" {num_kept} runs take about {needed / 1e9:.1f} GB",
            hint="set runs_dir to a larger disk, or give smaller numbers for --workers or --keep",
        )
