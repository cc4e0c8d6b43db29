"""`vidcls report`: makes the page, figures and tables of runs that one hands in."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidcls.cli.common import AsJson, ComparedRuns, StoredCheckpoint, StoredSplit, echo, print_json, say
from vidcls.cli.queue.trainings import TrustCode
from vidcls.errors import ExitCode, UserError

if TYPE_CHECKING:
    from vidcls.run.folder import Checkpoint
    from vidcls.study.mistakes import ReadSplit
    from vidcls.study.report.build import WrittenReport

_REPORTS = Path("reports")
_EVERY_S = 5.0


def report(
    runs: ComparedRuns,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of the report; by default reports/, by what is named."),
    ] = None,
    split: StoredSplit = "val",
    checkpoint: StoredCheckpoint = "best",
    watch: Annotated[
        bool, typer.Option("--watch", help="Make it again as trials finish, until the sweep has ended.")
    ] = False,
    to_wandb: Annotated[
        bool, typer.Option("--wandb", help="Also upload the page and the figures to Weights & Biases.")
    ] = False,
    trust_code: TrustCode = False,
    as_json: AsJson = False,
) -> None:
    """Make a page with the verdict, figures and tables of runs, to be read in a browser or handed in.

    The folder gets index.html, which needs no internet and no other file; report.md and report.tex; and each
    figure as PDF, SVG and PNG. Everything comes from stored results: nothing is trained or scored.

    Exit code 3 if runs were left out, or if some videos were not scored; the report says which and why.
    """
    from vidcls.study.report.build import refuse_other_folder

    folder = out or _REPORTS / _name(runs)
    refuse_other_folder(folder)
    from vidcls.user_code.trust import trusting

    if to_wandb:
        from vidcls.tracking.sync import check_login

        check_login()
    texts = list(map(str, runs))
    with trusting(trust_code):
        if watch:
            written = _watch(texts, folder, split=split, checkpoint=checkpoint)
        else:
            written = _make(texts, folder, split=split, checkpoint=checkpoint)
    if to_wandb:
        _upload(written)
    if as_json:
        print_json({"page": str(written.page), "num_runs": written.num_runs, **written.document.as_dict()})
    else:
        for text in written.verdicts:
            echo(text)
        echo(f"\n{_num_runs(written.num_runs)}: {written.page}")
    if written.left_out:
        say(f"left out: {_num_runs(written.left_out)}; the report says which and why")
    if written.left_out or written.num_unscored:
        raise typer.Exit(int(ExitCode.PARTLY_DONE))


def _num_runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number} runs"


def _name(runs: list[Path]) -> str:
    """Name of the folder for what is named, such as `late_fusion` for runs/late_fusion."""
    first = runs[0].stem if runs[0].suffix in (".yaml", ".yml") else runs[0].name or "runs"
    name = re.sub(r"[^\w.-]+", "-", first).strip("-.") or "runs"
    return name if len(runs) == 1 else f"{name}-and-{len(runs) - 1}-more"


def _make(texts: list[str], folder: Path, *, split: ReadSplit, checkpoint: Checkpoint) -> WrittenReport:
    from vidcls.cli.output.progress import stages
    from vidcls.cli.study.named_runs import chosen_in_sweeps, named_runs
    from vidcls.study.report.build import write_report
    from vidcls.study.report.material import ReportRequest

    notes: list[str] = []
    found = named_runs(texts, say=notes.append)
    request = ReportRequest(
        split=split, checkpoint=checkpoint, chosen=chosen_in_sweeps(found), notes=tuple(notes)
    )
    with stages() as progress:
        return write_report(found, folder, request, say=say, progress=progress)


def _upload(written: WrittenReport) -> None:
    """Send a report to the project of its first run."""
    from vidcls.tracking.report_upload import upload_report

    name = upload_report(
        written.page,
        written.pictures,
        title=written.document.title,
        section=written.runs[0].spec().tracking,
    )
    say(f"uploaded to {name}")


def _watch(texts: list[str], folder: Path, *, split: ReadSplit, checkpoint: Checkpoint) -> WrittenReport:
    """Make the report each time that more trials of a sweep have finished; return the last one."""
    if split == "test":
        raise UserError(
            "--watch: each report of test results is a look that the ledger counts",
            hint="make it once, when the sweep has ended: leave out --watch",
        )
    if len(texts) > 1:
        raise UserError("--watch: expected one sweep", hint="name the sweep alone, or leave out --watch")
    from vidcls.sweep.find import find_sweep
    from vidcls.sweep.status import SweepObserver

    observer = SweepObserver(find_sweep(texts[0]))
    written, shown = None, 0
    while True:
        overview = observer.look()
        finished = overview.counts.get("finished", 0)
        if finished != shown:
            written, shown = _make(texts, folder, split=split, checkpoint=checkpoint), finished
            say(f"{finished} trials: {written.page}")
        if overview.state not in ("running", "unknown"):
            break
        time.sleep(_EVERY_S)
    if written is None:
        raise UserError(f"{texts[0]}: no trial has finished", hint=f"vidcls sweep status {texts[0]}")
    return written
