"""`vidcls export`: writes a trained model as a file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vidcls.cli.common import AsJson, Force, console, echo, print_json, refuse_overwrite, say, shown
from vidcls.cli.queue.trainings import TrustCode
from vidcls.errors import UserError
from vidcls.process.signals import Signals

if TYPE_CHECKING:
    from vidcls.export.export_run import Export

_SUFFIXES = {"onnx": ".onnx", "torch-export": ".pt2"}


Format = Annotated[
    Literal["onnx", "torch-export"],
    typer.Option("--to", help="Format of the file: ONNX, or a program of torch.export."),
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="File to write; default: export/best.onnx or .pt2 in the run."),
]
Int8 = Annotated[
    bool,
    typer.Option("--int8", help="Also write an ONNX file in int8, FILE-int8.onnx, and score both on val."),
]
Which = Annotated[Literal["best", "last"], typer.Option(help="Checkpoint whose weights are used.")]


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    to: Format,
    out: Out = None,
    int8: Int8 = False,
    checkpoint: Which = "best",
    trust_code: TrustCode = False,
    as_json: AsJson = False,
    force: Force = False,
) -> None:
    """Write a trained model as one file that computes the same logits without vidcls.

    The file takes clips as bytes and normalises them itself; trained on a data set of your own, it takes
    float32 clips as the model does. It describes itself in its metadata, and is compared with the trained
    model before it is published. `vidcls predict FILE.onnx` needs no torch.
    """
    if int8 and to != "onnx":
        raise UserError(
            "--int8: has no effect with --to torch-export, because onnxruntime converts ONNX files only",
            hint="give --to onnx",
        )

    from vidcls.installed import refuse_missing
    from vidcls.run.find import open_run

    opened = open_run(run)
    opened.existing_checkpoint(checkpoint)
    file = out or opened.export_file(checkpoint, _SUFFIXES[to])
    if file.suffix != _SUFFIXES[to]:
        raise UserError(f"--out: expected a name that ends in {_SUFFIXES[to]}, got {file}")
    int8_file = file.with_name(f"{file.stem}-int8{file.suffix}") if int8 else None
    for path in (file, int8_file):
        if path is not None:
            refuse_overwrite(path, option="--out", force=force)
    if to == "onnx":
        refuse_missing(("onnx", "onnxruntime", "onnxscript"), extra="export")

    from vidcls.data.decoding.workers import start_early
    from vidcls.process.cores import watch_cores

    start_early()
    watch_cores()  # while torch is loaded; the latencies use the cores that others leave free

    from vidcls.cli.output.display import open_display
    from vidcls.export.export_run import export as export_run
    from vidcls.user_code.trust import trusting

    with trusting(trust_code), Signals() as signals, open_display() as display:
        result = export_run(
            opened,
            to=to,
            out=file,
            int8_out=int8_file,
            which=checkpoint,
            progress=signals.heeding(display.stage),
        )
    if as_json:
        print_json(_plain(result))
    else:
        _print(result)


def _plain(result: Export) -> dict[str, object]:
    return {
        "files": {str(path): num_bytes for path, num_bytes in result.num_bytes.items()},
        "opset": result.opset,
        "parity": result.parity.model_dump(mode="json"),
        "why_random_clips": result.why_random,
        "threads": result.threads,
        "latency_ms": result.latency_ms,
        "quantisation": None if result.quantisation is None else result.quantisation.model_dump(mode="json"),
        "description": result.description.model_dump(mode="json", exclude={"parity", "quantisation"}),
    }


def _print(result: Export) -> None:
    from vidcls.predict.exported import DatasetReading

    parity, quantisation = result.parity, result.quantisation
    opset = "" if result.opset is None else f", opset {result.opset}"
    for path, num_bytes in result.num_bytes.items():
        echo(f"wrote {shown(path)} ({num_bytes / 1e6:.2f} MB{opset})")
    sizes = ", ".join(map(str, parity.batch_sizes))
    echo(
        f"same logits as the trained model: largest difference {parity.max_scaled:.1e} of max(1, |logit|), "
        f"allowed {parity.tolerance:g} ({parity.num_clips} {parity.clips} clips in batches of {sizes})"
    )
    if result.why_random is not None:
        say(f"random clips were compared, not clips of val: {result.why_random}")
    _print_latency(result)
    if quantisation is not None:
        echo(
            f"val top-1: {quantisation.top1_float32:.1%} in float32, {quantisation.top1:.1%} in int8; the "
            f"same class for {quantisation.agreement:.1%} of {quantisation.num_videos} videos "
            f"(leak state: {result.description.leak_state})"
        )
    reading, taken = result.description.reading, result.description.input
    if isinstance(reading, DatasetReading):
        shape = ", ".join(map(str, taken.shape))
        echo(f"it takes {taken.dtype} [{shape}]: {taken.clip_rule}")
        return
    onnx_file = next((path for path in result.num_bytes if path.suffix == ".onnx"), None)
    if onnx_file is not None:
        echo(f"next: vidcls predict {shown(onnx_file)} VIDEO")


def _print_latency(result: Export) -> None:
    from vidcls.cli.output.screen import Table

    cores = "1 thread" if result.threads == 1 else f"{result.threads} threads"
    table = Table(f"one clip, {cores}", "ms", "torch = 1", box=None)
    for name, milliseconds in result.latency_ms.items():
        ratio = milliseconds / result.latency_ms["torch"]
        table.add_row(name, f"{milliseconds:.2f}", f"{ratio:.2f}")
    console().print(table)
