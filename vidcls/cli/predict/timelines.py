"""Timelines of video files: run, table, and files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from vidcls.cli.common import console, emit, print_json, refuse_overwrite, say
from vidcls.cli.predict.model import AskedModel
from vidcls.cli.predict.window_rows import clock, plain_timeline, timelines_csv
from vidcls.errors import ExitCode, UserError
from vidcls.process.signals import Signals, StoppedError
from vidcls.text import printable

if TYPE_CHECKING:
    from vidcls.predict.timeline.results import Timeline
    from vidcls.predict.timeline.windows import WindowPlan

_FILES = ("timeline.csv", "timeline.json", "timeline.png")


def predict_timelines(
    model: AskedModel,
    paths: Sequence[Path],
    plan: WindowPlan,
    *,
    form: Literal["table", "json", "csv"],
    out: Path | None,
    force: bool,
) -> None:
    """Predict the windows of videos, print them, and write them to `out`.

    Raises:
        UserError: If a file would be overwritten, or a path is none of videos.
        StoppedError: If a signal came.
        Exit: With code 3 if a video, or a window, has no prediction.
    """
    from vidcls.predict.paths import find_videos

    files = find_videos(paths)
    folders = _folders(out, files)
    for folder in folders:
        for name in _FILES:
            refuse_overwrite(folder / name, option="--out", force=force)
    if out is None:
        refuse_overwrite(None, option="--out", force=force)

    from vidcls.cli.output.display import open_display
    from vidcls.predict.timeline.timeline import predict_timeline

    predictor = model.open()
    timelines: list[Timeline] = []
    with Signals() as signals, open_display() as display:
        progress = signals.heeding(display.stage)
        for number, file in enumerate(files):
            try:
                timeline = predict_timeline(file, predictor, plan=plan, progress=progress)
            except StoppedError as stopped:
                done = f"{number} of {len(files)} videos were done"
                message = f"stopped in {printable(file)}; {done}{', and written' if out else ''}"
                raise StoppedError(message, exit_code=stopped.exit_code) from None
            timelines.append(timeline)
            if folders:
                _write(folders[number], timeline)
    if form == "json":
        print_json([plain_timeline(timeline) for timeline in timelines])
    elif form == "csv":
        emit(timelines_csv(timelines))
    else:
        _print_tables(timelines)
    if sum([_say_problems(timeline) for timeline in timelines]):
        raise typer.Exit(int(ExitCode.PARTLY_DONE))


def _folders(out: Path | None, files: Sequence[Path]) -> list[Path]:
    """Folder of the files of each video: `out` for a single video, otherwise one below it for each."""
    if out is None:
        return []
    if out.exists() and not out.is_dir():
        raise UserError(f"--out: {out} is not a folder", hint="name a folder")
    if len(files) == 1:
        return [out]
    seen: Counter[str] = Counter()
    folders = []
    for file in files:
        seen[file.stem] += 1
        folders.append(out / (file.stem if seen[file.stem] == 1 else f"{file.stem}-{seen[file.stem]}"))
    if len(set(folders)) < len(folders):
        raise UserError(f"--out: names of the videos below {out} would be equal", hint="rename a video")
    return folders


def _write(folder: Path, timeline: Timeline) -> None:
    from vidcls.files import write_json, write_text
    from vidcls.predict.timeline.picture import draw_timeline

    write_text(folder / "timeline.csv", timelines_csv([timeline]))
    write_json(folder / "timeline.json", plain_timeline(timeline))
    (folder / "timeline.png").unlink(missing_ok=True)  # that of another video, with --force
    if timeline.windows:
        draw_timeline(timeline, folder / "timeline.png", say=say)
    say(f"wrote {folder}/")


def _print_tables(timelines: Sequence[Timeline]) -> None:
    from rich.table import Column

    from vidcls.cli.output.screen import Table, styled

    for timeline in timelines:
        console().print(f"{printable(timeline.path)}: {clock(timeline.end_s)}, {_counted(timeline)}")
        right = [Column(name, justify="right") for name in ("from", "to")]
        table = Table(*right, "class", Column("mean probability", justify="right"), box=None)
        for segment in timeline.segments:
            mean = "" if segment.probability is None else f"{segment.probability:.1%}"
            name = styled("no prediction", "red") if segment.label is None else segment.label
            table.add_row(clock(segment.start_s), clock(segment.end_s), name, mean)
        if timeline.windows:
            console().print(table)


def _counted(timeline: Timeline) -> str:
    count = len(timeline.windows)
    length, stride = (f"{float(value):g} s" for value in (timeline.plan.window_s, timeline.plan.stride_s))
    return f"{count} {'window' if count == 1 else 'windows'} of {length}, one every {stride}"


def _say_problems(timeline: Timeline) -> bool:
    """Say what the user should know of a timeline; whether a part of it is missing."""
    name = printable(timeline.path)
    for remark in timeline.remarks:
        say(f"{name}: {remark}")
    failed = [window for window in timeline.windows if window.error]
    if failed:
        first = f"{clock(failed[0].start_s)} {failed[0].error}"
        say(f"{name}: {len(failed)} of {len(timeline.windows)} windows have no prediction: that at {first}")
    if timeline.error:
        until = f" (predicted until {clock(timeline.end_s)})" if timeline.windows else ""
        say(f"{name}: {timeline.error}{until}")
    return bool(failed or timeline.error)
