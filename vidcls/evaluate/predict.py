"""Predictions of a trained run on files outside of any data root."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from vidcls.choices import Source
from vidcls.data.batches.open_clips import open_clips
from vidcls.data.decoding.frame_folders import Files, look_into
from vidcls.data.decoding.workers import StageProgress
from vidcls.data.digests import digest_videos
from vidcls.data.listing.files import find_videos as videos_below
from vidcls.data.manifest import Video
from vidcls.errors import UserError
from vidcls.evaluate.restore import Restored, restore
from vidcls.evaluate.score import score
from vidcls.models.device import pick_device, pin
from vidcls.models.kinds.base import VideoModel
from vidcls.runs import Checkpoint, Run


@dataclass(frozen=True, eq=False)
class Prediction:
    """Prediction of a run for one video.

    Attributes:
        path: Video file or frame folder.
        classes: All class names, most probable first; empty for a video that could not be read.
        probabilities: Softmax of the logits, in the same order.
        logits: float32 `[K]` in the order of the labels.
        error: Reason why there is no prediction; None if there is one.
    """

    path: Path
    classes: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    logits: np.ndarray | None = field(default=None, repr=False)
    error: str | None = None

    @property
    def label(self) -> str | None:
        """Most probable class."""
        return self.classes[0] if self.classes else None


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
            UserError: If a path does not exist, or a folder holds no video.
        """
        files = find_videos([paths] if isinstance(paths, str | Path) else paths)
        logits, errors = self._logits(files, progress)
        return [
            Prediction(path, error=errors[str(path)])
            if str(path) in errors
            else self._ranked(path, logits[str(path)])
            for path in files
        ]

    def _logits(
        self, files: Sequence[Path], progress: StageProgress | None
    ) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        spec = self._restored.spec
        read_from = [_files(path, spec.data.source) for path in files]
        digests = digest_videos(read_from, cache_dir=self._store_dir)
        errors = {
            str(path): digest.reason for path, digest in zip(files, digests, strict=True) if digest.failure
        }
        videos = [
            Video(str(path), path, 0, "test", None, digest.hex, each.flows, each.frames is not None)
            for path, each, digest in zip(files, read_from, digests, strict=True)
            if not digest.failure
        ]
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

    def _ranked(self, path: Path, logits: np.ndarray) -> Prediction:
        probabilities = torch.softmax(torch.from_numpy(logits), dim=0)
        order = torch.argsort(probabilities, descending=True, stable=True).tolist()
        return Prediction(
            path,
            classes=tuple(self.classes[i] for i in order),
            probabilities=tuple(float(probabilities[i]) for i in order),
            logits=logits,
        )


def _files(path: Path, source: Source) -> Files:
    """Files to read for a path: stored flow if the run was trained on stored flow, else flow is computed."""
    if "flows" not in source or not path.is_dir() or not look_into(path).fields:
        return Files(path)
    return Files(None if source == "flows" else path, path)


def find_videos(paths: Sequence[str | Path]) -> list[Path]:
    """Find the videos that paths stand for, each once, in natural order within a folder.

    Raises:
        UserError: If a path does not exist, or a folder holds no video.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")
        # A folder of frames is one video, and `videos_below` returns it as such.
        below = list(videos_below(path)) if path.is_dir() else [path]
        if not below:
            raise UserError(f"{path}: contains no videos and no folders of frames")
        found += below
    return list(dict.fromkeys(found))
