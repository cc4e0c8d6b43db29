"""Complete spec, and checks across its sections."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from vidcls.spec.base import NonNegativeInt, PathText, Section, not_identity
from vidcls.spec.data import DataSection
from vidcls.spec.model import EnsembleSection, ModelSection
from vidcls.spec.sections import (
    AdamWSection,
    AugmentSection,
    ClipSection,
    OptimSection,
    TrackingSection,
    TrainSection,
)


class Spec(Section):
    """One experiment: the model, its data and its training."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)] = not_identity(...)
    """Name of the experiment and of the folder of its runs. Letters, digits, `.`, `_` and `-`."""
    seed: Annotated[NonNegativeInt, Field(lt=2**32)] = not_identity(0)
    """Seed of all random numbers. It is part of the name of a run's folder, but not of the fingerprint."""
    data: DataSection = DataSection()
    clip: ClipSection = ClipSection()
    augment: AugmentSection = AugmentSection()
    model: ModelSection
    optim: OptimSection = AdamWSection()
    train: TrainSection = TrainSection()
    tracking: TrackingSection = not_identity(TrackingSection())
    runs_dir: PathText = not_identity("runs")
    """Folder of all runs; it can be on scratch."""
    store_dir: PathText = not_identity("store")
    """Folder of decoded clips and caches, shared by all runs; it can be on scratch."""

    @property
    def has_fixed_views(self) -> bool:
        """Whether training uses the same views of a video in every epoch."""
        return self.augment.num_views is not None or not (
            self.augment.is_active or self.clip.sampling == "segment"
        )

    @property
    def num_stored_views(self) -> int:
        """Number of views per video whose features are stored: one for evaluation and those of training."""
        return 1 + (self.augment.num_views or 0)

    @property
    def foresees_features(self) -> bool:
        """Whether features of frozen backbones will be stored, as far as known without the model."""
        return (
            self.model.freezes_backbone
            and self.train.unfreeze_every is None
            and self.data.target is None
            and self.data.residency != "streamed"
            and self.clip.unit == "clip"
            and self.has_fixed_views
        )

    @model_validator(mode="after")
    def _check(self) -> Self:
        members = self.model.members if isinstance(self.model, EnsembleSection) else (self.model,)
        kinds = {member.kind for member in members}
        if self.clip.unit == "frame" and kinds != {"frame_average"}:
            raise ValueError(
                "clip.unit: frame needs a model that scores single frames; set model.kind: frame_average"
            )
        self._check_flows()
        self._check_target()
        if self.clip.frames < 2 and kinds - {"frame_average"}:
            raise ValueError(
                f"clip.frames: model.kind: {self.model.kind} combines several frames; set 2 or more"
            )
        if self.augment.crop == "random" and self.clip.fit == "squeeze":
            raise ValueError("augment.crop: random has no effect with clip.fit: squeeze; set clip.fit: crop")
        if self.augment.num_views and not (self.augment.is_active or self.clip.sampling == "segment"):
            raise ValueError(
                "augment.num_views: has no effect, because all views are equal; set augment.flip"
            )
        if "two_stream" in kinds and len(self.clip.parts) < 2:
            raise ValueError(
                "model.kind: two_stream needs frames and their motion; set clip.modality: rgb+difference"
            )
        if self.train.batch_size < 2 and any(single.needs_batch for single in self.model.singles()):
            raise ValueError(
                "train.batch_size: frame_statistics standardises features over a batch; set 2 or more"
            )
        self._check_unfreezing()
        if self.optim.warmup_epochs >= self.train.epochs and self.optim.warmup_epochs > 1:
            raise ValueError("optim.warmup_epochs: must be smaller than train.epochs")
        return self

    def _check_flows(self) -> None:
        source, modality = self.data.source, self.clip.modality
        if source == "flows" and modality == "rgb+flow":
            raise ValueError(
                "data.source: flows has no frames, which clip.modality: rgb+flow also needs; set "
                "frames+flows for folders of frames, or videos+flows for video files"
            )
        if source == "flows" and modality != "flow":
            raise ValueError("data.source: flows contains optical flow; set clip.modality: flow")
        if "+" in source and modality != "rgb+flow":
            raise ValueError(f"data.source: {source} needs clip.modality: rgb+flow")
        if self.data.reads_flows and self.clip.flow is not None:
            raise ValueError(
                f"clip.flow: has no effect with data.source: {source}, because this flow was computed before"
            )

    def _check_target(self) -> None:
        """Refuse what is done to videos that this package reads, if clips come from the user's data set."""
        if self.data.target is None:
            return
        refused = {
            "clip.flow": self.clip.flow is not None,
            "clip.fit": self.clip.fit != "squeeze",
            "clip.sampling": self.clip.sampling != "uniform",
            "clip.unit": self.clip.unit != "clip",
            "augment.flip": self.augment.flip > 0,
            "augment.crop": self.augment.crop != "none",
            "augment.num_views": self.augment.num_views is not None,
        }
        for key, is_set in refused.items():
            if is_set:
                raise ValueError(
                    f"{key}: has no effect with data.target, whose clips go into the model as they are; do "
                    "it in your data set"
                )

    def _check_unfreezing(self) -> None:
        every = self.train.unfreeze_every
        if every is None:
            return
        if any(single.weights is None for single in self.model.singles()):
            raise ValueError(
                "train.unfreeze_every: the backbone is frozen at first, so it needs pretrained weights; "
                "set model.weights (of every member)"
            )
        if every >= self.train.epochs:
            raise ValueError(
                f"train.unfreeze_every: nothing would unfreeze within train.epochs: {self.train.epochs}; "
                "lower it, or set model.freeze: [backbone]"
            )
