"""`vidcls init`: a folder to work in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidcls.cli.common import echo
from vidcls.errors import UserError

_FOLDERS = ("experiments", "sweeps", "slurm")


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where; made if it does not exist.")],
) -> None:
    """Write a project: experiments, sweeps, cluster profiles and a Makefile. Overwrites nothing."""
    import shutil

    inside = Path(__file__).parents[1] / "project"
    sources = {name: _shipped(name) for name in _FOLDERS} | {"Makefile": inside / "Makefile"}
    present = [name for name in sources if (folder / name).exists()]
    if present:
        raise UserError(
            f"{folder}: has {', '.join(present)} already", hint="name a new folder, or move them away"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in sources.items():
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "single"))
        else:
            shutil.copy(source, folder / name)
    echo(f"{folder}: experiments/ sweeps/ slurm/ Makefile")
    echo(f"next: cd {folder} && make train")


def _shipped(name: str) -> Path:
    """A folder of the wheel, or of the checkout that an editable install points to."""
    package = Path(__file__).parents[1]
    inside = package / "project" / name
    return inside if inside.is_dir() else package.parent / name
