"""Options of `vidcls sweep launch` that are frozen with a sweep."""

from __future__ import annotations

from typing import Annotated

import typer

Seed = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the search.")]
Asha = Annotated[bool, typer.Option("--asha", help="Train on only the best of each rung.")]
Repeats = Annotated[int, typer.Option(min=1, max=1000, help="Seeds for each point.")]
PerGpu = Annotated[int, typer.Option(min=1, max=1000, help="Trials at once in one task.")]
Keep = Annotated[
    int, typer.Option(min=0, max=10**6, help="Weights are kept of so many of the best configurations.")
]
Attempts = Annotated[int, typer.Option(min=1, max=1000, help="Crashes until a trial has failed.")]
MaxHours = Annotated[
    float | None, typer.Option(min=1e-6, max=10**6, help="All workers end so many hours from now.")
]
Until = Annotated[str | None, typer.Option(help="All workers end: 23:30, or 2026-12-24T18:00.")]
GpuHours = Annotated[
    float | None, typer.Option(min=1e-6, max=10**9, help="What all workers may spend together.")
]
LeaseS = Annotated[
    float, typer.Option(min=0.1, max=10**6, help="Seconds of silence after which a worker is dead.")
]
