"""`vidcls data check`: decodes every video once, in order, and reports problems by video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidcls.cli.common import AsJson, console, print_json
from vidcls.errors import ExitCode
from vidcls.text import printable

if TYPE_CHECKING:
    from vidcls.cli.output.screen import Screen
    from vidcls.data.checks.check import Check
    from vidcls.data.checks.findings import VideoFinding
    from vidcls.data.checks.selftest import Verdict, Way

_NAMED = 3  # videos listed per kind of note; all with --all


def check(
    root: Annotated[
        Path, typer.Argument(metavar="ROOT", help="A data root, a CSV manifest, any folder, or one file.")
    ],
    *,
    as_json: AsJson = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with code 3 also if there are warnings.")
    ] = False,
    show_all: Annotated[
        bool, typer.Option("--all", help="List all videos with a note or warning, not only the first few.")
    ] = False,
    judge: Annotated[
        bool,
        typer.Option("--decoders", help="Compare the frames that the installed decoders give, one by one."),
    ] = False,
    timeout_s: Annotated[
        float, typer.Option(min=0.1, max=10**6, help="Time limit for one file, in seconds.")
    ] = 120.0,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, max=1000, help="Number of decoding processes; default: one for each usable core."
        ),
    ] = None,
    store_dir: Annotated[
        Path,
        typer.Option(help="Folder for caches. A training with the same folder reuses what was decoded here."),
    ] = Path("store"),
) -> None:
    """Decode every video once, in order, and report which are broken, cut off, black, frozen or copies.

    The findings are stored in the store folder: another check, or a training, decodes only new files.
    Exit code 3 if videos cannot be used (with --strict also for warnings), 2 if ROOT cannot be used, else 0.
    """
    from vidcls.cli.output.progress import stages
    from vidcls.data.checks.check import check as check_root
    from vidcls.data.checks.decoder_report import judge_decoders
    from vidcls.data.decoding.workers import Decoders
    from vidcls.process.cores import usable_cores

    decoders = Decoders(workers=workers or usable_cores(), timeout_s=timeout_s)
    try:
        with stages() as progress:
            result = check_root(root, store_dir=store_dir, decoders=decoders, progress=progress)
            files = result.good_files if judge else {}
            verdicts = judge_decoders(files, store_dir=store_dir, decoders=decoders, progress=progress)
    finally:
        decoders.close()
    by_way = _by_way(result, verdicts)
    if as_json:
        judged = {way: {name: asdict(verdict) for name, verdict in of.items()} for way, of in by_way.items()}
        print_json({**result.as_dict(), **({"decoders": judged} if judge else {})})
    else:
        _show(result, console(), named=None if show_all else _NAMED)
        if judge:
            _show_verdicts(by_way, console())
    if result.has_errors or (strict and not result.is_fine):
        raise typer.Exit(ExitCode.PARTLY_DONE)


def _show(check: Check, screen: Screen, *, named: int | None) -> None:
    title = f"{check.root}: {check.layout}, {len(check.good)} of {len(check.videos)} videos decode"
    screen.print(title, soft_wrap=True)
    for severity in ("error", "warning", "note"):
        by_kind: dict[str, list[VideoFinding]] = {}
        for finding in check.findings:
            if finding.severity == severity:
                by_kind.setdefault(finding.kind, []).append(finding)
        for kind, found in by_kind.items():
            style = {"error": "bold red", "warning": "yellow", "note": "dim"}[severity]
            screen.print(f"{severity}: {kind.replace('_', ' ')} ({len(found)})", style=style)
            _show_each(found, screen, named=named if severity == "note" else None)
            screen.print(f"  -> {found[0].advice}", soft_wrap=True)
    counts = ", ".join(
        f"{count} {severity}{'s' if count > 1 else ''}" for severity, count in check.counts().items() if count
    )
    screen.print(counts or "nothing to report")


def _show_each(found: Sequence[VideoFinding], screen: Screen, *, named: int | None) -> None:
    for finding in found[:named]:
        # One line per finding, even in a narrow terminal, so that names are not split.
        line = f"{finding.video}: {finding.message}" if finding.video else finding.message
        screen.print(f"  {printable(line)}", soft_wrap=True)
    if named is not None and len(found) > named:
        screen.print(f"  and {len(found) - named} more; --all lists them")


def _by_way(check: Check, verdicts: Mapping[str, Mapping[Way, Verdict]]) -> dict[Way, dict[str, Verdict]]:
    names = {video.digest: video.id for video in check.videos}
    by_way: dict[Way, dict[str, Verdict]] = {}
    for digest, of_file in verdicts.items():
        for way, verdict in of_file.items():
            by_way.setdefault(way, {})[names[digest]] = verdict
    return by_way


def _show_verdicts(by_way: Mapping[Way, Mapping[str, Verdict]], screen: Screen) -> None:
    from vidcls.cli.output.screen import Table

    counted = ("exact", "near", "wrong", "missing", "phantom")
    table = Table("", "files right", "wrong", "failed", *(f"frames {counted[0]}", *counted[1:]))
    wrong: dict[Way, list[str]] = {}
    for way, verdicts in by_way.items():
        cannot = [name for name, verdict in verdicts.items() if verdict.problem]
        wrong[way] = [name for name, verdict in verdicts.items() if not (verdict.is_right or verdict.problem)]
        sums = [sum(getattr(verdict, f"num_{what}") for verdict in verdicts.values()) for what in counted]
        num_right = len(verdicts) - len(wrong[way]) - len(cannot)
        table.add_row(way, *map(str, (num_right, len(wrong[way]), len(cannot), *sums)))
    screen.print("decoders compared with PyAV in order, whose frames are always right:")
    screen.print(table)
    for way, names in wrong.items():
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            line = f"{way}: wrong in {', '.join(names[:_NAMED])}{more}"
            screen.print(line, soft_wrap=True)
