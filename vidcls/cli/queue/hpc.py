"""`vidcls hpc`: builds the virtual environment of a cluster's jobs, and checks it on a node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidcls.cli.common import emit
from vidcls.cli.queue.queued import QueuedCommand, queue_command
from vidcls.errors import UserError, VidclsError

if TYPE_CHECKING:
    from vidcls.launch.profile import Profile


def hpc(
    cluster: Annotated[str, typer.Argument(metavar="PROFILE", help="Name of slurm/PROFILE.yaml, or a file.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print both scripts.")] = False,
) -> None:
    """Build the virtual environment for the jobs of a profile, and test it with a queued `vidcls doctor`.

    In a checkout of vidcls, it installs that checkout; in any other folder, it installs this version.
    """
    import subprocess

    from vidcls.launch.commands import environment
    from vidcls.launch.profiles import find_profile

    profile = find_profile(cluster)
    script = build_script(profile, checkout=Path.cwd() if Path("pyproject.toml").is_file() else None)
    if dry_run:
        emit(f"{script}\n")
    # A login shell, because clusters define `module` there.
    elif subprocess.run(["bash", "-l", "-c", script], env=environment(), check=False).returncode != 0:
        raise VidclsError(
            f"{profile.venv_dir}: could not be built",
            hint="the reason is above; correct it, then give the same command again",
        )
    logs = Path(profile.scratch or Path.cwd()) / "logs"
    queue_command(QueuedCommand(["doctor"], "vidcls doctor", logs, cluster), dry_run=dry_run, as_json=False)


def build_script(profile: Profile, *, checkout: Path | None) -> str:
    """Bash script that builds the virtual environment of a profile.

    Raises:
        UserError: If the profile sets no path for it.
    """
    from importlib.metadata import version

    from vidcls.launch.script import quote

    if profile.venv_dir is None:
        raise UserError(
            "the profile has no folder for a virtual environment", hint="set scratch or venv in the profile"
        )
    venv = quote(str(profile.venv_dir))
    what = f"vidcls=={version('vidcls')}"
    if checkout is not None:
        pins = checkout / "constraints.txt"
        what = f"--constraint {quote(str(pins))} " * pins.is_file() + quote(str(checkout))
    lines = [
        *profile.setup,
        "set -eu",
        f"export PIP_CACHE_DIR={quote(str(profile.venv_dir.parent / 'pip'))}  # not the home quota",
        f"python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {{ {_TOO_OLD} }}",
        f"python3 -m venv {venv}",
        f"{venv}/bin/python -m pip install --disable-pip-version-check --upgrade {what}",
    ]
    return "\n".join(lines)


_TOO_OLD = "echo 'Python 3.11 or newer is needed: load a module for it in setup'; exit 1;"
