"""`vidcls mistakes`: shows the mistakes of runs, as tables and as a picture of the videos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidcls.cli.common import (
    AsJson,
    Force,
    RunFolders,
    StoredCheckpoint,
    StoredSplit,
    console,
    echo,
    print_json,
    refuse_overwrite,
    say,
)
from vidcls.cli.queue.trainings import TrustCode
from vidcls.errors import ExitCode, UserError

if TYPE_CHECKING:
    from vidcls.cli.output.screen import Table
    from vidcls.run.folder import Run
    from vidcls.study.mistakes import Answer, CaseList, Mistakes
    from vidcls.study.mistakes_sheet import SheetResult

_ENDINGS = (".png", ".jpg", ".jpeg")
_NAMED = 5


def mistakes(
    runs: RunFolders,
    split: StoredSplit = "val",
    checkpoint: StoredCheckpoint = "best",
    num: Annotated[int, typer.Option(min=1, max=100_000, help="Maximum number of videos in each list.")] = 10,
    out: Annotated[
        Path | None,
        typer.Option(metavar="PICTURE", help="Draw frames of these videos, as a .png or .jpg file."),
    ] = None,
    trust_code: TrustCode = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Show the most confident mistakes and the least certain answers of a run.

    Of several runs, show the videos that one of them gets right and the first one wrong, the reverse, and
    those that all get wrong. Everything comes from stored predictions: no model is loaded, nothing is scored.

    Exit code 3 if some videos were not scored, or their frames cannot be shown; they are named.
    """
    if out is not None and out.suffix.lower() not in _ENDINGS:
        raise UserError(f"--out: {out} does not end in {', '.join(_ENDINGS)}", hint="name a picture")
    refuse_overwrite(out, option="--out", force=force)
    from vidcls.run.find import open_runs

    found = open_runs(runs)
    from vidcls.study.mistakes import find_mistakes

    result = find_mistakes(found, split=split, checkpoint=checkpoint, num=num)
    from vidcls.user_code.trust import trusting

    with trusting(trust_code):
        sheet = None if out is None else _write_sheet(result, found, out)
    if as_json:
        from vidcls.cli.evaluate_tables import openings_json

        looks = openings_json(found) if split == "test" else {}
        print_json({**result.as_dict(), **looks, "sheet": None if out is None else str(out)})
    else:
        _render(result, found, out)
    for name, why in result.unscored.items():
        say(f"{name}: not scored: {why}")
    if sheet is not None:
        _say_missing(sheet)
    if result.unscored or (sheet is not None and sheet.without_frames):
        raise typer.Exit(int(ExitCode.PARTLY_DONE))


def _write_sheet(result: Mistakes, runs: list[Run], out: Path) -> SheetResult:
    from vidcls.cli.output.progress import stages
    from vidcls.study.mistakes_sheet import MAX_ROWS, write_sheet

    try:
        with stages() as progress:
            sheet = write_sheet(result, runs, out, say=say, progress=progress)
    except OSError as error:
        raise UserError(f"--out: cannot write {out}: {error.strerror or error}") from error
    more = f"; {sheet.num_left_out} more are left out: a sheet has at most {MAX_ROWS}"
    say(f"wrote {out}: {sheet.num_rows} rows{more if sheet.num_left_out else ''}")
    return sheet


def _say_missing(sheet: SheetResult) -> None:
    if sheet.data_problem is not None:
        say(f"the sheet shows no frames: {sheet.data_problem.message}")
        if sheet.data_problem.hint:
            say(f"  {sheet.data_problem.hint}")
        return
    for name, why in list(sheet.without_frames.items())[:_NAMED]:
        say(f"{name}: no frames on the sheet: {why}")
    if len(sheet.without_frames) > _NAMED:
        say(f"and {len(sheet.without_frames) - _NAMED} more videos without frames")


def _render(result: Mistakes, runs: list[Run], out: Path | None) -> None:
    screen = console()
    screen.print(_results_table(result))
    for cases in result.lists:
        if cases.cases:
            echo(cases.heading)  # a title of the table would be folded at its width
            screen.print(_table(cases))
        else:
            echo(f"{cases.title}: none\n")
    if out is None and any(cases.cases for cases in result.lists):
        echo("--out mistakes.png draws frames of these videos")
    if result.split == "test":
        from vidcls.cli.evaluate_tables import print_openings

        print_openings(runs)


def _results_table(result: Mistakes) -> Table:
    from rich import box

    from vidcls.cli.output.screen import Table

    table = Table(title=f"split: {result.split}", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.title_justify = "left"
    table.add_column("run", overflow="fold")
    for name in ("videos", "right", "wrong", "top-1"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("leak state", no_wrap=True)
    for each in result.results:
        counts = (result.num_videos, each.num_correct, result.num_videos - each.num_correct)
        top1 = f"{each.num_correct / result.num_videos:.1%}"
        table.add_row(f"{each.run} ({result.checkpoint})", *map(str, counts), top1, each.leak_state)
    return table


def _table(cases: CaseList) -> Table:
    from rich import box

    from vidcls.cli.output.screen import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("video", "true"):
        table.add_column(name)
    if len(cases.runs) == 1:
        for name in ("predicted", "second"):
            table.add_column(name)
    else:
        for name in cases.runs if len(cases.runs) == 2 else ("predicted by the runs",):
            table.add_column(name)
    for case in cases.cases:
        if len(case.answers) == 1:
            cells = _answer_cells(case.answers[0], marked=cases.kind == "least certain")
        elif len(case.answers) == 2:
            cells = [f"{answer.predicted} {answer.probability:.1%}" for answer in case.answers]
        else:
            cells = [case.counted()]
        table.add_row(case.video, case.true, *cells)
    return table


def _answer_cells(answer: Answer, *, marked: bool) -> list[str]:
    mark = " (wrong)" if marked and not answer.is_correct else ""
    return [
        f"{answer.predicted} {answer.probability:.1%}{mark}",
        f"{answer.second} {answer.second_probability:.1%}",
    ]
