"""Predictions of a trained run on files outside of any data root, and on frames in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vidcls.data.batches.buffers import Buffers
from vidcls.data.batches.eval_batch import eval_batch
from vidcls.data.batches.open_clips import open_clips
from vidcls.data.decoding.workers import StageProgress
from vidcls.errors import UserError
from vidcls.evaluate.restore import Restored, restore
from vidcls.evaluate.score import score
from vidcls.models.device import pick_device, pin
from vidcls.models.kinds.base import VideoModel
from vidcls.predict.arrays import as_frames
from vidcls.predict.paths import as_videos, find_videos
from vidcls.predict.prediction import Prediction, predictions_of
from vidcls.predict.stored_form import array_clip
from vidcls.run.folder import Checkpoint, Run
from vidcls.spec.sections import Clip

AnyVideo = str | Path | NDArray[Any] | Tensor
"""Path of a video, or its frames."""


class Predictor:
    """Trained run that is ready to score videos. `vidcls.load(run)` makes one."""

    def __init__(self, run: Run, *, checkpoint: Checkpoint = "best", device: str | None = None) -> None:
        self._device = pick_device(device)
        self._restored: Restored = restore(run, checkpoint, self._device)
        provenance = run.provenance()
        self._store_dir = Path(provenance["store_dir"])
        self._buffers = Buffers(2)
        pin(threads=provenance["threads"], deterministic=self._restored.spec.train.deterministic)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; the index is the label."""
        return self._restored.classes

    @property
    def model(self) -> VideoModel:
        """Network in evaluation mode: clips `[B, C, T, H, W]` to logits `[B, K]`."""
        return self._restored.model

    @property
    def clip(self) -> Clip:
        """Clip section, which says how a video becomes a clip of the model."""
        return self._restored.clip

    def predict(
        self, videos: AnyVideo | Sequence[AnyVideo], *, progress: StageProgress | None = None
    ) -> list[Prediction]:
        """Predict files, frame folders, all videos below a folder, or frames in memory, in batches.

        Args:
            videos: One video or a sequence of them. A video is a path (a folder without frames stands for the
                videos below it), or its frames `[T, H, W, 3]`, uint8 RGB, as a NumPy array or a tensor of
                torch. Frames in memory are sampled and cropped as those of a file are. They are scaled
                by OpenCV, those of a file by FFmpeg while YUV becomes RGB, so pixels differ slightly.
            progress: Called with (stage, done, total).

        Returns:
            One prediction per video, in the given order; a video that cannot be read has its error.

        Raises:
            UserError: If a path does not exist, a folder holds no video, or an array is no video; or if the
                run was trained on a data set of the user.
        """
        self.refuse_own_dataset()
        given = [videos] if isinstance(videos, str | Path | np.ndarray | Tensor) else list(videos)
        found: dict[int, list[Path]] = {}
        arrays: dict[int, NDArray[np.uint8]] = {}
        for number, video in enumerate(given):
            if isinstance(video, str | Path):
                found[number] = find_videos([video])
            else:
                arrays[number] = as_frames(video, self.clip, name=f"video {number} of {len(given)}")
        files = list(dict.fromkeys(path for paths in found.values() for path in paths))
        of_files = self._of_files(files, progress) if files else {}
        of_arrays = self._of_arrays(arrays, progress)
        predictions: dict[Path | int, Prediction] = {}
        for number in range(len(given)):
            if number in arrays:
                predictions[number] = of_arrays[number]
            else:
                predictions |= {path: of_files[path] for path in found[number]}
        return list(predictions.values())

    def refuse_own_dataset(self) -> None:
        """Refuse to read videos, if only code of the user knows how.

        Raises:
            UserError: If the run was trained on a data set of the user.
        """
        if (target := self._restored.spec.data.target) is not None:
            raise UserError(
                f"the run was trained on {target}, so only your code knows how a file becomes a clip",
                hint="in Python: vidcls.load(run).model takes batches of the clips that your data set makes",
            )

    def score_clips(self, clips: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Logits `[B, K]` of clips as stored, see `ClipScorer.score_clips`."""
        batch = eval_batch(clips, clip=self.clip, device=self._device, buffers=self._buffers)
        channels_last = self._restored.spec.train.channels_last
        return score(self.model, [batch], channels_last=channels_last).logits

    def _of_arrays(
        self, arrays: dict[int, NDArray[np.uint8]], progress: StageProgress | None
    ) -> dict[int, Prediction]:
        """Predictions of frames in memory, by their position in the request."""
        numbers = list(arrays)
        batch_size = self._restored.spec.train.batch_size
        predictions: dict[int, Prediction] = {}
        for start in range(0, len(numbers), batch_size):
            part = numbers[start : start + batch_size]
            logits = self.score_clips([array_clip(arrays[number], self.clip) for number in part])
            for number, row in zip(part, logits, strict=True):
                predictions[number] = Prediction.of(None, row, self.classes)
            if progress is not None:
                progress("score arrays", len(predictions), len(numbers))
        return predictions

    def _of_files(self, files: Sequence[Path], progress: StageProgress | None) -> dict[Path, Prediction]:
        logits, errors = self._logits(files, progress)
        return dict(zip(files, predictions_of(files, logits, errors, self.classes), strict=True))

    def _logits(
        self, files: Sequence[Path], progress: StageProgress | None
    ) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        spec = self._restored.spec
        videos, errors = as_videos(files, source=spec.data.source, cache_dir=self._store_dir)
        with open_clips(
            videos,
            data=spec.data.model_copy(update={"residency": "streamed"}),
            clip=self._restored.clip,
            store_dir=self._store_dir,
            device=self._device,
            report_bad=True,
            progress=progress,
        ) as clips:
            batches = clips.eval_batches(videos, batch_size=spec.train.batch_size)
            scores = score(self.model, batches, channels_last=spec.train.channels_last)
            return dict(zip(scores.ids, scores.logits, strict=True)), errors | dict(clips.bad)
