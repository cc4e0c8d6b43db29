"""Loads pretrained weights into models: read, adapted to the input and the number of axes, checked, loaded.

This is only for the start of a training: a checkpoint holds all weights and needs no other file.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from vidcls.choices import LITE
from vidcls.kept import kept
from vidcls.models.backbones import Backbone, InflatedBackbone
from vidcls.models.backbones.first_layer import adapt_first_layer, first_conv
from vidcls.models.backbones.lite import lite_names
from vidcls.models.error_context import in_part
from vidcls.models.freezing import is_frozen
from vidcls.models.kinds.base import BackboneModel, VideoModel
from vidcls.models.kinds.custom import CustomModel
from vidcls.models.weights.catalogue import Weights, digest_of, resolve
from vidcls.models.weights.files import fit_weights, new_densenet_names, read_weights
from vidcls.spec.model import ModelSection, SingleModelSection


@dataclass(frozen=True)
class Loaded:
    """Pretrained weights that were loaded into a model.

    Attributes:
        backbone: Name of the backbone, as in the section.
        weights: Name of the weights, with `default` resolved; path for a file.
        file: File that was read.
        digest: SHA-256 of that file.
    """

    backbone: str
    weights: str
    file: Path
    digest: str


def load_pretrained(model: VideoModel, section: ModelSection, *, weights_dir: Path) -> tuple[Loaded, ...]:
    """Load weights into every backbone whose section sets them; frozen parts stay frozen.

    Parts that freeze equal backbones with the same weights get one instance, which is computed with, and
    stored in checkpoints, once.

    Args:
        model: Model that `build` made from the section.
        section: Section of the model.
        weights_dir: Folder of downloaded weights.

    Returns:
        Loaded weights, each file once for each backbone.

    Raises:
        UserError: If weights are unknown, not on this machine, or do not belong to the backbone.
    """
    # Module paths of the parts are the same as in the spec.
    parts = [
        (path, part)
        for path, part in model.named_modules()
        if isinstance(part, BackboneModel) and not isinstance(part, CustomModel)
    ]
    # Members of an ensemble that freeze the same backbone share it already, so it is loaded once.
    loaded: dict[nn.Module, tuple[Backbone, Loaded]] = {}
    frozen: dict[Hashable, tuple[Backbone, Loaded]] = {}
    for (path, part), single in zip(parts, section.singles(), strict=True):
        own = part.backbone
        if single.weights is None:
            continue
        assert isinstance(own, Backbone)
        with in_part(path):
            if own not in loaded and not is_frozen(own):
                loaded[own] = _loaded(own, single, weights_dir)
            elif own not in loaded:
                key = (single.backbone, single.weights, weights_dir, own.channels_per_frame, repr(own))
                if key not in frozen:
                    load = partial(_loaded, own, single, weights_dir)
                    frozen[key] = kept(("frozen backbone", key), load)
                loaded[own] = frozen[key]
        part.backbone = loaded[own][0]
    return tuple(record for _, record in loaded.values())


def _loaded(own: Backbone, single: SingleModelSection, weights_dir: Path) -> tuple[Backbone, Loaded]:
    assert single.weights is not None
    weights = resolve(single.backbone, single.weights)
    file = load_backbone(own, weights, weights_dir=weights_dir)
    return own, Loaded(single.backbone, weights.name, file, digest_of(file))


def load_backbone(backbone: Backbone, weights: Weights, *, weights_dir: Path) -> Path:
    """Load weights into one backbone; return the file that was read.

    Raises:
        UserError: As for `load_pretrained`.
    """
    file = weights.find(weights_dir)
    backbone.body.load_state_dict(weights_for(backbone, weights, file=file), strict=False)
    return file


def weights_for(backbone: Backbone, weights: Weights, *, file: Path) -> dict[str, Tensor]:
    """Read the weights for the body of a backbone, adapted to its input and number of axes.

    Raises:
        UserError: If the file does not contain the weights of that backbone.
    """
    like = backbone.body.state_dict()
    state = our_names(read_weights(file), weights.backbone)
    first, _ = first_conv(backbone.body)
    if (weight := state.get(f"{first}.weight")) is not None and weight.ndim >= 4:
        state[f"{first}.weight"] = adapt_first_layer(
            weight, in_channels=backbone.in_channels, channels_per_frame=backbone.channels_per_frame
        )
    if isinstance(backbone, InflatedBackbone):
        from vidcls.models.backbones.inflate import inflate_state

        state = inflate_state(state, like)
    return fit_weights(state, like, file=file, backbone=weights.backbone)


def our_names(state: Mapping[str, Tensor], backbone: str) -> dict[str, Tensor]:
    """Rename weights to the names in the body of a backbone."""
    if backbone == LITE:
        return lite_names(state)
    if backbone.startswith("densenet"):
        return new_densenet_names(state)
    return dict(state)
