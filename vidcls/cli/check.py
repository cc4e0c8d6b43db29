"""`vidcls check`, and the same before anything is queued."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidcls.cli.common import AsJson, DataFile, echo, load_one, print_json, say, split_args
from vidcls.cli.queued import Cluster, as_words
from vidcls.errors import ExitCode, UserError

if TYPE_CHECKING:
    from vidcls.campaign.preflight.finding import Asked, Finding

NoCheck = Annotated[bool, typer.Option("--no-check", help="Queue it without the look of `vidcls check`.")]
NEEDED = ("torch", "torchvision", "av", "cv2", "numpy")
_COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


def check(
    args: Annotated[
        list[str],
        typer.Argument(metavar="SPEC|SWEEP [KEY=VALUE]...", help="An experiment or a sweep, and overrides."),
    ],
    data_file: DataFile = None,
    cluster: Cluster = None,
    as_json: AsJson = False,
) -> None:
    """Look at all that would make a job fail, before it waits in a queue: data, model, disk, queue.

    Exit codes: 0 done, warnings or not; 2 where something would fail.
    """
    require_all()
    files, overrides = split_args(args)
    is_sweep = len(files) == 1 and _is_sweep(files[0])
    if is_sweep and data_file is not None:
        raise UserError("--data: a sweep names its data in `command`", hint="write it there: --data FILE")
    if is_sweep:
        asked = _ask_for_sweep(files[0], overrides, cluster)
    else:
        asked = _ask_for_spec(args, data_file, cluster)
    findings = look(asked)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            _print(finding)
    if any(finding.state == "error" for finding in findings):
        raise typer.Exit(int(ExitCode.USER_MISTAKE))
    if not as_json:
        verb = ["sweep", "launch"] if is_sweep else ["train"]
        words = [*verb, *args, *as_words({"--data": data_file, "--cluster": cluster})]
        echo(f"next: vidcls {shlex.join(words)}")


def require_all() -> None:
    """Refuse to check in an environment that only queues, as `make hpc` builds one for login nodes.

    Raises:
        UserError: If something that trainings need is not installed here.
    """
    from importlib.util import find_spec

    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(
            f"{', '.join(missing)} not installed here, so nothing can be checked",
            hint="use the vidcls of the jobs' own environment, or --no-check queues it unseen",
        )


def look(asked: Asked) -> list[Finding]:
    """The findings on what is asked about, with a display of what is done."""
    from vidcls.campaign.preflight.check import preflight
    from vidcls.cli.display import open_display

    with open_display() as display:
        return preflight(asked, display=display)


def look_before_queueing(asked: Asked) -> None:
    """Look at what goes to a queue.

    Raises:
        UserError: If something would fail.
    """
    refuse_errors(look(asked))


def refuse_without_cluster(no_check: bool) -> None:
    """Refuse a flag that has no effect.

    Raises:
        UserError: If it is set.
    """
    if no_check:
        raise UserError("--no-check: nothing is queued, so nothing is checked before", hint="leave it out")


def refuse_errors(findings: Sequence[Finding]) -> None:
    """Show what a person should know before something is queued, on stderr.

    Raises:
        UserError: If something would fail.
    """
    for finding in findings:
        if finding.state != "ok":
            _print(finding, err=True)
    num_errors = sum(finding.state == "error" for finding in findings)
    if num_errors:
        raise UserError(
            f"nothing was queued: {num_errors} of {len(findings)} checks failed",
            hint="mend that, or --no-check queues it nevertheless",
        )
    say(f"checked: {len(findings)} points, nothing that would fail")


def _print(finding: Finding, *, err: bool = False) -> None:
    # One line each, however narrow the terminal: names stay whole.
    state = typer.style(f"{finding.state:<8}", fg=_COLOURS[finding.state])
    echo(f"{finding.what:<11}{finding.found}", err=err, head=state)
    if finding.todo and finding.state != "ok":
        for line in finding.todo.splitlines():
            echo(f"{'':<19}{line.strip()}", err=err)


def _is_sweep(file: Path) -> bool:
    from vidcls.spec.yaml import parse_file

    tree, _ = parse_file(file)
    return tree is not None and any(tree.child(key) is not None for key in ("method", "parameters"))


def _ask_for_spec(args: list[str], data_file: Path | None, cluster: str | None) -> Asked:
    from vidcls.campaign.preflight.check import ask_for_spec
    from vidcls.cli.queued import job_for
    from vidcls.cli.queued_trainings import queued_training
    from vidcls.launch.profile import LocalProfile
    from vidcls.launch.profiles import find_profile

    loaded = load_one(args, data_file)
    if cluster is None:
        return ask_for_spec(loaded, profile=LocalProfile())
    profile = find_profile(cluster)
    job = job_for(queued_training(loaded, [], cluster=cluster, look=False), profile)
    return ask_for_spec(loaded, profile=profile, job=job)


def _ask_for_sweep(file: Path, overrides: list[str], cluster: str | None) -> Asked:
    import time

    from vidcls.campaign.preflight.check import ask_for_sweep
    from vidcls.launch.profiles import find_profile
    from vidcls.sweep.check import describe
    from vidcls.sweep.file import load_sweep
    from vidcls.sweep.folder import SweepOptions
    from vidcls.sweep.launch import job_of
    from vidcls.sweep.plan import plan_launch

    sweep = load_sweep(file)
    # A budget is given at the launch; here one that trims nothing stands for it.
    endless = describe(sweep).num_trials is None
    options = SweepOptions(until=time.time() + 365 * 24 * 3600) if endless else SweepOptions()
    profile = find_profile(cluster)
    plan = plan_launch(sweep, overrides=tuple(overrides), options=options, profile=profile, num_workers=None)
    return ask_for_sweep(plan, settings=overrides, job=job_of(plan))
