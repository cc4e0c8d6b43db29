"""Code shared by `vidcls data audit` and `vidcls data split`: arguments, reading, finding relatives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vidcls.choices import Layout, Source
from vidcls.cli.common import say
from vidcls.errors import UserError

if TYPE_CHECKING:
    from vidcls.data.manifest import Manifest
    from vidcls.leaks.audit import AskedBy, Relations
    from vidcls.leaks.embeddings import Network

RootArg = Annotated[Path, typer.Argument(metavar="ROOT", help="Folder with the videos, or a CSV manifest.")]
FeaturesArg = Annotated[
    Literal["auto", "pixels", "lite0"],
    typer.Option(
        help="How the content of videos is compared. pixels: colours and edges; lite0: a network from the "
        "extra `lite`; auto: lite0 if it is installed, otherwise pixels."
    ),
]
StoreDirArg = Annotated[Path, typer.Option(help="Folder for caches; best the store_dir of the trainings.")]
SplitNumberArg = Annotated[
    int | None,
    typer.Option(min=1, max=3, help="Number of the official lists of UCF101 or HMDB51; default: 1."),
]
LayoutArg = Annotated[Layout, typer.Option(help="How the folder is organised; auto detects it.")]
SourceArg = Annotated[
    Source,
    typer.Option(
        help="What to read if the data has several of these; auto: videos, otherwise frames, otherwise flows."
    ),
]
TIMEOUT_S = 120.0  # for one file


def read_root(
    root: Path,
    *,
    store_dir: Path,
    layout: Layout = "auto",
    split_number: int | None = None,
    source: Source = "auto",
    val_fraction: float | None = None,
) -> Manifest:
    """Read the manifest of a root; problems are only counted, `vidcls data scan` lists them.

    Raises:
        UserError: If the root cannot be used, or has no usable video.
    """
    from vidcls.cli.output.progress import stages
    from vidcls.data.manifest import read_manifest
    from vidcls.spec.data import DataSection

    section = DataSection(
        root=str(root), layout=layout, split_number=split_number, source=source, val_fraction=val_fraction
    )
    with stages() as progress:
        manifest = read_manifest(
            section, cache_dir=store_dir, progress=lambda done, total: progress("read files", done, total)
        )
    fatal = [problem for problem in manifest.problems if problem.fatal]
    if fatal:
        say(f"{len(fatal)} problems, such as {fatal[0]}; `vidcls data scan {root}` shows all")
    if not manifest.videos:
        raise UserError(f"{root}: no usable video")
    return manifest


def find_relations(manifest: Manifest, *, by: AskedBy, features: str, store_dir: Path) -> Relations:
    """Find the related videos of a manifest, with progress bars.

    Raises:
        UserError: If `by` or `features` require something that is missing.
        VidclsError: If the disk is full.
    """
    from vidcls.cli.output.progress import stages
    from vidcls.data.decoding.workers import Decoders
    from vidcls.leaks.audit import needs_looks, relate
    from vidcls.process.cores import usable_cores

    if features != "auto" and not needs_looks(manifest, by):
        raise UserError(
            f"--features {features}: has no effect without a comparison of the content",
            hint="--by content compares what videos look like",
        )
    network = _network(features) if needs_looks(manifest, by) else None
    decoders = Decoders(workers=usable_cores(), timeout_s=TIMEOUT_S)
    try:
        with stages() as progress:
            return relate(
                manifest, by=by, store_dir=store_dir, decoders=decoders, network=network, progress=progress
            )
    finally:
        decoders.close()


def _network(features: str) -> Network | None:
    if features == "pixels":
        return None
    from vidcls.campaign.audit_network import installed_network

    network = installed_network()
    if network is None and features == "lite0":
        raise UserError(
            "--features lite0: the network is not installed",
            hint="pip install 'vidcls[lite]'",
        )
    return network
