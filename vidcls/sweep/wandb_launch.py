"""Launches a sweep with W&B as engine: the W&B server chooses the points, an array of agents trains them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from vidcls.errors import UserError
from vidcls.launch.frozen import frozen_package, package_path
from vidcls.launch.job import Job
from vidcls.launch.local import LocalProfile
from vidcls.launch.queue import AnyProfile, open_queue
from vidcls.sweep.config.check import check_against_spec, codes_of
from vidcls.sweep.config.file import SweepFile, load_sweep
from vidcls.sweep.fit import DEFAULT_TASKS
from vidcls.sweep.storage.folder import SweepOptions
from vidcls.sweep.wandb import agent_command, create_sweep

_UNKNOWN_YET = "ENTITY/PROJECT/ID"


@dataclass(frozen=True)
class Launched:
    """Agents that were submitted.

    Attributes:
        sweep: Sweep as `entity/project/id`.
        job: Job id in the queue; None for a dry run.
        num_workers: Number of agents.
        script: Script that a dry run prints.
        next_steps: Commands that show the state of the agents.
    """

    sweep: str
    job: str | None
    num_workers: int
    script: str | None
    next_steps: tuple[str, ...]


def launch_wandb(
    file: Path,
    *,
    overrides: tuple[str, ...],
    options: SweepOptions,
    profile: AnyProfile,
    num_workers: int | None,
    dry_run: bool,
) -> Launched:
    """Create the sweep on the server and submit its agents.

    Raises:
        UserError: For options that the W&B server does not support.
        VidclsError: If the server or the queue refuses the request.
    """
    _refuse(file, overrides, options)
    sweep = load_sweep(file, engine="wandb")
    check_against_spec(sweep)
    number = num_workers or (1 if isinstance(profile, LocalProfile) else DEFAULT_TASKS)
    queue = open_queue(profile)
    codes = codes_of(sweep, ())
    if dry_run:
        folder = Path("runs/sweeps").absolute() / sweep.slug
        job = _job(sweep, _UNKNOWN_YET, number, folder, code=package_path(folder, codes))
        return Launched(_UNKNOWN_YET, None, number, queue.script(job), ())
    name = create_sweep(file, project=sweep.project, entity=sweep.entity)
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    folder = Path("runs/sweeps").absolute() / f"{sweep.slug}-wandb-{digest}"
    job = _job(sweep, name, number, folder, code=frozen_package(folder, codes))
    job_id = queue.submit(job)
    return Launched(name, job_id, number, None, tuple(queue.next_steps(job_id)))


def _job(sweep: SweepFile, name: str, num_workers: int, folder: Path, *, code: Path) -> Job:
    return Job(
        name=sweep.name,
        command=agent_command(name) if name != _UNKNOWN_YET else ("wandb", "agent", name),
        # The command of the sweep gives the experiment relative to the folder of the launch.
        folder=Path.cwd(),
        log_dir=folder / "logs",
        num_tasks=num_workers,
        env={"PYTHONPATH": str(code)},
    )


def _refuse(file: Path, overrides: tuple[str, ...], options: SweepOptions) -> None:
    if overrides:
        raise UserError(
            f"{overrides[0]}: has no effect, because W&B's agents run the command in the file",
            hint=f"write it into `command` in {file}, before ${{args}}",
        )
    default = SweepOptions().model_dump()
    for key, value in options.model_dump().items():
        if value != default[key]:
            flag = (
                "--max-hours or --until" if key == "until" else "--" + key.replace("_s", "").replace("_", "-")
            )
            raise UserError(
                f"{flag}: has no effect with --engine wandb, where W&B's server controls the search",
                hint="leave it out, or use --engine serverless",
            )
