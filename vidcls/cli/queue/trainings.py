"""Trainings as jobs, with the current experiment and code. A study is one job for each training."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidcls.cli.common import echo
from vidcls.cli.queue.preflight import NEEDED, look_before_queueing, require_all
from vidcls.cli.queue.queued import AlreadyQueuedError, QueuedCommand, as_words, queue_command
from vidcls.errors import UserError, VidclsError

if TYPE_CHECKING:
    from vidcls.launch.job import Job
    from vidcls.launch.queue import AnyProfile
    from vidcls.spec.load import LoadedSpec

Device = Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N; default: a GPU if there is one.")]
AcceptCode = Annotated[
    bool,
    typer.Option(
        "--accept-code",
        help="Resume although the code, or a package used for computing, changed since the run began.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="With --cluster: only print the scripts.")]


TrustCode = Annotated[
    bool,
    typer.Option(
        "--trust-code",
        help="Run the code that lies in the folder of a run, although it is not code of yours.",
    ),
]


def queued_training(loaded: LoadedSpec, flags: list[str], *, cluster: str, look: bool) -> QueuedCommand:
    """Make the command of a job that trains the experiment in its current form.

    Args:
        loaded: Experiment.
        flags: Further options of `vidcls train`.
        cluster: Name or file of a profile.
        look: Read the data, so that the job refuses to train on other data.
    """
    from vidcls.launch.frozen import FrozenExperiment, queued_dir
    from vidcls.spec.fingerprint import targets_in
    from vidcls.user_code.find import find_code, read_once

    spec = loaded.spec
    with read_once():
        frozen, codes = FrozenExperiment.of(spec), [find_code(target) for target in targets_in(spec)]
        flags = [*flags, *as_words({"--fingerprint": _fingerprint(loaded) if look else None})]
    runs_dir = Path(spec.runs_dir)
    return QueuedCommand(
        ["train", str(frozen.file), *flags],
        name=spec.name,
        log_dir=runs_dir / "logs",
        cluster=cluster,
        code_in=queued_dir(runs_dir),
        experiment=frozen,
        codes=codes,
    )


def _fingerprint(loaded: LoadedSpec) -> str | None:
    """Fingerprint of the experiment on its current data; None if unreadable, which the preflight reports."""
    from importlib.util import find_spec

    from vidcls.spec.fingerprint import fingerprint

    if any(find_spec(name) is None for name in NEEDED):
        return None
    from vidcls.data.manifest import load_manifest

    spec = loaded.spec
    try:
        return fingerprint(spec, load_manifest(spec.data, cache_dir=Path(spec.store_dir)).hash)
    except VidclsError:
        return None


def refuse_other_data(loaded: LoadedSpec, submitted: str) -> None:
    """Make sure that a queued job trains the submitted experiment on the same data.

    Raises:
        UserError: If the data has changed since.
    """
    found = _fingerprint(loaded)
    if found not in (None, submitted):
        raise UserError(
            f"{loaded.spec.data.source_name}: the data changed since this job was queued: the fingerprint "
            f"was {submitted}, and is {found} now",
            hint="restore the data, or queue the training again",
        )


def refuse_beside_queue(cluster: str | None, *, dry_run: bool, out: Path | None, as_json: bool) -> None:
    """Refuse options that have no effect with `--cluster`, or no effect without it.

    Raises:
        UserError: If there is such an option; the message names it.
    """
    if cluster is None and dry_run:
        raise UserError("--dry-run: has no effect without --cluster", hint="add --cluster PROFILE")
    if cluster is not None and (out is not None or as_json):
        raise UserError(
            f"{'--json' if as_json else '--out'}: has no effect with --cluster, because there are no "
            "results yet",
            hint="give it without --cluster after the jobs have ended",
        )


def queue_trainings(
    trainings: Sequence[LoadedSpec], flags: list[str], *, cluster: str, dry_run: bool
) -> None:
    """Queue each training of a study that is neither finished nor queued; the study collects them later.

    Args:
        trainings: Trainings; only the first queued one gets a preflight check, as the others are similar.
        flags: Further options of `vidcls train`.
        cluster: Name or file of a profile.
        dry_run: Print the scripts instead.

    Raises:
        UserError: If the profile has mistakes, or the first training would fail.
        VidclsError: If the queue refuses a job, or does not answer.
    """
    num_queued = num_there = num_finished = 0
    for loaded in trainings:
        if _is_finished(loaded):  # asked just before, as one may end meanwhile
            num_finished += 1
            continue
        job = queued_training(loaded, flags, cluster=cluster, look=not dry_run)
        check = None if num_queued else partial(_check, loaded)
        try:
            queue_command(job, dry_run=dry_run, as_json=False, check=check)
            num_queued += 1
        except AlreadyQueuedError as error:
            echo(error.message)
            num_there += 1
    if not dry_run:
        there = f"{num_there} in the queue already, " if num_there else ""
        echo(f"{num_queued} trainings queued, {there}{num_finished} finished already")
        echo("next: the same command without --cluster, after they have ended")


def _is_finished(loaded: LoadedSpec) -> bool:
    from vidcls.data.manifest import load_manifest
    from vidcls.run.folder import Run
    from vidcls.spec.fingerprint import fingerprint

    spec = loaded.spec
    manifest = load_manifest(spec.data, cache_dir=Path(spec.store_dir))
    return Run.at(spec, fingerprint(spec, manifest.hash)).state == "finished"


def _check(loaded: LoadedSpec, profile: AnyProfile, job: Job) -> None:
    require_all()
    from vidcls.campaign.preflight.check import ask_for_spec

    look_before_queueing(ask_for_spec(loaded, profile=profile, job=job, begins_anew=False))
