"""Exports a trained run: traces it, writes it, and publishes it only if it computes the same logits.

checkpoint -> model -> graph from clips to logits -> file -> run again -> parity, latency -> published
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from vidcls.data.checksums import file_digest
from vidcls.data.decoding.workers import StageProgress
from vidcls.errors import UserError, VidclsError
from vidcls.evaluate.restore import Restored, restore
from vidcls.export.clips import RunClips, parity_clips
from vidcls.export.description import describe
from vidcls.export.graph import trace
from vidcls.export.inputs import model_input
from vidcls.export.int8 import Int8, to_int8
from vidcls.export.measure import NUM_CLIPS, Logits, TrainedModel, compare, latencies
from vidcls.export.to_onnx import OPSET, OnnxExport, refuse_large
from vidcls.export.to_torch import TorchExport
from vidcls.files import atomic_file, disk_full, is_disk_full
from vidcls.leaks.run_state import leaks_of
from vidcls.models.device import pin
from vidcls.models.kinds.custom import custom_parts
from vidcls.predict.exported import Description, Parity, Quantisation
from vidcls.process.cores import free_cores
from vidcls.run.folder import Checkpoint, Run
from vidcls.spec.fingerprint import targets_in
from vidcls.user_code.trust import kept_code

Target = Literal["onnx", "torch-export"]
RUNTIMES: dict[Target, str] = {"onnx": "onnxruntime", "torch-export": "torch.export"}
IN_INT8 = "onnxruntime, int8"


@dataclass(frozen=True, kw_only=True)
class Export:
    """Result of an export.

    Attributes:
        num_bytes: Size of each written file.
        opset: Version of the ONNX operators; None for torch-export.
        description: Description in the file.
        parity: Agreement with the trained model.
        why_random: Reason why parity was not measured on clips of val; None if it was.
        threads: Number of CPU threads for the latencies.
        latency_ms: Median time of one clip, by name of what computes; the trained model is `torch`.
        quantisation: Accuracy in int8; None if int8 was not requested.
    """

    num_bytes: Mapping[Path, int]
    opset: int | None
    description: Description
    parity: Parity
    why_random: str | None
    threads: int
    latency_ms: Mapping[str, float]
    quantisation: Quantisation | None


def export(
    run: Run, *, to: Target, out: Path, int8_out: Path | None, which: Checkpoint, progress: StageProgress
) -> Export:
    """Export a checkpoint of a run.

    Args:
        run: Run.
        to: Format of the file.
        out: File to write.
        int8_out: File to write in int8 as well, only for ONNX; None for none.
        which: Checkpoint of the run.
        progress: Called with (stage, done, total).

    Raises:
        UserError: If the checkpoint is missing, the model is too large, int8 has no data, or the run needs
            code that the user does not have and has not trained with.
        VidclsError: If torch cannot export the model, or the export computes other logits; nothing is
            written then.
    """
    with kept_code(run.code_dir, targets_in(run.spec())):
        return _export(run, to=to, out=out, int8_out=int8_out, which=which, progress=progress)


def _export(
    run: Run, *, to: Target, out: Path, int8_out: Path | None, which: Checkpoint, progress: StageProgress
) -> Export:
    digest, threads = file_digest(run.existing_checkpoint(which)), free_cores()
    pin(threads=threads, deterministic=False)
    restored = restore(run, which, torch.device("cpu"))
    name, taken = _name(run, restored), model_input(restored.spec, restored.clip)
    if to == "onnx":
        refuse_large(_weight_bytes(restored.model), name=name)
    data = _data(run, restored, progress, is_needed=int8_out is not None)
    clips, why_random = parity_clips(data, taken, NUM_CLIPS)
    progress("export", 0, 0)
    program = trace(restored.model, taken, name=name)
    exported = (
        OnnxExport(program, threads=threads, name=name) if to == "onnx" else TorchExport(program, name=name)
    )
    trained = TrainedModel(restored.model, taken)
    origin: Literal["val", "random"] = "val" if why_random is None else "random"
    parity = compare(trained, exported.logits, clips, origin=origin)
    if not parity.holds:
        raise _differs(name, to, parity)
    description = describe(
        restored, taken, which=which, digest=digest, leak_state=leaks_of(run).of_split("val"), parity=parity
    )
    contents = {out: exported.content(description)}
    calls: dict[str, Logits] = {"torch": trained, RUNTIMES[to]: exported.logits}
    int8: Int8 | None = None
    if int8_out is not None:
        assert isinstance(exported, OnnxExport), "the command refuses int8 for torch-export"
        assert isinstance(data, RunClips), "the data is needed"
        int8 = to_int8(exported.model, description, data, float32=exported.logits, threads=threads, name=name)
        contents[int8_out] = int8.content
        calls[IN_INT8] = int8.logits
    latency_ms = latencies(calls, clips[:1])
    for path, content in contents.items():
        _publish(path, content)
    return Export(
        num_bytes={path: len(content) for path, content in contents.items()},
        opset=OPSET if to == "onnx" else None,
        description=description,
        parity=parity,
        why_random=None if why_random is None else why_random.message,
        threads=threads,
        latency_ms=latency_ms,
        quantisation=None if int8 is None else int8.quantisation,
    )


def _name(run: Run, restored: Restored) -> str:
    """Name for messages: the folder, and the target of a user's own model."""
    own = ", ".join(part.target for part in custom_parts(restored.model))
    return f"{run.folder} ({own})" if own else str(run.folder)


def _weight_bytes(model: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())


def _data(
    run: Run, restored: Restored, progress: StageProgress, *, is_needed: bool
) -> RunClips | VidclsError:
    """Data of the run, or why it cannot be read."""
    try:
        return RunClips.of(run, restored.clip, progress)
    except VidclsError as error:
        if is_needed:
            raise UserError(
                f"--int8 needs the data of the run, to calibrate and to score: {error.message}",
                hint=error.hint,
            ) from error
        return error


def _differs(name: str, to: Target, parity: Parity) -> VidclsError:
    return VidclsError(
        f"{name}: the exported model does not compute what the trained one does: logits differ by up to "
        f"{parity.max_scaled:.2g} of max(1, |logit|), allowed {parity.tolerance:g} ({parity.num_clips} "
        f"{parity.clips} clips); nothing was written",
        hint=f"the release of torch or {RUNTIMES[to]} here converts an operation of it wrongly: try another "
        f"one, or --to {'torch-export' if to == 'onnx' else 'onnx'}",
    )


def _publish(path: Path, content: bytes) -> None:
    try:
        with atomic_file(path) as file:
            file.write(content)
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(path, kept="an earlier file is unchanged", cause=error) from error
        raise
