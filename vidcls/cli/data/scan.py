"""`vidcls data scan` and `vidcls data demo`: scan a data root, make the demo data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidcls.cli.common import Force, console, echo, print_json, refuse_overwrite, say
from vidcls.cli.data.relations import LayoutArg, SourceArg, SplitNumberArg
from vidcls.cli.data.target import TargetArgs
from vidcls.cli.output.progress import one_stage
from vidcls.errors import ExitCode, UserError
from vidcls.text import printable

if TYPE_CHECKING:
    from vidcls.cli.output.screen import Screen, Table
    from vidcls.data.scan import Scan

_MAX_SIZES = 8


def scan(
    root: Annotated[
        Path,
        typer.Argument(
            metavar="ROOT", help="Folder with the videos, a CSV manifest, or a data set of your own: TARGET."
        ),
    ],
    *,
    args: TargetArgs = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    write_manifest: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Write the usable videos as a CSV manifest for data.root."),
    ] = None,
    layout: LayoutArg = "auto",
    split_number: SplitNumberArg = None,
    source: SourceArg = "auto",
    force: Force = False,
) -> None:
    """Show layout, classes, splits, groups, durations, sizes, fps, and every problem by file name.

    Exit code 0 if all is fine, 3 if there are problems with some videos, 2 if the root cannot be used.
    """
    from vidcls.cli.data.target import is_own_dataset, section_of
    from vidcls.data.scan import scan as scan_root
    from vidcls.spec.data import DataSection

    if write_manifest is not None and write_manifest.suffix.lower() != ".csv":
        raise UserError(f"--write-manifest: {write_manifest} does not end in .csv")
    refuse_overwrite(write_manifest, option="--write-manifest", force=force)
    if is_own_dataset(root, args):
        if (layout, split_number, source, write_manifest) != ("auto", None, "auto", None):
            raise UserError("--layout, --split-number, --source and --write-manifest are only for files")
        section = section_of(str(root), args)
    else:
        section = DataSection(root=str(root), layout=layout, split_number=split_number, source=source)
    with one_stage("looking") as progress:
        result = scan_root(section, progress=progress)
    if as_json:
        print_json(result.as_dict())
    else:
        _show(result, console())
    if write_manifest is not None:
        try:
            result.manifest.write_csv(write_manifest)
        except OSError as error:
            raise UserError(f"--write-manifest: cannot write {write_manifest}: {error.strerror}") from error
        say(f"wrote {write_manifest}; use it with data.root={write_manifest}")
    if not result.is_fine:
        raise typer.Exit(ExitCode.PARTLY_DONE)


def demo(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder to create; it gets the course layout.")
    ],
    *,
    seed: Annotated[int, typer.Option(min=0, help="Seed; the same seed gives the same videos.")] = 0,
) -> None:
    """Make the demo data motion10: encoded videos of ten classes (two appearances times five motions)."""
    from vidcls.data.demo import make_demo

    with one_stage("making motion10") as progress:
        make_demo(directory, seed=seed, progress=progress)
    echo(f"{directory} is ready: vidcls data scan {directory}")


def _show(scan: Scan, screen: Screen) -> None:
    manifest = scan.manifest
    title = f"{manifest.root}: {manifest.layout}, {len(manifest.videos)} videos"
    screen.print(title, soft_wrap=True)
    screen.print(_class_table(scan))
    if scan.headers:
        screen.print(_header_table(scan))
        screen.print(_sizes(scan), soft_wrap=True)
    screen.print(f"groups: {scan.num_groups() or 'none known'}")
    sharing = scan.num_sharing_train() if scan.num_groups() else {}
    for split, (shared, total) in sharing.items():
        screen.print(f"  {shared} of {total} {split} videos share a group with train")
    if scan.headers and any(shared for shared, _ in sharing.values()):
        advice = f"vidcls data split {manifest.root} --out clean.csv"
        screen.print(f"  such splits show too high accuracies; {advice}   makes others", soft_wrap=True)
    notes = [problem for problem in scan.problems if problem.note]
    problems = [problem for problem in scan.problems if not problem.note]
    for title, listed in (("notes", notes), ("problems", problems)):
        if listed:
            screen.print(f"{title}: {len(listed)}")
        for problem in listed:
            # One line per problem, even in a narrow terminal, so that names are not split.
            screen.print(f"  {printable(problem)}", soft_wrap=True)
    if not problems and scan.headers:
        screen.print("no problems with the files")
    elif not problems:
        screen.print(f"vidcls data doctor {manifest.root} tries its items; test is made by evaluate alone")


def _class_table(scan: Scan) -> Table:
    from vidcls.choices import SPLITS
    from vidcls.cli.output.screen import Table

    table = Table("label", "class", *(f"{split}" for split in SPLITS), show_footer=True)
    counts = scan.counts()
    for label, (name, of_split) in enumerate(counts.items()):
        table.add_row(str(label), name, *(str(of_split[split]) for split in SPLITS))
    table.columns[1].footer = "all"
    for column, split in zip(table.columns[2:], SPLITS, strict=True):
        column.justify = "right"
        column.footer = str(sum(of_split[split] for of_split in counts.values()))
        if split == "val" and scan.manifest.val_is_cut:
            column.header = "val (from train)"
    return table


def _header_table(scan: Scan) -> Table:
    from vidcls.cli.output.screen import Table

    table = Table("from headers", "min", "median", "max", "distinct")
    for name, title in (("duration_s", "duration (s)"), ("fps", "fps"), ("num_frames", "frames")):
        found = scan.ranges().get(name)
        if found is not None:
            values = (f"{value:g}" for value in (found.min, found.median, found.max, found.num_distinct))
            table.add_row(title, *values)
    return table


def _sizes(scan: Scan) -> str:
    sizes = scan.sizes()
    shown = [f"{size} ({count})" for size, count in list(sizes.items())[:_MAX_SIZES]]
    if len(sizes) > _MAX_SIZES:
        shown.append(f"and {len(sizes) - _MAX_SIZES} more")
    return "sizes (videos): " + (", ".join(shown) or "none")
