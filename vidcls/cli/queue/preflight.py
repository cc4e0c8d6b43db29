"""Preflight check before anything is queued: errors are refused, warnings are shown to the user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from vidcls.cli.common import echo, say
from vidcls.errors import UserError

if TYPE_CHECKING:
    from vidcls.campaign.preflight.finding import PreflightFinding, PreflightRequest

NoCheck = Annotated[bool, typer.Option("--no-check", help="Queue it without running `vidcls check` first.")]


NEEDED = ("torch", "torchvision", "av", "cv2", "numpy")


_COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


def require_all() -> None:
    """Refuse to check in an environment that can only queue, such as the one of `make hpc` on login nodes.

    Raises:
        UserError: If a package that trainings need is not installed here.
    """
    from importlib.util import find_spec

    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(
            f"not installed here, so nothing can be checked: {', '.join(missing)}",
            hint="use vidcls from the virtual environment of the jobs, or give --no-check to queue without "
            "checks",
        )


def look(asked: PreflightRequest) -> list[PreflightFinding]:
    """Run the preflight of a request with a progress display, and return its findings."""
    from vidcls.campaign.preflight.check import preflight
    from vidcls.cli.output.display import open_display

    with open_display() as display:
        return preflight(asked, display=display)


def look_before_queueing(asked: PreflightRequest) -> None:
    """Run the preflight of a request before it is queued.

    Raises:
        UserError: If a finding is an error.
    """
    refuse_errors(look(asked))


def refuse_without_cluster(no_check: bool) -> None:
    """Refuse `--no-check` without `--cluster`, where it has no effect.

    Raises:
        UserError: If the flag is set.
    """
    if no_check:
        raise UserError("--no-check: has no effect without --cluster", hint="leave it out")


def refuse_errors(findings: Sequence[PreflightFinding]) -> None:
    """Show findings on stderr before something is queued.

    Raises:
        UserError: If a finding is an error.
    """
    for finding in findings:
        if finding.state != "ok":
            print_finding(finding, err=True)
    num_errors = sum(finding.state == "error" for finding in findings)
    if num_errors:
        raise UserError(
            f"nothing was queued: {num_errors} of {len(findings)} checks failed",
            hint="correct this, or give --no-check to queue it nevertheless",
        )
    say(f"checked: {len(findings)} points, no errors")


def print_finding(finding: PreflightFinding, *, err: bool = False) -> None:
    """Print a finding, and below it the advice if there is a problem."""
    # One line per finding, even in a narrow terminal, so that names are not split.
    state = typer.style(f"{finding.state:<8}", fg=_COLOURS[finding.state])
    echo(f"{finding.what:<11}{finding.found}", err=err, head=state)
    if finding.todo and finding.state != "ok":
        for line in finding.todo.splitlines():
            echo(f"{'':<19}{line.strip()}", err=err)
