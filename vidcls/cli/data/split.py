"""`vidcls data split`: makes splits that no group crosses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vidcls.cli.common import AsJson, Force, console, print_json, refuse_overwrite, say
from vidcls.cli.data.relations import (
    FeaturesArg,
    LayoutArg,
    RootArg,
    SourceArg,
    SplitNumberArg,
    StoreDirArg,
    find_relations,
    read_root,
)
from vidcls.errors import ExitCode, UserError

if TYPE_CHECKING:
    from vidcls.choices import Split
    from vidcls.data.manifest import Manifest
    from vidcls.leaks.audit import Relations

_TOLERANCE = 1e-6
ByArg = Annotated[
    Literal["group", "content"],
    typer.Option(
        help="Which videos stay in one split: those of a known group, or also those with similar content."
    ),
]
SizesArg = Annotated[
    str | None,
    typer.Option(
        help="Shares such as 0.8,0.2 (train,val[,test]), or numbers such as train=320,val=80[,test=...]; "
        "default: the sizes that the data has."
    ),
]


def split(
    root: RootArg,
    *,
    out: Annotated[Path, typer.Option(metavar="FILE.csv", help="CSV manifest to write, for data.root.")],
    by: ByArg = "group",
    sizes: SizesArg = None,
    folds: Annotated[
        int | None,
        typer.Option(min=2, max=100, help="Write this number of folds instead, as FILE-fold1.csv, ..."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw; another seed gives other splits.")] = 0,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="OLD.csv", help="Videos that this manifest lists keep their split."),
    ] = None,
    force: Force = False,
    features: FeaturesArg = "auto",
    as_json: AsJson = False,
    layout: LayoutArg = "auto",
    split_number: SplitNumberArg = None,
    source: SourceArg = "auto",
    store_dir: StoreDirArg = Path("store"),
) -> None:
    """Write a manifest with splits that share no group. Every class is divided in proportion, if possible.

    Without --sizes, the new splits have the names and sizes of the old ones; test stays as it is if it has no
    relative in train or val; data with only one split becomes train and val. With --folds, all folds have the
    same test split. The draw depends on the seed and the names of the groups: if videos are added later, few
    others change their split, and those that --keep lists never do. Exit code 3 if videos of ROOT cannot be
    read; these are in no split.
    """
    if out.suffix.lower() != ".csv":
        raise UserError(f"--out: {out} does not end in .csv")
    if folds is not None and (sizes is not None or keep is not None):
        raise UserError("--sizes and --keep have no effect with --folds", hint="leave them out")
    wanted = None if sizes is None else _sizes(sizes)
    files = [out] if folds is None else [_of_fold(out, number + 1) for number in range(folds)]
    for file in files:
        refuse_overwrite(file, option="--out", force=force)
    manifest = read_root(root, store_dir=store_dir, layout=layout, split_number=split_number, source=source)
    if wanted is not None:
        _refuse_unclear(wanted, manifest)
    old = _as_listed(read_root(keep, store_dir=store_dir)) if keep is not None else None
    relations = find_relations(manifest, by=by, features=features, store_dir=store_dir)
    _say_unknown(relations, by)

    made = _draw(relations, wanted, folds=folds, seed=seed, old=old)
    _say_test(relations, made[0], is_drawn=wanted is not None or old is not None)
    parts = dict(zip(files, made, strict=True))
    _write(parts)
    _show(parts, as_json=as_json)
    if manifest.num_left_out:
        raise typer.Exit(ExitCode.PARTLY_DONE)


def _say_unknown(relations: Relations, by: Literal["group", "content"]) -> None:
    if relations.num_unknown:
        what = "have no known group" if by == "group" else "could not be read"
        say(f"{relations.num_unknown} videos {what}: each becomes a group of its own")


def _draw(
    relations: Relations, wanted: Sizes | None, *, folds: int | None, seed: int, old: Manifest | None
) -> Sequence[Manifest]:
    from vidcls.leaks.resplit import resplit, resplit_as_before, resplit_folds

    if folds is not None:
        return resplit_folds(relations, num_folds=folds, seed=seed)
    if wanted is None and old is None:
        return [resplit_as_before(relations, seed=seed)]
    numbers = _own_sizes(relations.manifest) if wanted is None else wanted.numbers
    return [resplit(relations, sizes=numbers, seed=seed, keep=old)]


def _of_fold(out: Path, number: int) -> Path:
    return out.with_stem(f"{out.stem}-fold{number}")


def _own_sizes(manifest: Manifest) -> Mapping[Split, float] | Mapping[Split, int]:
    from vidcls.leaks.resplit import own_sizes

    sizes = own_sizes(manifest)
    shares: dict[Split, float] = {"train": 0.8, "val": 0.2}
    return sizes if len(sizes) > 1 else shares


def _refuse_unclear(sizes: Sizes, manifest: Manifest) -> None:
    """Refuse ambiguous shares: train and val may be shares of all videos, or of those outside of test."""
    num_test, num_videos = len(manifest.split("test")), len(manifest.videos)
    if not num_test or sizes.says_test or abs(sum(sizes.numbers.values()) - 1) > _TOLERANCE:
        return
    part = round(num_test / num_videos, 2)
    shares = [f"{share * (1 - part):.3g}" for share in sizes.numbers.values()]
    raise UserError(
        f"--sizes: {sizes.text} has no size for the {num_test} test videos of {manifest.root}",
        hint=f"--sizes {sizes.text},0 gives them to train and val; --sizes {','.join(shares)},{part:g} draws "
        "a new test; without --sizes each split keeps its size",
    )


def _say_test(relations: Relations, made: Manifest, *, is_drawn: bool) -> None:
    """Report on stderr how the test split of the data was treated."""
    from vidcls.leaks.resplit import num_test_related

    num_test = len(relations.manifest.split("test"))
    if not num_test:
        return
    related = num_test_related(relations)
    if not made.split("test"):
        say(f"the {num_test} test videos go to train and val here; use other videos for the final test")
    elif is_drawn:
        say("a new test split is drawn, as --sizes or --keep say")
    elif related:
        say(f"a new test split is drawn: {related} of {num_test} test videos had a relative in train or val")
    else:
        say(f"test stays as it is: none of its {num_test} videos has a relative in train or val")


def _as_listed(manifest: Manifest) -> Manifest:
    """Manifest in which val that was cut from train belongs to train again."""
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


@dataclass(frozen=True)
class Sizes:
    """Value of --sizes.

    Attributes:
        text: Text that was typed.
        numbers: Shares or numbers of videos of the requested splits.
        says_test: Whether test was given, even with 0.
    """

    text: str
    numbers: Mapping[Split, float] | Mapping[Split, int]
    says_test: bool


def _sizes(text: str) -> Sizes:
    from vidcls.choices import SPLITS

    parts = [part.strip() for part in text.split(",")]
    named = [
        re.fullmatch(r"(?:(train|val|test)=)?([0-9]{1,9}|[0-9]{0,9}\.[0-9]{1,9})", part) for part in parts
    ]
    names = [match[1] if match else None for match in named]
    is_plain = names == [None] * len(parts) and 2 <= len(parts) <= len(SPLITS)
    is_named = None not in names and len(set(names)) == len(names)
    places = SPLITS[: len(parts)] if is_plain else names
    numbers = {split: match[2] for split, match in zip(places, named, strict=False) if split and match}
    says_test = "test" in numbers
    if says_test and float(numbers["test"]) == 0:
        del numbers["test"]  # a test split without videos is no split
    is_whole = {number.isdigit() for number in numbers.values()}
    if None in named or not (is_plain or is_named) or len(is_whole) != 1:
        raise UserError(
            f"--sizes: {text} cannot be read", hint="--sizes 0.8,0.2 or --sizes train=320,val=80,test=40"
        )
    found = {split: numbers[split] for split in SPLITS if split in numbers}
    if is_whole == {True}:
        return Sizes(text, {split: int(number) for split, number in found.items()}, says_test)
    return Sizes(text, {split: float(number) for split, number in found.items()}, says_test)


def _show(made: Mapping[Path, Manifest], *, as_json: bool) -> None:
    from vidcls.cli.output.screen import Table
    from vidcls.leaks.resplit import counts

    if as_json:
        print_json({str(path): counts(manifest) for path, manifest in made.items()})
        return
    for path, manifest in made.items():
        table = counts(manifest)
        splits = list(next(iter(table.values())))
        shown = Table("class", *splits, show_footer=True)
        for name, row in table.items():
            shown.add_row(name, *(str(row[split]) for split in splits))
        shown.columns[0].footer = "all"
        for column, split in zip(shown.columns[1:], splits, strict=True):
            column.justify, column.footer = "right", str(len(manifest.split(split)))
        console().print(shown)
        num_groups = len({video.group for video in manifest.videos if video.group is not None})
        console().print(
            f"wrote {path}: {num_groups} groups, none in two splits; use it with data.root={path}",
            soft_wrap=True,
        )
