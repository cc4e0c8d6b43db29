"""The look before anything is queued: what would fail is refused, what a person should know is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from vidcls.cli.common import echo, say
from vidcls.errors import UserError

if TYPE_CHECKING:
    from vidcls.campaign.preflight.finding import PreflightFinding, PreflightRequest

NoCheck = Annotated[bool, typer.Option("--no-check", help="Queue it without the look of `vidcls check`.")]


NEEDED = ("torch", "torchvision", "av", "cv2", "numpy")


_COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


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


def look(asked: PreflightRequest) -> list[PreflightFinding]:
    """The findings on what is asked about, with a display of what is done."""
    from vidcls.campaign.preflight.check import preflight
    from vidcls.cli.output.display import open_display

    with open_display() as display:
        return preflight(asked, display=display)


def look_before_queueing(asked: PreflightRequest) -> None:
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


def refuse_errors(findings: Sequence[PreflightFinding]) -> None:
    """Show what a person should know before something is queued, on stderr.

    Raises:
        UserError: If something would fail.
    """
    for finding in findings:
        if finding.state != "ok":
            print_finding(finding, err=True)
    num_errors = sum(finding.state == "error" for finding in findings)
    if num_errors:
        raise UserError(
            f"nothing was queued: {num_errors} of {len(findings)} checks failed",
            hint="mend that, or --no-check queues it nevertheless",
        )
    say(f"checked: {len(findings)} points, nothing that would fail")


def print_finding(finding: PreflightFinding, *, err: bool = False) -> None:
    """Print a finding, and below it what to do where it is not fine."""
    # One line each, however narrow the terminal: names stay whole.
    state = typer.style(f"{finding.state:<8}", fg=_COLOURS[finding.state])
    echo(f"{finding.what:<11}{finding.found}", err=err, head=state)
    if finding.todo and finding.state != "ok":
        for line in finding.todo.splitlines():
            echo(f"{'':<19}{line.strip()}", err=err)
