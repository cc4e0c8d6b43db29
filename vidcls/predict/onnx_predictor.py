"""Predictions of an exported model on files, without torch."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from vidcls.data.batches.raw_clips import raw_clips
from vidcls.data.batches.window import eval_window
from vidcls.data.decoding.pictures import Pixels
from vidcls.data.decoding.workers import Failure, StageProgress
from vidcls.data.manifest import Video
from vidcls.errors import UserError
from vidcls.predict.exported import DatasetReading, InputLayout
from vidcls.predict.onnx_session import OnnxModel
from vidcls.predict.paths import as_videos, find_videos
from vidcls.predict.prediction import Prediction, predictions_of
from vidcls.process.cores import usable_cores
from vidcls.process.signals import heed
from vidcls.spec.data import DataSection
from vidcls.spec.sections import Clip

_BATCH_SIZE = 8


class OnnxPredictor:
    """Exported model that is ready to score videos, like `vidcls.predict.predictor.Predictor`.

    Videos are read with the rule of the training, and their frames are the same.

    Args:
        path: ONNX file that `vidcls export` wrote.

    Raises:
        UserError: If there is no such file, vidcls did not write it, onnxruntime is missing, or the model
            was trained on a data set of the user.
    """

    def __init__(self, path: Path) -> None:
        self._model = OnnxModel.open(path, threads=usable_cores())
        self._description = self._model.description()
        reading = self._description.reading
        if isinstance(reading, DatasetReading):
            raise _refused(path, reading.target, self._description.input)
        self._reading = reading

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; the index is the label."""
        return self._description.classes

    @property
    def clip(self) -> Clip:
        """Clip section, which says how a video becomes a clip of the model."""
        return self._description.clip

    def score_clips(self, clips: Sequence[Pixels]) -> np.ndarray:
        """Logits `[B, K]` of clips as stored, see `ClipScorer.score_clips`."""
        return self._model.logits(np.stack([_centre(pixels, self.clip) for pixels in clips]))

    def predict(
        self, paths: str | Path | Sequence[str | Path], *, progress: StageProgress | None = None
    ) -> list[Prediction]:
        """Predict files, frame folders, or all videos below a folder; see `Predictor.predict`.

        Raises:
            UserError: If a path does not exist, or a folder holds no video.
        """
        files = find_videos([paths] if isinstance(paths, str | Path) else paths)
        reading = self._reading
        videos, errors = as_videos(files, source=reading.source, cache_dir=None)
        data = DataSection(source=reading.source, decoder=reading.decoder, timeout_s=reading.timeout_s)
        logits: dict[str, np.ndarray] = {}
        # A file may be used anywhere, so the facts about the videos are not stored beside it.
        with tempfile.TemporaryDirectory(prefix="vidcls-") as cache:
            clips = raw_clips(
                videos, data=data, clip=self._description.clip, store_dir=Path(cache), progress=progress
            )
            for ids, each in logits_of(self._model, clips, errors):
                logits |= zip(ids, each, strict=True)
                if progress is not None:
                    progress("predict", len(logits), len(videos))
        return predictions_of(files, logits, errors, self.classes)


def logits_of(
    model: OnnxModel, clips: Iterator[tuple[Video, Pixels | Failure]], errors: dict[str, str]
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Yield the ids of the next clips and their logits `[B, K]`.

    Args:
        model: Model that computes.
        clips: Raw clips of videos.
        errors: Gets the reason why a video has no clip, by id.
    """
    good = _good(clips, errors)
    while batch := list(islice(good, _BATCH_SIZE)):
        heed()
        yield [video.id for video, _ in batch], model.logits(np.stack([pixels for _, pixels in batch]))


def _refused(path: Path, target: str, taken: InputLayout) -> UserError:
    shape = ", ".join(map(str, taken.shape))
    return UserError(
        f"{path}: was trained on {target}, so only your code knows how a file becomes a clip",
        hint=f'in Python: onnxruntime.InferenceSession("{path}").run(None, {{"{taken.name}": clips}}), where '
        f"clips are a NumPy array [{shape}] of {taken.dtype}, made as its metadata vidcls.input says",
    )


def _centre(pixels: Pixels, clip: Clip) -> Pixels:
    top, left, height, width = eval_window((pixels.shape[1], pixels.shape[2]), clip)
    return pixels[:, top : top + height, left : left + width]


def _good(
    clips: Iterator[tuple[Video, Pixels | Failure]], errors: dict[str, str]
) -> Iterator[tuple[Video, Pixels]]:
    for video, pixels in clips:
        if isinstance(pixels, Failure):
            errors[video.id] = pixels.reason
        else:
            yield video, pixels
