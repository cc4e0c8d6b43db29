"""Runs all checks before a job is queued, and returns one list of findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from vidcls.campaign.preflight.data import (
    check_earlier,
    check_leaks,
    check_lengths,
    check_stores,
    load_manifests,
    outlooks,
)
from vidcls.campaign.preflight.environment import check_disk, check_tracking, check_writable
from vidcls.campaign.preflight.finding import Candidate, PreflightFinding, PreflightRequest, has_errors
from vidcls.campaign.preflight.queue import check_features, check_memory, check_queue, check_time
from vidcls.campaign.preflight.trials import check_metric, try_trials
from vidcls.campaign.preflight.weights import check_weights
from vidcls.choices import Split
from vidcls.errors import UserError, VidclsError
from vidcls.launch.job import Job
from vidcls.launch.queue import AnyProfile
from vidcls.run.folder import Run
from vidcls.spec.load import LoadedSpec
from vidcls.sweep.config.check import check_against_spec, points_of
from vidcls.sweep.config.description import describe
from vidcls.sweep.config.file import SweepFile, load_sweep
from vidcls.sweep.plan import LaunchPlan, seconds_of_trial
from vidcls.sweep.space.space import overrides
from vidcls.sweep.storage.folder import SweepFolder
from vidcls.sweep.storage.jobs import worker_job

if TYPE_CHECKING:
    from vidcls.training.session import Display

_MOST_POINTS = 200


def ask_for_spec(
    loaded: LoadedSpec, *, profile: AnyProfile, job: Job | None = None, begins_anew: bool = False
) -> PreflightRequest:
    """Request for the check of one training."""
    return PreflightRequest([Candidate("", loaded)], profile, job, begins_anew=begins_anew)


def ask_for_agents(file: Path, *, profile: AnyProfile) -> PreflightRequest:
    """Request for the check of a sweep whose points are chosen by the W&B server.

    Raises:
        SpecError: If the sweep file does not match its experiment.
    """
    sweep = load_sweep(file, engine="wandb")
    check_against_spec(sweep)
    return PreflightRequest(_candidates(sweep, ()), profile)


def ask_for_sweep(plan: LaunchPlan, *, settings: Sequence[str], job: Job | None = None) -> PreflightRequest:
    """Request for the check of a sweep.

    Args:
        plan: Plan of its launch.
        settings: Fixed settings of every trial, in addition to those in the command of the file.
        job: Job of its workers.
    """
    return PreflightRequest(_candidates(plan.sweep, settings), plan.profile, job, plan)


def ask_for_race(plan: LaunchPlan, loaded: Mapping[str, LoadedSpec], *, job: Job) -> PreflightRequest:
    """Request for the check of a race.

    Args:
        plan: Plan of its launch.
        loaded: Its experiments by name.
        job: Job of its workers.
    """
    return PreflightRequest([Candidate(*one) for one in loaded.items()], plan.profile, job, plan)


def _candidates(sweep: SweepFile, settings: Sequence[str]) -> list[Candidate]:
    points = islice(points_of(sweep, settings), _MOST_POINTS)
    return [Candidate(_label(point), loaded) for point, loaded in points]


def _label(point: dict[str, object]) -> str:
    """Part of a point on which a shape depends."""
    shaping = {key: value for key, value in point.items() if key.startswith(("model", "clip", "train.batch"))}
    return " ".join(overrides(shaping))


def preflight(asked: PreflightRequest, *, display: Display) -> list[PreflightFinding]:
    """Run all checks; checks that are impossible because of an earlier error are left out."""
    manifests, findings = load_manifests(asked.candidates, progress=display.stage)
    findings += [*_space(asked), *check_writable(asked), *check_weights(asked)]
    if not has_errors(findings):
        findings += [*check_earlier(asked, manifests), *check_leaks(asked, manifests)]
        findings += check_lengths(asked, manifests)
        tried, more = try_trials(asked, manifests, display=display)
        findings += [*more, *check_metric(asked, tried)]
        try:
            stores = outlooks(asked.candidates, manifests)
            findings += check_stores(asked, stores, seconds_each=tried.decode_s)
        except VidclsError as error:
            findings.append(PreflightFinding.of("store", error))
            stores = []
        if tried.num_rehearsed:
            findings += check_features(asked, tried, manifests)
            findings += check_disk(asked, tried, stores)
            findings += check_memory(asked, tried, stores)
            findings += check_time(asked, tried, manifests)
    return [*findings, check_tracking(asked), *check_queue(asked)]


def _space(asked: PreflightRequest) -> Iterator[PreflightFinding]:
    """Compare the search space of a sweep with its number of trials."""
    plan = asked.plan
    if plan is None:
        return
    about = describe(plan.sweep, repeats=plan.options.repeats, trial_s=seconds_of_trial(plan.folder))
    points = "a continuous space" if about.num_points is None else f"{about.num_points} points"
    trials = "trials until a budget ends them" if plan.num_trials is None else f"{plan.num_trials} trials"
    hours = f", {about.hours:.2f} hours one after the other" if about.hours is not None else ""
    yield PreflightFinding("space", "ok", f"{points}, {trials}, {plan.num_workers} workers{hours}")
    if len(asked.candidates) == _MOST_POINTS:
        yield PreflightFinding("space", "ok", f"the first {_MOST_POINTS} points with new values were checked")
    for note in (*about.notes, *plan.notes):
        yield PreflightFinding("space", "warning", note, f"see run_cap and method in {plan.sweep.path}")


def check_sweep_job(folder: SweepFolder, profile: AnyProfile) -> list[PreflightFinding]:
    """Check whether a queue accepts a worker of a sweep that was launched before."""
    job = worker_job(folder, profile, name=load_sweep(folder.sweep_file).name, num_workers=1)
    return list(check_queue(PreflightRequest([], profile, job)))


def check_evaluation(
    runs: Sequence[Run], *, split: Split, profile: AnyProfile, job: Job
) -> list[PreflightFinding]:
    """Check whether runs can be evaluated in a job: their data is unchanged, the queue accepts the job."""
    from vidcls.evaluate.run_data import data_of

    findings: list[PreflightFinding] = []
    for run in runs:
        try:
            spec, manifest = data_of(run)
        except UserError as error:
            findings.append(PreflightFinding.of("data", error))
            continue
        num = len(manifest.split(split))
        if split == "test" and spec.data.target is not None:
            found = f"{run.folder}: the data set is made for split=test in the job"
            findings.append(PreflightFinding("data", "ok", found))
        elif not num:
            findings.append(PreflightFinding("data", "error", f"{manifest.root}: no videos in split {split}"))
        else:
            findings.append(PreflightFinding("data", "ok", f"{run.folder}: {num} {split} videos"))
    return [*findings, *check_queue(PreflightRequest([], profile, job))]
