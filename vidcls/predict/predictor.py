"""Predictions of a trained run on files outside of any data root."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vidcls.data.batches.open_clips import open_clips
from vidcls.data.decoding.workers import StageProgress
from vidcls.errors import UserError
from vidcls.evaluate.restore import Restored, restore
from vidcls.evaluate.score import score
from vidcls.models.device import pick_device, pin
from vidcls.models.kinds.base import VideoModel
from vidcls.predict.paths import as_videos, find_videos
from vidcls.predict.prediction import Prediction
from vidcls.runs import Checkpoint, Run


class Predictor:
    """Trained run that is ready to score videos. `vidcls.load(run)` makes one."""

    def __init__(self, run: Run, *, checkpoint: Checkpoint = "best", device: str | None = None) -> None:
        self._device = pick_device(device)
        self._restored: Restored = restore(run, checkpoint, self._device)
        provenance = run.provenance()
        self._store_dir = Path(provenance["store_dir"])
        pin(threads=provenance["threads"], deterministic=self._restored.spec.train.deterministic)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; the index is the label."""
        return self._restored.classes

    @property
    def model(self) -> VideoModel:
        """Network in evaluation mode: clips `[B, C, T, H, W]` to logits `[B, K]`."""
        return self._restored.model

    def predict(
        self, paths: str | Path | Sequence[str | Path], *, progress: StageProgress | None = None
    ) -> list[Prediction]:
        """Predict files, frame folders, or all videos below a folder, in batches.

        Args:
            paths: One or several paths; a folder without frames stands for the videos below it.
            progress: Called with (stage, done, total).

        Returns:
            One prediction per video, in the given order; a video that cannot be read has its error.

        Raises:
            UserError: If a path does not exist, or a folder holds no video; or if the run was trained on a
                data set of the user.
        """
        if (target := self._restored.spec.data.target) is not None:
            raise UserError(
                f"the run was trained on {target}, so only your code knows how a file becomes a clip",
                hint="in Python: vidcls.load(run).model takes batches of the clips that your data set makes",
            )
        files = find_videos([paths] if isinstance(paths, str | Path) else paths)
        logits, errors = self._logits(files, progress)
        return [
            Prediction(path, error=errors[str(path)])
            if str(path) in errors
            else Prediction.of(path, logits[str(path)], self.classes)
            for path in files
        ]

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
