"""Exported models against torch: latency of one clip for each strategy, and parity on real videos.

Weights are random, since neither depends on them. Figures are ratios within one process: what computes takes
turns, and the medians are compared. For the tables of the README: `python -m benchmarks.export --table`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.common import CACHE, Result, finish, fresh, manifest_of, videos

PARITY = 1e-4
SLOWEST = 1.5
"""An export may be slower than torch, but a user should know of more than that."""
STREAMS = {"rgb": {"kind": "late_fusion"}, "motion": {"kind": "cnn3d"}}
STRATEGIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "cnn3d": ({"kind": "cnn3d"}, {}),
    "frame_average": ({"kind": "frame_average"}, {}),
    "early_fusion": ({"kind": "early_fusion"}, {}),
    "late_fusion, concat": ({"kind": "late_fusion", "join": "concat"}, {}),
    "late_fusion, gru": ({"kind": "late_fusion", "join": "gru"}, {}),
    "late_fusion, attention": ({"kind": "late_fusion", "join": "attention"}, {}),
    "frame_statistics": ({"kind": "frame_statistics"}, {"modality": "difference"}),
    "two_stream": ({"kind": "two_stream", **STREAMS}, {"modality": "rgb+flow"}),
    "ensemble": ({"kind": "ensemble", "members": ({"kind": "cnn3d"}, {"kind": "frame_average"})}, {}),
    "frame_average, resnet18": ({"kind": "frame_average", "backbone": "resnet18"}, {}),
    "cnn3d, r3d_18": ({"kind": "cnn3d", "backbone": "r3d_18"}, {}),
}
CLIP: dict[str, Any] = {"frames": 8, "size": (112, 112)}


@dataclass(frozen=True)
class Measured:
    """One strategy.

    Attributes:
        name: Of the strategy.
        parity: Largest difference of a logit, see `vidcls.export.measure.compare`.
        ratios: Latency of onnxruntime, of torch.export and of onnxruntime in int8, torch = 1, by number of
            threads.
    """

    name: str
    parity: float
    ratios: dict[int, dict[str, float]]


def run() -> list[Result]:
    """Measure."""
    from vidcls.process.cores import usable_cores

    found = list(measure())
    worst = max(found, key=lambda each: each.parity)
    slow = max(found, key=lambda each: each.ratios[1]["onnxruntime"])
    ratio = slow.ratios[1]["onnxruntime"]
    detail = f"{len(found)} strategies, one clip of 8 x 112 x 112, 1 and {usable_cores()} threads"
    return [
        Result(
            "an ONNX file computes the same logits",
            f"{worst.parity:.1e} of max(1, |logit|)",
            f"at most {PARITY:g}",
            worst.parity <= PARITY,
            f"the worst is {worst.name}; real clips where there are some, {detail}",
        ),
        Result(
            "latency of an ONNX file, one thread",
            f"{ratio:.2f} times torch",
            f"at most {SLOWEST:g} times",
            ratio <= SLOWEST,
            f"the slowest is {slow.name}; {detail}",
        ),
    ]


def measure() -> Iterator[Measured]:
    """Export each strategy, compare it, and time it."""
    import numpy as np
    import torch

    from vidcls.data.batches.raw_clips import raw_clips
    from vidcls.data.decoding.workers import Failure
    from vidcls.export.graph import trace
    from vidcls.export.inputs import VideoInput
    from vidcls.export.measure import NUM_CLIPS, Logits, TrainedModel, compare, latencies
    from vidcls.export.quantise import quantise
    from vidcls.export.to_onnx import OnnxExport
    from vidcls.export.to_torch import TorchExport
    from vidcls.models.build import build
    from vidcls.predict.onnx_session import OnnxModel
    from vidcls.process.cores import usable_cores
    from vidcls.spec.data import DataSection
    from vidcls.spec.experiment import Spec
    from vidcls.spec.sections import Clip

    manifest = manifest_of(videos().root)
    fresh("export")
    for name, (model, extra) in STRATEGIES.items():
        torch.manual_seed(0)
        clip = Clip.model_validate(CLIP | extra)
        spec = Spec.model_validate({"name": "x", "model": model, "clip": CLIP | extra})
        network = build(spec.model, num_classes=len(manifest.classes), clip=clip).eval()
        chosen = manifest.split("val")[:: len(manifest.split("val")) // NUM_CLIPS][:NUM_CLIPS]
        decoded = raw_clips(chosen, data=DataSection(), clip=clip, store_dir=CACHE)
        clips = np.stack([pixels for _, pixels in decoded if not isinstance(pixels, Failure)])
        taken = VideoInput(clip)
        program = trace(network, taken, name=name)
        trained = TrainedModel(network, taken)
        in_torch = TorchExport(program, name=name)
        ratios: dict[int, dict[str, float]] = {}
        parity = 0.0
        for threads in sorted({1, usable_cores()}):
            torch.set_num_threads(threads)
            in_onnx = OnnxExport(program, threads=threads, name=name)
            parity = max(parity, compare(trained, in_onnx.logits, clips, origin="val").max_scaled)
            int8 = quantise(in_onnx.model, list(clips), name=name)
            in_int8 = OnnxModel(int8.SerializeToString(), threads=threads, name=name)
            calls: dict[str, Logits] = {
                "torch": trained,
                "onnxruntime": in_onnx.logits,
                "torch.export": in_torch.logits,
                "int8": in_int8.logits,
            }
            took = latencies(calls, clips[:1])
            ratios[threads] = {key: value / took["torch"] for key, value in took.items() if key != "torch"}
        yield Measured(name, parity, ratios)


def table() -> Iterator[str]:
    """Rows of the table in the README."""
    for each in measure():
        columns = [f"{ratio:.2f}" for of in each.ratios.values() for ratio in of.values()]
        yield f"| {each.name} | {each.parity:.0e} | {' | '.join(columns)} |"


if __name__ == "__main__":
    if "--table" in sys.argv:
        for row in table():
            print(row, flush=True)
    else:
        sys.exit(finish(run()))
