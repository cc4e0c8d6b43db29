"""Converts an ONNX model to int8, with the ranges of its numbers on calibration clips (static QDQ).

The weights of convolutions and linear layers become int8, one scale per output channel; the numbers between
layers become uint8, one scale per tensor (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidcls.export.graph import refused
from vidcls.predict.exported import INPUT

if TYPE_CHECKING:
    import onnx

METHOD = (
    "static QDQ by onnxruntime: activations uint8, weights int8 of 7 bits by output channel, min-max ranges"
)
_LAYERS = ("Conv", "Gemm", "MatMul")


def quantise(model: onnx.ModelProto, clips: Sequence[np.ndarray], *, name: str) -> onnx.ModelProto:
    """Convert a model to int8.

    Args:
        model: Model in float32.
        clips: Calibration clips, each one as the graph takes it, without the batch axis.
        name: Name of the run, for messages.

    Raises:
        VidclsError: If onnxruntime cannot convert this model.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self) -> None:
            self._clips = iter(clips)

        def get_next(self) -> dict[str, np.ndarray] | None:
            clip = next(self._clips, None)
            return None if clip is None else {INPUT: clip[None]}

    with tempfile.TemporaryDirectory(prefix="vidcls-") as folder, _quiet(), refused(name, "onnxruntime"):
        file = Path(folder) / "int8.onnx"
        quantize_static(
            model,
            file,
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            # Processors without VNNI add pairs of products in 16 bits, which 8-bit weights overflow.
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_before_layers(model),
        )
        return onnx.load(file)


def _before_layers(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes before the first layer with weights: the input is normalised in float32."""
    names: list[str] = []
    for node in model.graph.node:
        if node.op_type in _LAYERS:
            break
        names.append(node.name)
    return names


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the advice to optimise the model first, which onnxruntime logs on the root logger.

    The exporter has folded batch norms into convolutions already, which is what the advice is about.
    """

    def is_other(record: logging.LogRecord) -> bool:
        return "pre-processing before quantization" not in record.getMessage()

    root = logging.getLogger()
    # A handler as well, because a root logger without one is given one that stays, by the first message.
    handler = logging.NullHandler()
    root.addHandler(handler)
    root.addFilter(is_other)
    try:
        yield
    finally:
        root.removeFilter(is_other)
        root.removeHandler(handler)
