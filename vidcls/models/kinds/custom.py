"""A model of the user's own: any `nn.Module` from clips `[B, C, T, H, W]` to logits `[B, K]`.

    clip [B, C, T, H, W]
      |  the module itself; or its `backbone`, then its `head`
    logits [B, K]

Where the module has `backbone` and `head`, and gives `head(backbone(clip))`, its backbone can be frozen, its
features stored, and its stages have their own learning rates. Else it is one whole. Its own `forward` is
called, except where the backbone is frozen or the head was removed.

Axes: B clips, C channels, T frames, H W pixels, J features of a clip, K classes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vidcls.errors import UserError
from vidcls.models.freezing import is_frozen
from vidcls.models.kinds.base import BackboneModel, Features
from vidcls.models.kinds.custom_trial import called, try_net, without_parts
from vidcls.spec.model import CustomSection
from vidcls.spec.sections import Clip
from vidcls.user_code.arguments import make
from vidcls.user_code.code import UserCode
from vidcls.user_code.find import find_code


class CustomModel(BackboneModel):
    """Model from clips `[B, C, T, H, W]` to logits `[B, K]`.

    Args:
        section: Section with target and arguments.
        num_classes: Number of classes K.
        clip: Clip section with C, T, H, W.

    Attributes:
        net: Module of the user.
        code: Code of the module.
        why_whole: Reason why it cannot be divided into backbone and head; None if it can.

    Raises:
        UserError: If it is not found, cannot be built with these arguments, or gives no logits `[B, K]`.
    """

    sees_order = True
    is_divided: bool

    def __init__(self, section: CustomSection, *, num_classes: int, clip: Clip) -> None:
        super().__init__()
        self.code = find_code(section.target)
        self._clip_shape = (clip.num_channels, clip.frames, *clip.size)
        offered = {
            "num_classes": num_classes,
            "in_channels": clip.num_channels,
            "num_frames": clip.frames,
            "size": clip.size,
            "clip_shape": self._clip_shape,
        }
        # Arguments without weights, such as the kind of a pooling, change features too.
        self.encoding = f"custom {self.code.identity} {json.dumps([section.args, offered], sort_keys=True)}"
        self.net = _make(self.code, section.args, offered)
        self._has_head = True
        if any(tensor.is_meta for tensor in self.net.parameters()):  # on which only costs are estimated
            self.why_whole = without_parts(self.net)
            self._materialise()
        else:
            shape = self._clip_shape
            self.why_whole = try_net(self.code, self.net, clip_shape=shape, num_classes=num_classes)
        self.is_divided = self.why_whole is None

    @property
    def backbone(self) -> nn.Module:  # type: ignore[override]
        """Part below the head; of a module that cannot be divided, all of it."""
        return self.net.get_submodule("backbone") if self.is_divided else self.net

    @property
    def _by_parts(self) -> bool:
        """Whether backbone and head are called one by one: a frozen backbone has stored features."""
        return self.is_divided and (not self._has_head or is_frozen(self.backbone))

    @property
    def target(self) -> str:
        """Target of the section."""
        return self.code.target

    @property
    def named_root(self) -> nn.Module:
        """Module in which the names of `freeze` are looked up."""
        return self.net

    def encode(self, clip: Tensor) -> Features:
        """Compute the features from `[B, C, T, H, W]`; the logits, unless backbone and head are separate."""
        return super().encode(clip) if self._by_parts else (self.extract(clip),)

    def extract(self, clip: Tensor) -> Tensor:
        """Compute the features `[B, ...]` from `[B, C, T, H, W]`; of the module as a whole, the logits."""
        net = self.backbone if self._by_parts else self.net
        if torch.compiler.is_compiling():
            compiled: Tensor = net(clip)
            return compiled
        features = called(self.code, net, clip)
        if not isinstance(features, Tensor):
            raise UserError(
                f"{self.code.target}: gives an object of type {type(features).__name__}",
                hint="return the tensor of the logits alone",
            )
        return features

    def head(self, features: Tensor) -> Tensor:
        """Compute logits `[B, K]` from the result of `extract`."""
        if not self._by_parts:
            return features
        logits: Tensor = self.net.get_submodule("head")(features)
        return logits

    def drop_last_layers(self) -> None:
        """Remove the head, so that another one classifies the features of this model and of others.

        Raises:
            UserError: If the module has no such part, or does not give one vector a clip.
        """
        if not self.is_divided:
            raise UserError(
                f"{self.code.target}: {self.why_whole}, so its features cannot be fused",
                hint="set model.fusion: logits",
            )
        training = self.net.training
        self.net.eval()
        with torch.no_grad():
            shape = self.backbone(self._zeros()).shape
        self.net.train(training)
        if len(shape) != 2:
            raise UserError(
                f"{self.code.target}: backbone gives {list(shape[1:])} for a clip; fusion of features needs "
                "one vector",
                hint="set model.fusion: logits, or pool at the end of backbone",
            )
        self.num_features = shape[1]
        self.net.head = nn.Identity()
        self._has_head = False

    def _zeros(self) -> Tensor:
        param = next(self.net.parameters(), torch.empty(0))
        return torch.zeros(2, *self._clip_shape, device=param.device)

    def _materialise(self) -> None:
        """Give lazy layers their shapes, which they have after a first clip."""
        if any(isinstance(param, nn.UninitializedParameter) for param in self.net.parameters()):
            with torch.no_grad():
                self.net(self._zeros())


def _make(code: UserCode, args: Mapping[str, Any], offered: Mapping[str, Any]) -> nn.Module:
    net = make(code, args, offered=offered, key="model.args")
    if not isinstance(net, nn.Module):
        raise UserError(
            f"{code.target}: makes an object of type {type(net).__name__}; expected a torch.nn.Module"
        )
    return net


def custom_parts(model: nn.Module) -> list[CustomModel]:
    """Parts of a model that are a user's own; the model itself may be one."""
    return [part for part in model.modules() if isinstance(part, CustomModel)]


def whole_part(model: nn.Module) -> str | None:
    """First part of the user's that has no separate backbone and head, and why; None without one."""
    parts = (part for part in custom_parts(model) if part.why_whole)
    return next((f"{part.target} is one whole: {part.why_whole}" for part in parts), None)


def refuse_whole(model: nn.Module, setting: str) -> None:
    """Refuse a setting that needs a backbone, for a model with a part of the user's that has none.

    Raises:
        UserError: If a part cannot be divided into backbone and head.
    """
    if (whole := whole_part(model)) is not None:
        raise UserError(
            f"{setting}: needs a backbone and a head, but {whole}",
            hint="give it modules backbone and head, so that it gives self.head(self.backbone(clip))",
        )
