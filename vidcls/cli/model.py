"""`vidcls model`: which backbones there are, and what a spec's model does to a clip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vidcls.cli.common import AsJson, DataFile, SpecArgs, console, load_one, print_json

if TYPE_CHECKING:
    from vidcls.models.describe import ModelSummary

app = typer.Typer(no_args_is_help=True, help="List backbones; show what a model is made of.")

_KINDS = {"2d": "frame_average, early_fusion, late_fusion", "video": "cnn3d"}


@app.command("list")
def list_backbones(as_json: AsJson = False) -> None:
    """List the backbones that model.backbone takes, by the kinds of model that take them."""
    from vidcls.models.backbones import FIXED_CLIPS, names_2d, names_3d

    families = {"2d": names_2d(), "video": names_3d()}
    if as_json:
        print_json(families)
        return
    out = console()
    for family, names in families.items():
        out.print(f"[bold]{family}[/bold] (model.kind: {_KINDS[family]})")
        for name in names:
            fixed = FIXED_CLIPS.get(name)
            note = f"  takes clip.frames={fixed[0]} clip.size=[{fixed[1]},{fixed[2]}] only" if fixed else ""
            out.print(f"  {name}{note}", markup=False)
    out.print("model.kind: ensemble joins several models of these kinds; give them as model.members")


@app.command()
def show(
    args: SpecArgs,
    data_file: DataFile = None,
    classes: Annotated[
        int, typer.Option(min=1, help="Number of classes; the data decides in training.")
    ] = 10,
    as_json: AsJson = False,
) -> None:
    """Show the tensor flow of a spec's model for one clip, its parameters and GFLOPs."""
    from dataclasses import asdict

    from vidcls.models.describe import describe

    spec = load_one(args, data_file).spec
    summary = describe(spec.model, clip=spec.clip, num_classes=classes)
    if as_json:
        print_json(asdict(summary))
    else:
        _print(summary)


def _print(summary: ModelSummary) -> None:
    from rich.table import Table

    table = Table("stage", "module", "output", "parameters")
    table.columns[3].justify = "right"
    table.add_row("clip", "", _shape(summary.clip_shape), "")
    for stage in summary.stages:
        table.add_row(stage.name, stage.module, _shape(stage.shape), f"{stage.num_params:,}")
    out = console()
    out.print(table)
    out.print(f"{summary.kind}: {summary.num_params:,} parameters, {summary.num_trainable:,} trainable")
    out.print(f"{summary.gflops:.3g} GFLOPs forward a clip (a multiply-add is two)")


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
