"""`vidcls init`: makes a project folder."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vidcls.cli.common import Force, echo, refuse_overwrite, say
from vidcls.errors import UserError

if TYPE_CHECKING:
    from vidcls.campaign.first_experiment import FirstExperiment, RecipeName
    from vidcls.data.scan import Scan

_FOLDERS = ("experiments", "sweeps", "slurm")
_SCHEMA = "schema.json"


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the project; created if missing.")],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="VIDEOS", help="Folder or CSV with your videos: write an experiment for them."
        ),
    ] = None,
    recipe: Annotated[
        Literal["auto", "few_videos", "few_videos_finetune"],
        typer.Option(
            help="Experiment for --data. few_videos: frozen networks; few_videos_finetune: fine-tuning, "
            "needs a GPU; auto: fine-tuning if this machine has a GPU."
        ),
    ] = "auto",
    examples: Annotated[
        bool, typer.Option("--examples", help="With --data: also write the examples.")
    ] = False,
    force: Force = False,
) -> None:
    """Write a project folder: an experiment for your videos, or examples of experiments, sweeps and clusters.

    With --data: inspects the videos and writes one experiment that suits them and needs no changes.
    Without --data, or with --examples: writes all examples of vidcls and a Makefile.
    """
    if data is None:
        for option, is_given in (
            ("--recipe", recipe != "auto"),
            ("--examples", examples),
            ("--force", force),
        ):
            if is_given:
                raise UserError(f"{option} has no effect without --data", hint="leave it out")
        _copy_examples(_sources(folder), folder)
        echo(f"next: cd {shlex.quote(str(folder))} && make train")
        return
    if folder.resolve().is_relative_to(data.resolve()):
        raise UserError(
            f"{folder}: is inside the folder of the videos, so runs would be mistaken for videos",
            hint="name a folder outside of it",
        )
    name = _name(data)
    file = folder / "experiments" / f"{name}.yaml"
    refuse_overwrite(file, option="DIR", force=force)
    sources = _sources(folder) if examples else {}
    made = _make(data, folder=folder, name=name, recipe=recipe)
    if examples:
        _copy_examples(sources, folder)
    _write(made, file)
    _say(made, folder=folder, name=name)


def _sources(folder: Path) -> dict[str, Path]:
    """Files to copy, by their new names.

    Raises:
        UserError: If one of them exists already.
    """
    from vidcls.installed import shipped_folder

    sources = {name: shipped_folder(name) for name in _FOLDERS}
    sources["Makefile"] = Path(__file__).parents[1] / "project" / "Makefile"
    present = [name for name in sources if (folder / name).exists()]
    if present:
        raise UserError(
            f"{folder}: already contains {', '.join(present)}", hint="name a new folder, or move these away"
        )
    return sources


def _copy_examples(sources: dict[str, Path], folder: Path) -> None:
    import shutil

    folder.mkdir(parents=True, exist_ok=True)
    for name, source in sources.items():
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "single"))
        else:
            shutil.copy(source, folder / name)
    echo(f"{folder}: experiments/ sweeps/ slurm/ Makefile")


def _name(data: Path) -> str:
    """Name of the experiment: the name of the data, with the characters that a name may have."""
    import re

    from vidcls.installed import shipped_folder

    name = re.sub(r"[^A-Za-z0-9._-]+", "_", data.absolute().stem).strip("._-")[:80] or "videos"
    return f"{name}_videos" if (shipped_folder("experiments") / f"{name}.yaml").exists() else name


def _make(data: Path, *, folder: Path, name: str, recipe: Literal["auto"] | RecipeName) -> FirstExperiment:
    from vidcls.leaks.state import leak_state

    store_dir = folder / "store"
    scan = _look(data, store_dir)  # before torch is loaded

    from vidcls.campaign.first_experiment import first_experiment
    from vidcls.installed import shipped_folder
    from vidcls.models.device import pick_device

    if recipe == "auto":
        has_gpu = pick_device().type == "cuda"
        recipe = "few_videos_finetune" if has_gpu else "few_videos"
        say(f"recipe {recipe}, because there is {'a' if has_gpu else 'no'} GPU here; --recipe takes another")
    return first_experiment(
        scan,
        name=name,
        recipe=recipe,
        shipped=shipped_folder("experiments"),
        leaks=leak_state(scan.manifest, store_dir=store_dir),
        store_dir=store_dir,
    )


def _look(data: Path, store_dir: Path) -> Scan:
    from vidcls.cli.output.progress import stages
    from vidcls.data.scan import scan
    from vidcls.spec.data import DataSection

    with stages() as progress:
        return scan(
            DataSection(root=str(data)),
            cache_dir=store_dir if store_dir.is_dir() else None,
            progress=lambda done, total: progress("looking", done, total),
        )


def _write(made: FirstExperiment, file: Path) -> None:
    from vidcls.files import write_text
    from vidcls.spec.show import schema_text

    try:
        write_text(file, made.text)
        if not (file.parent / _SCHEMA).exists():
            write_text(file.parent / _SCHEMA, schema_text())
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror}") from error


def _say(made: FirstExperiment, *, folder: Path, name: str) -> None:
    for remark in made.remarks:
        say(remark)
    file = f"experiments/{name}.yaml"
    for label in made.missing_weights:
        say(f"the weights {label} are not here yet; --recipe few_videos needs no download")
    echo(f"wrote {folder / file}")
    steps = [f"vidcls weights fetch {label}" for label in made.missing_weights]
    steps += [f"vidcls check {file}", f"vidcls train {file}"]
    if folder.resolve() != Path.cwd():
        steps[0] = f"cd {shlex.quote(str(folder))} && {steps[0]}"
    for number, step in enumerate(steps):
        echo(f"{'then' if number else 'next'}: {step}")
