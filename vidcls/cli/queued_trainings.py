"""The trainings of a study go to a queue, one job each; the study itself gathers them afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vidcls.cli.check import look_before_queueing, require_all
from vidcls.cli.common import echo
from vidcls.cli.queued import Queued, queue_command
from vidcls.errors import UserError

if TYPE_CHECKING:
    from vidcls.launch.job import Job
    from vidcls.launch.profile import AnyProfile
    from vidcls.spec.load import LoadedSpec


def refuse_beside_queue(cluster: str | None, *, dry_run: bool, out: Path | None, as_json: bool) -> None:
    """Refuse options that have no effect where trainings are queued, or only there.

    Raises:
        UserError: Naming the option.
    """
    if cluster is None and dry_run:
        raise UserError("--dry-run prints the scripts of jobs", hint="name the queue: --cluster PROFILE")
    if cluster is not None and (out is not None or as_json):
        raise UserError(
            f"{'--json' if as_json else '--out'}: with --cluster nothing is found yet",
            hint="give it without --cluster once the jobs have ended",
        )


def queue_trainings(
    trainings: Sequence[tuple[LoadedSpec, Sequence[str]]], *, cluster: str, dry_run: bool
) -> None:
    """Queue each training that is not finished; the first is looked at before, as the others are like it.

    Args:
        trainings: Trainings, each with the words that follow `vidcls train`.
        cluster: Name or file of a profile.
        dry_run: Print the scripts instead.

    Raises:
        UserError: If the profile is wrong, or the first training would fail.
        VidclsError: If the queue refuses a job.
    """
    num_queued = 0
    for loaded, words in trainings:
        if _is_finished(loaded):
            continue
        spec = loaded.spec
        job = Queued(["train", *words], name=spec.name, log_dir=Path(spec.runs_dir) / "logs", cluster=cluster)
        check = None if num_queued else partial(_check, loaded)
        queue_command(job, dry_run=dry_run, as_json=False, check=check)
        num_queued += 1
    if not dry_run:
        echo(f"{num_queued} trainings queued, {len(trainings) - num_queued} finished already")
        echo("next: the same command without --cluster, once they have ended")


def _is_finished(loaded: LoadedSpec) -> bool:
    from vidcls.data.manifest import load_manifest
    from vidcls.runs import Run
    from vidcls.spec.fingerprint import fingerprint

    spec = loaded.spec
    manifest = load_manifest(spec.data, cache_dir=Path(spec.store_dir))
    return Run.at(spec, fingerprint(spec, manifest.hash)).state == "finished"


def _check(loaded: LoadedSpec, profile: AnyProfile, job: Job) -> None:
    require_all()
    from vidcls.campaign.preflight.check import ask_for_spec

    look_before_queueing(ask_for_spec(loaded, profile=profile, job=job, begins_anew=False))
