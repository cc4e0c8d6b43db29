"""`vidcls predict`: its options, and what they ask for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vidcls.cli.common import AsJson, Force, print_json, say
from vidcls.cli.predict.model import AskedModel
from vidcls.cli.queue.trainings import Device, TrustCode
from vidcls.errors import ExitCode, UserError
from vidcls.process.signals import Signals
from vidcls.text import printable

if TYPE_CHECKING:
    from vidcls.predict.timeline.windows import WindowPlan

Form = Literal["table", "json", "csv"]
_STDIN = Path("-")
_DEFAULT_TOP = 5


Model = Annotated[
    Path, typer.Argument(metavar="RUN|FILE.onnx", help="Folder of a run, or an exported ONNX file.")
]
Videos = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="VIDEO|FOLDER|-...",
        help="Video files, folders of frames, or folders with videos; - is a video on standard input.",
    ),
]
Top = Annotated[int | None, typer.Option(min=1, help="Number of classes shown for each video; default: 5.")]
Length = Annotated[
    str | None, typer.Option(metavar="DURATION", help="Predict windows of this length, such as 2s or 500ms.")
]
Stride = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="Time from one window to the next; default: that of a window."),
]
Camera = Annotated[
    int | None, typer.Option(min=0, help="Predict windows of a camera, 0 for the first, until Ctrl-C.")
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Folder for timeline.csv, timeline.json and timeline.png of the windows."
    ),
]
Which = Annotated[
    Literal["best", "last"] | None,
    typer.Option(help="Checkpoint whose weights are used; default: best.", show_default=False),
]
AsCsv = Annotated[
    bool,
    typer.Option(
        "--csv",
        help="Print CSV in UTF-8: path,rank,class,probability; of windows a row for each, with the "
        "probability of each class.",
    ),
]


def predict(
    run: Model,
    videos: Videos = None,
    top: Top = None,
    window: Length = None,
    stride: Stride = None,
    camera: Camera = None,
    out: Out = None,
    checkpoint: Which = None,
    device: Device = None,
    trust_code: TrustCode = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    force: Force = False,
) -> None:
    """Predict the classes of videos, or of windows of long videos and of live frames (--window).

    Videos that cannot be read are named and skipped (exit code 3). An ONNX file of `vidcls export` is
    computed on the CPU, and needs no torch.
    """
    if as_json and as_csv:
        raise UserError("--json and --csv cannot be given together")
    form: Form = "json" if as_json else "csv" if as_csv else "table"
    paths = videos or []
    is_live = camera is not None or _STDIN in paths
    plan = _plan(window, stride, top=top, out=out, is_live=is_live)
    _check_source(paths, camera)

    model = AskedModel(run, checkpoint, device, trust_code)
    model.check()
    if not is_live:
        for path in paths:
            if not path.exists():
                raise UserError(f"{path}: no such file or folder")

    if plan is None:
        if force:
            raise UserError("--force has no effect without --out", hint="leave it out")
        _whole_videos(model, paths, top=top or _DEFAULT_TOP, form=form)
    elif is_live:
        if out is not None or force:
            raise UserError(
                "--out and --force have no effect on live frames",
                hint="use --csv or --json, and a redirection",
            )
        from vidcls.cli.predict.live import predict_live

        predict_live(model, camera, plan, form=form)
    else:
        from vidcls.cli.predict.timelines import predict_timelines

        predict_timelines(model, paths, plan, form=form, out=out, force=force)


def _plan(
    window: str | None, stride: str | None, *, top: int | None, out: Path | None, is_live: bool
) -> WindowPlan | None:
    """Plan of the windows; None for whole videos."""
    if window is None:
        for given, option in ((stride, "--stride"), (out, "--out")):
            if given is not None:
                raise UserError(f"{option} has no effect without --window", hint="for example --window 2s")
        if is_live:
            raise UserError(
                "live frames are predicted in windows, but --window is missing",
                hint="for example --window 2s --stride 500ms",
            )
        return None
    if top is not None:
        raise UserError(
            "--top has no effect with --window", hint="leave it out: --csv and --json have every class"
        )

    from vidcls.predict.timeline.windows import WindowPlan

    plan = WindowPlan.read(window, stride)
    if plan.gap_s:
        say(
            f"--stride {stride} is longer than --window {window}: "
            f"{float(plan.gap_s):g} s between two windows are in none of them"
        )
    return plan


def _check_source(paths: Sequence[Path], camera: int | None) -> None:
    """Refuse a request that names no video, or videos and live frames at once."""
    if camera is not None and paths:
        raise UserError(f"--camera {camera}: cannot be given together with {paths[0]}")
    if camera is None and not paths:
        raise UserError("no video is named", hint="name files or folders, or give - or --camera 0")
    if _STDIN in paths and len(paths) > 1:
        raise UserError(
            "-: standard input cannot be given together with other videos", hint="write ./- for a file"
        )


def _whole_videos(model: AskedModel, paths: Sequence[Path], *, top: int, form: Form) -> None:
    from vidcls.data.decoding.workers import start_early

    start_early()

    from vidcls.cli.output.display import open_display
    from vidcls.cli.predict.whole_videos import plain, print_csv, print_table

    predictor = model.open()
    with Signals() as signals, open_display() as display:
        predictions = predictor.predict(paths, progress=signals.heeding(display.stage))
    if form == "json":
        print_json([plain(prediction, top) for prediction in predictions])
    elif form == "csv":
        print_csv(predictions, top)
    else:
        print_table(predictions, top)
    bad = [prediction for prediction in predictions if prediction.error]
    for prediction in bad:
        say(f"{printable(prediction.name)}: {prediction.error}")
    if bad:
        raise typer.Exit(int(ExitCode.PARTLY_DONE))
