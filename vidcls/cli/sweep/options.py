"""Options of `vidcls sweep launch` and `vidcls race`; most are frozen with the sweep."""

from __future__ import annotations

from typing import Annotated

import typer

Seed = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the search.")]
Asha = Annotated[bool, typer.Option("--asha", help="After each rung, continue only the best trials (ASHA).")]
Repeats = Annotated[
    int, typer.Option(min=1, max=1000, help="Number of trials for each point, each with its own seed.")
]
PerGpu = Annotated[
    int, typer.Option(min=1, max=1000, help="Number of trials at the same time in one task, on its GPU.")
]
Keep = Annotated[
    int, typer.Option(min=0, max=10**6, help="Number of best configurations whose weights are kept.")
]
Attempts = Annotated[
    int, typer.Option(min=1, max=1000, help="Number of crashes after which a trial has failed.")
]
MaxHours = Annotated[
    float | None, typer.Option(min=1e-6, max=10**6, help="All workers stop this number of hours from now.")
]
Until = Annotated[
    str | None, typer.Option(help="Time at which all workers stop: 23:30, or 2026-12-24T18:00.")
]
GpuHours = Annotated[
    float | None,
    typer.Option(min=1e-6, max=10**9, help="Maximum number of GPU hours of all workers together."),
]
LeaseS = Annotated[
    float,
    typer.Option(
        min=0.1, max=10**6, help="Seconds without a sign of life after which a worker counts as dead."
    ),
]
NoWeights = Annotated[
    bool, typer.Option("--no-weights", help="Remove the weights of each training once its logits are stored.")
]
MaxSeeds = Annotated[int, typer.Option(min=2, max=100, help="Largest number of seeds of one experiment.")]
LaunchCluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="PROFILE",
        help="Name of slurm/PROFILE.yaml, or a file; default: the profile for this machine's queue.",
    ),
]
LaunchWorkers = Annotated[
    int | None, typer.Option(min=1, max=10_000, help="Number of workers; default: as many as are useful.")
]
OnlyScript = Annotated[bool, typer.Option("--dry-run", help="Only print the script of the job.")]
UntilOver = Annotated[bool, typer.Option("--wait", help="Wait until the race is over.")]
