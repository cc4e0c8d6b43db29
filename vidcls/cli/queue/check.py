"""`vidcls check`: the preflight check of an experiment or a sweep."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidcls.cli.common import AsJson, DataFile, echo, load_one, print_json, split_args
from vidcls.cli.queue.preflight import look, print_finding, require_all
from vidcls.cli.queue.queued import Cluster, as_words
from vidcls.errors import ExitCode, UserError

if TYPE_CHECKING:
    from vidcls.campaign.preflight.finding import PreflightRequest


def check(
    args: Annotated[
        list[str],
        typer.Argument(metavar="SPEC|SWEEP [KEY=VALUE]...", help="Spec or sweep file, and overrides."),
    ],
    data_file: DataFile = None,
    cluster: Cluster = None,
    as_json: AsJson = False,
) -> None:
    """Check everything that could make a job fail before it waits in a queue: data, model, disk, queue.

    Exit codes: 0 no errors, perhaps warnings; 2 if the job would fail.
    """
    require_all()
    files, overrides = split_args(args)
    is_sweep = len(files) == 1 and _is_sweep(files[0])
    if is_sweep and data_file is not None:
        raise UserError(
            "--data: the data file of a sweep belongs in its `command`",
            hint="write --data FILE into `command`",
        )
    if is_sweep:
        asked = _ask_for_sweep(files[0], overrides, cluster)
    else:
        asked = _ask_for_spec(args, data_file, cluster)
    findings = look(asked)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            print_finding(finding)
    if any(finding.state == "error" for finding in findings):
        raise typer.Exit(int(ExitCode.USER_MISTAKE))
    if not as_json:
        verb = ["sweep", "launch"] if is_sweep else ["train"]
        words = [*verb, *args, *as_words({"--data": data_file, "--cluster": cluster})]
        echo(f"next: vidcls {shlex.join(words)}")


def _is_sweep(file: Path) -> bool:
    from vidcls.spec.yaml import parse_file

    tree, _ = parse_file(file)
    return tree is not None and any(tree.child(key) is not None for key in ("method", "parameters"))


def _ask_for_spec(args: list[str], data_file: Path | None, cluster: str | None) -> PreflightRequest:
    from vidcls.campaign.preflight.check import ask_for_spec
    from vidcls.cli.queue.queued import job_for
    from vidcls.cli.queue.trainings import queued_training
    from vidcls.launch.local import LocalProfile
    from vidcls.launch.profiles import find_profile

    loaded = load_one(args, data_file)
    if cluster is None:
        return ask_for_spec(loaded, profile=LocalProfile())
    profile = find_profile(cluster)
    job = job_for(queued_training(loaded, [], cluster=cluster, look=False), profile)
    return ask_for_spec(loaded, profile=profile, job=job)


def _ask_for_sweep(file: Path, overrides: list[str], cluster: str | None) -> PreflightRequest:
    import time

    from vidcls.campaign.preflight.check import ask_for_sweep
    from vidcls.launch.profiles import find_profile
    from vidcls.sweep.config.description import describe
    from vidcls.sweep.config.file import load_sweep
    from vidcls.sweep.launch import job_of
    from vidcls.sweep.plan import plan_launch
    from vidcls.sweep.storage.folder import SweepOptions

    sweep = load_sweep(file)
    # The budget is given at launch; here a budget that limits nothing replaces it.
    endless = describe(sweep).num_trials is None
    options = SweepOptions(until=time.time() + 365 * 24 * 3600) if endless else SweepOptions()
    profile = find_profile(cluster)
    plan = plan_launch(sweep, overrides=tuple(overrides), options=options, profile=profile, num_workers=None)
    return ask_for_sweep(plan, settings=overrides, job=job_of(plan))
