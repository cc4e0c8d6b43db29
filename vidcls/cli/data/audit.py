"""`vidcls data audit`: finds val and test videos that have a relative in train."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vidcls.cli.common import AsJson, Force, console, print_json, refuse_overwrite, say
from vidcls.cli.data.relations import (
    TIMEOUT_S,
    FeaturesArg,
    LayoutArg,
    RootArg,
    SourceArg,
    SplitNumberArg,
    StoreDirArg,
    find_relations,
    read_root,
)
from vidcls.cli.queue.queued import as_words
from vidcls.errors import ExitCode, UserError

if TYPE_CHECKING:
    from vidcls.leaks.audit import Audit

_SHEET_ENDINGS = (".jpg", ".jpeg", ".png")
_MAX_ROWS = 60


def audit(
    root: RootArg,
    *,
    by: Annotated[
        Literal["auto", "group", "name", "content"],
        typer.Option(
            help="How relatives are found. group: by the groups of the data; name: by file names as in "
            "UCF101, HMDB51 or Kinetics; content: by what the videos look like; auto: by group if every "
            "video has one, otherwise by all three."
        ),
    ] = "auto",
    features: FeaturesArg = "auto",
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jpg", help="Write the pairs of related videos as one picture."),
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
    layout: LayoutArg = "auto",
    split_number: SplitNumberArg = None,
    source: SourceArg = "auto",
    val_fraction: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=0.99, help="Share of train that becomes val if the data has no val, as in a spec."
        ),
    ] = None,
    store_dir: StoreDirArg = Path("store"),
) -> None:
    """Show which val and test videos have a relative in train: a copy, or a video cut from the same source.

    A comparison of the content finds copies that were re-encoded, trimmed, mirrored or resized, and videos
    that show the same place and people. It reads the pixels of the test split, but not its labels. The
    verdict is stored in the store folder, and shown next to the accuracies of runs on these videos.
    Exit code 0 if the data is clean, 3 if it leaks or cannot be judged in full, 2 if ROOT cannot be used.
    """
    from vidcls.leaks.audit import audit as judge

    if sheet is not None and sheet.suffix.lower() not in _SHEET_ENDINGS:
        raise UserError(f"--sheet: {sheet} does not end in {', '.join(_SHEET_ENDINGS)}")
    refuse_overwrite(sheet, option="--sheet", force=force)
    manifest = read_root(
        root,
        store_dir=store_dir,
        layout=layout,
        split_number=split_number,
        source=source,
        val_fraction=val_fraction,
    )
    relations = find_relations(manifest, by=by, features=features, store_dir=store_dir)
    result = judge(relations, store_dir=store_dir)
    if sheet is not None:
        _write_sheet(result, sheet, store_dir=store_dir)
    if as_json:
        print_json(result.as_dict())
    else:
        _show(result, reading=_reading(source, split_number))
    if not result.is_fine:
        raise typer.Exit(ExitCode.PARTLY_DONE)


def _reading(source: str, split_number: int | None) -> list[str]:
    """Options with which another command reads the same videos."""
    return as_words({"--source": None if source == "auto" else source, "--split-number": split_number})


def _write_sheet(result: Audit, path: Path, *, store_dir: Path) -> None:
    from vidcls.cli.output.progress import stages
    from vidcls.data.decoding.workers import Decoders
    from vidcls.leaks.contact_sheet import write_sheet
    from vidcls.process.cores import usable_cores

    decoders = Decoders(workers=usable_cores(), timeout_s=TIMEOUT_S)
    try:
        with stages() as progress:
            pairs = result.best_pairs()
            drawn = write_sheet(pairs, path, store_dir=store_dir, decoders=decoders, progress=progress)
    except OSError as error:
        raise UserError(f"--sheet: cannot write {path}: {error.strerror}") from error
    finally:
        decoders.close()
    say(f"wrote {path}" + (f": the first {drawn} of {len(pairs)} pairs" if drawn < len(pairs) else ""))


def _show(result: Audit, *, reading: Sequence[str]) -> None:
    from vidcls.cli.output.screen import Table

    screen, manifest = console(), result.relations.manifest
    screen.print(f"{manifest.root}: {len(manifest.videos)} videos, judged by {result.relations.by}")
    best = result.best_pairs()
    if best:
        table = Table("split", "class", "video", "relative in train", "found by", "similarity")
        for pair in best[:_MAX_ROWS]:
            alike = "" if pair.similarity is None else f"{pair.similarity:.2f}"
            label = manifest.classes[pair.train.label]
            names = (name for name in (label, pair.held_out.id, pair.train.id))
            table.add_row(pair.held_out.split, *names, pair.reason, alike)
        screen.print(table)
        if len(best) > _MAX_ROWS:
            screen.print(f"and {len(best) - _MAX_ROWS} more; --json gives all")
    for name, reason in result.relations.not_read.items():
        screen.print(f"could not be compared: {name}: {reason}", soft_wrap=True)
    if result.relations.num_unknown and not result.relations.not_read:
        screen.print(
            f"it is not known where {result.relations.num_unknown} videos come from; --by content compares "
            "what they look like"
        )
    for split, (num, total) in result.state.shares.items():
        num_pairs = sum(pair.held_out.split == split for pair in result.pairs)
        pairs = "1 pair" if num_pairs == 1 else f"{num_pairs} pairs"
        screen.print(f"{num} of {total} {split} videos have a relative in train ({pairs})")
    screen.print(f"verdict: {result.state}", style="bold" if result.is_fine else "bold red")
    if result.state.kind == "leaky":
        by = "group" if result.relations.by == "group" else "content"
        words = ["vidcls", "data", "split", str(manifest.root), "--by", by, "--out", "clean.csv", *reading]
        screen.print(f"  {shlex.join(words)}  makes splits without leaks", soft_wrap=True)
