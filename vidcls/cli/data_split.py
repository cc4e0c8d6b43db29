"""`vidcls data split`: splits that no group crosses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vidcls.cli.common import AsJson, console, print_json, say
from vidcls.cli.data_relations import (
    FeaturesArg,
    RootArg,
    SourceArg,
    SplitNumberArg,
    StoreDirArg,
    find_relations,
    read_root,
)
from vidcls.errors import ExitCode, UserError

if TYPE_CHECKING:
    from vidcls.data.manifest import Manifest
    from vidcls.spec.sections import Split


def split(
    root: RootArg,
    *,
    out: Annotated[Path, typer.Option(metavar="FILE.csv", help="Manifest to write; data.root can name it.")],
    by: Annotated[
        Literal["group", "content"],
        typer.Option(help="What must not be parted: known groups, or also what looks alike."),
    ] = "group",
    sizes: Annotated[
        str | None,
        typer.Option(help="0.8,0.2 (train,val[,test]), or train=320,val=80[,test=...]; 0.8,0.2 if unset."),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=2, max=100, help="K manifests instead, FILE-fold1.csv and so on.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another draw.")] = 0,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="OLD.csv", help="Videos of this manifest stay in their splits."),
    ] = None,
    features: FeaturesArg = "auto",
    as_json: AsJson = False,
    split_number: SplitNumberArg = None,
    source: SourceArg = "auto",
    store_dir: StoreDirArg = Path("store"),
) -> None:
    """Write a manifest whose splits share no group, every class in proportion as far as whole groups allow.

    The draw depends on the seed and the names of the groups: videos that are added later move few others, and
    none that --keep names. Exit code 3 where videos of ROOT cannot be read and so are in no split.
    """
    if out.suffix.lower() != ".csv":
        raise UserError(f"--out: {out} does not end in .csv")
    if folds is not None and (sizes is not None or keep is not None):
        raise UserError("--sizes and --keep have no effect with --folds", hint="leave them out")
    wanted = _sizes("0.8,0.2" if sizes is None else sizes)
    manifest = read_root(root, store_dir=store_dir, split_number=split_number, source=source)
    if (test := manifest.split("test")) and "test" not in ({} if folds else wanted):
        say(f"{len(test)} test videos go to train and val here: keep another test aside")
    old = _as_listed(read_root(keep, store_dir=store_dir)) if keep is not None else None
    relations = find_relations(manifest, by=by, features=features, store_dir=store_dir)
    if relations.num_unknown:
        what = "have no group" if by == "group" else "could not be read"
        say(f"{relations.num_unknown} videos {what}: each is taken for a group of its own")

    from vidcls.data.leaks.resplit import resplit, resplit_folds

    if folds is None:
        made = {out: resplit(relations, sizes=wanted, seed=seed, keep=old)}
    else:
        parts = resplit_folds(relations, num_folds=folds, seed=seed)
        made = {out.with_stem(f"{out.stem}-fold{number}"): part for number, part in enumerate(parts, start=1)}
    _write(made)
    _show(made, as_json=as_json)
    if manifest.num_left_out:
        raise typer.Exit(ExitCode.PARTLY_DONE)


def _as_listed(manifest: Manifest) -> Manifest:
    """A manifest without the val that was cut from its train."""
    if not manifest.val_is_cut:
        return manifest
    videos = (replace(video, split="train") if video.split == "val" else video for video in manifest.videos)
    return replace(manifest, videos=tuple(videos))


def _write(made: Mapping[Path, Manifest]) -> None:
    for path, manifest in made.items():
        try:
            manifest.write_csv(path)
        except OSError as error:
            raise UserError(f"--out: cannot write {path}: {error.strerror}") from error


def _sizes(text: str) -> Mapping[Split, float] | Mapping[Split, int]:
    from vidcls.spec.sections import SPLITS

    parts = [part.strip() for part in text.split(",")]
    named = [
        re.fullmatch(r"(?:(train|val|test)=)?([0-9]{1,9}|[0-9]{0,9}\.[0-9]{1,9})", part) for part in parts
    ]
    names = [match[1] if match else None for match in named]
    numbers = [match[2] for match in named if match]
    is_plain = names == [None] * len(parts) and 2 <= len(parts) <= len(SPLITS)
    is_named = None not in names and len(set(names)) == len(names)
    is_whole = [number.isdigit() for number in numbers]
    if len(numbers) != len(parts) or not (is_plain or is_named) or len(set(is_whole)) != 1:
        raise UserError(
            f"--sizes: {text} cannot be read", hint="--sizes 0.8,0.2 or --sizes train=320,val=80,test=40"
        )
    splits = (
        SPLITS[: len(parts)] if is_plain else [split for name in names for split in SPLITS if split == name]
    )
    if all(is_whole):
        return {split: int(number) for split, number in zip(splits, numbers, strict=True)}
    return {split: float(number) for split, number in zip(splits, numbers, strict=True)}


def _show(made: Mapping[Path, Manifest], *, as_json: bool) -> None:
    from rich.markup import escape
    from rich.table import Table

    from vidcls.data.leaks.resplit import counts

    if as_json:
        print_json({str(path): counts(manifest) for path, manifest in made.items()})
        return
    for path, manifest in made.items():
        table = counts(manifest)
        splits = list(next(iter(table.values())))
        shown = Table("class", *splits, show_footer=True)
        for name, row in table.items():
            shown.add_row(escape(name), *(str(row[split]) for split in splits))
        shown.columns[0].footer = "all"
        for column, split in zip(shown.columns[1:], splits, strict=True):
            column.justify, column.footer = "right", str(len(manifest.split(split)))
        console().print(shown)
        num_groups = len({video.group for video in manifest.videos if video.group is not None})
        console().print(
            f"wrote {path}: {num_groups} groups, none in two splits; use it with data.root={path}",
            markup=False,
            soft_wrap=True,
        )
