"""`vidcls model`: lists the backbones, shows the tensor flow and the cost of a model, and tests it."""

from __future__ import annotations

import sys
from contextlib import nullcontext, redirect_stdout
from typing import TYPE_CHECKING, Annotated

import typer

from vidcls.cli.common import AsJson, DataFile, SpecArgs, console, echo, load_one, print_json
from vidcls.errors import ExitCode

if TYPE_CHECKING:
    from vidcls.models.describe import FlowStep, ModelSummary
    from vidcls.training.cost.report import StepCost

app = typer.Typer(no_args_is_help=True, help="List backbones; show the layers and sizes of a model; test it.")


@app.command("list")
def list_backbones(
    timm: Annotated[
        str | None,
        typer.Option(metavar="PATTERN", help="Only list timm backbones that match, such as 'resnet*'."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the allowed values of model.backbone for each kind of model."""
    from vidcls.cli.output.screen import styled
    from vidcls.models.backbones.names import names_2d, names_3d
    from vidcls.models.backbones.timm2d import timm_names
    from vidcls.models.backbones.video3d import FIXED_CLIPS
    from vidcls.spec.model import STREAM_KINDS, SingleModelSection

    families = {"2d": names_2d(), "video": names_3d()} if timm is None else {"2d": timm_names(timm)}
    if as_json:
        print_json(families)
        return
    out = console()
    for family, names in families.items():
        kinds = ", ".join(
            kind
            for kind, section in STREAM_KINDS.items()
            if issubclass(section, SingleModelSection) and section.takes == family
        )
        out.print(styled(family, "bold"), f"(model.kind: {kinds})")
        for name in names:
            fixed = FIXED_CLIPS.get(name)
            note = f"  takes clip.frames={fixed[0]} clip.size=[{fixed[1]},{fixed[2]}] only" if fixed else ""
            out.print(f"  {name}{note}", soft_wrap=True)
    if timm is not None and not families["2d"]:
        out.print("no backbone matches; * stands for any letters, as in 'resnet*'")
    if timm is None:
        out.print(
            "timm/NAME takes a timm backbone that gives a spatial map: vidcls model list --timm PATTERN"
        )
    out.print(
        "model.kind: cnn3d also takes 2D backbones and inflates them to 3D, if all layers have a 3D form"
    )
    out.print("model.kind: ensemble combines several models of these kinds: model.members")
    out.print(
        "model.kind: two_stream combines a model of the frames and one of their motion: model.rgb, "
        "model.motion"
    )


@app.command()
def show(
    args: SpecArgs,
    data_file: DataFile = None,
    classes: Annotated[
        int, typer.Option(min=1, help="Number of classes; in training it comes from the data.")
    ] = 10,
    as_json: AsJson = False,
) -> None:
    """Show the layers of a spec's model with output shapes for one clip, parameters and GFLOPs.

    Below, what a training step costs: its memory, and how many clips per second GPUs can reach. Both are
    computed, not measured: libraries need work space too, and hardly a GPU reaches its peak.
    """
    loaded = load_one(args, data_file)

    from dataclasses import asdict

    from vidcls.models.describe import describe
    from vidcls.training.cost.memory import footprint
    from vidcls.training.cost.report import step_cost

    spec = loaded.spec
    precision = "bf16" if spec.train.precision == "auto" else spec.train.precision
    with loaded.error_context():
        summary = describe(spec.model, clip=spec.clip, num_classes=classes)
        counted = footprint(spec, num_classes=classes, precision=precision)
    cost = step_cost(counted, batch_size=spec.train.batch_size, precision=precision)
    if as_json:
        print_json({**asdict(summary), "step": asdict(cost)})
    else:
        _print(summary, layer_decay=spec.optim.layer_decay)
        _print_cost(cost)


@app.command("test")
def check(
    args: SpecArgs,
    data_file: DataFile = None,
    classes: Annotated[
        int, typer.Option(min=2, help="Number of classes; in training it comes from the data.")
    ] = 10,
    as_json: AsJson = False,
) -> None:
    """Check that a spec's model can be trained, resumed and exported, such as a model of your own.

    It reads no data. Exit code 1 if a check failed; a note only says what the model cannot do.
    """
    loaded = load_one(args, data_file)

    from dataclasses import asdict

    from vidcls.campaign.model_test import check_model

    results = []
    # What the user's code prints is no part of the JSON.
    with loaded.error_context(), redirect_stdout(sys.stderr) if as_json else nullcontext():
        for result in check_model(loaded.spec, num_classes=classes):
            results.append(result)
            if not as_json:
                echo(f"{result.state:6} {result.name}: {result.found}")
                if result.todo:
                    echo(f"       {result.todo}")
    if as_json:
        print_json([asdict(result) for result in results])
    if any(result.state == "failed" for result in results):
        raise typer.Exit(int(ExitCode.FAILED))


def _print(summary: ModelSummary, *, layer_decay: float) -> None:
    from vidcls.cli.output.screen import Table

    # A column with the same value for every stage is left out.
    says_rate = layer_decay < 1 or summary.num_trainable < summary.num_params
    table = Table("stage", "module", "output", "parameters", *(["learning rate"] if says_rate else []))
    table.columns[3].justify = "right"
    table.add_row("clip", "", _shape(summary.clip_shape), "")
    for stage in summary.stages:
        rate = [_rate(stage, layer_decay)] if says_rate else []
        table.add_row(stage.name, stage.module, _shape(stage.shape), f"{stage.num_params:,}", *rate)
    out = console()
    out.print(table)
    out.print(f"{summary.kind}: {summary.num_params:,} parameters, {summary.num_trainable:,} trainable")
    out.print(f"{summary.gflops:.3g} GFLOPs forward for each clip (a multiply-add is two)")


def _print_cost(cost: StepCost) -> None:
    from vidcls.cli.output.screen import Table

    table = Table("computed for", "memory", "clips/s at most", "limit")
    for bound in cost.bounds:
        limit = "arithmetic" if bound.compute_share > 0.5 else "bandwidth"
        table.add_row(bound.card, f"{bound.memory_bytes / 1e9:.0f} GB", f"{bound.clips_per_s:,.0f}", limit)
    out = console()
    out.print(
        f"a training step of {cost.batch_size} clips in {cost.precision}: {cost.training_bytes / 1e9:.2g} GB "
        f"of tensors, {cost.gflops:.3g} GFLOPs"
    )
    out.print(table)


def _rate(stage: FlowStep, layer_decay: float) -> str:
    """Learning rate of a stage as a share of `optim.lr`."""
    if not stage.num_params:
        return ""
    if not stage.num_trainable:
        return "frozen"
    rate = f"x {layer_decay**stage.level:.3g}" if stage.level is not None else "several"
    return rate if stage.num_trainable == stage.num_params else f"{rate}, partly frozen"


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
