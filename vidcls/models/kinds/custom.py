"""A model of the user's own: any `nn.Module` from clips `[B, C, T, H, W]` to logits `[B, K]`.

    clip [B, C, T, H, W]
      |  the module itself; or its `backbone`, then its `head`
    logits [B, K]

Where the module has `backbone` and `head`, and gives `head(backbone(clip))`, its backbone can be frozen, its
features stored, and its stages have their own learning rates. Else it is one whole.

Axes: B clips, C channels, T frames, H W pixels, J features of a clip, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vidcls.errors import UserError
from vidcls.models.kinds.base import BackboneModel
from vidcls.spec.model import CustomSection
from vidcls.spec.sections import Clip
from vidcls.user_code.arguments import make
from vidcls.user_code.code import UserCode
from vidcls.user_code.find import find_code
from vidcls.user_code.load import USER_ERRORS, explained

_TRIED_CLIPS = 2


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
        code = find_code(section.target)
        self.code = code
        self.encoding = f"custom {code.identity}"
        self._clip_shape = (clip.num_channels, clip.frames, *clip.size)
        self.net = _make(section, code, num_classes=num_classes, clip=clip)
        self.why_whole = _why_whole(self.net)
        self.is_divided = self.why_whole is None
        # On the meta device, on which costs are estimated, nothing is computed.
        if not any(tensor.is_meta for tensor in self.net.parameters()):
            self._try(num_classes)

    @property
    def backbone(self) -> nn.Module:  # type: ignore[override]
        """Part below the head; of a module that cannot be divided, all of it."""
        return self.net.get_submodule("backbone") if self.is_divided else self.net

    @property
    def target(self) -> str:
        """Target of the section."""
        return self.code.target

    @property
    def named_root(self) -> nn.Module:
        """Module in which the names of `freeze` are looked up."""
        return self.net

    def extract(self, clip: Tensor) -> Tensor:
        """Compute the features `[B, ...]` from `[B, C, T, H, W]`; of an undivided module, the logits."""
        features: Tensor = self.backbone(clip)
        return features

    def head(self, features: Tensor) -> Tensor:
        """Compute logits `[B, K]` from the result of `extract`."""
        if not self.is_divided:
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
            shape = self.extract(self._zeros()).shape
        self.net.train(training)
        if len(shape) != 2:
            raise UserError(
                f"{self.code.target}: backbone gives {list(shape[1:])} for a clip; fusion of features needs "
                "one vector",
                hint="set model.fusion: logits, or pool at the end of backbone",
            )
        self.num_features = shape[1]
        self.net.head = nn.Identity()

    def _zeros(self) -> Tensor:
        param = next(self.net.parameters(), torch.empty(0))
        return torch.zeros(_TRIED_CLIPS, *self._clip_shape, device=param.device)

    def _try(self, num_classes: int) -> None:
        """Try it on two clips: does it give logits, and the same ones by way of backbone and head?"""
        code = self.code
        generator = torch.Generator().manual_seed(0)
        clip = torch.randn(_TRIED_CLIPS, *self._clip_shape, generator=generator)
        training = self.net.training
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            logits = _called(code, self.net.eval(), clip)
            wanted = (_TRIED_CLIPS, num_classes)
            if not isinstance(logits, Tensor) or tuple(logits.shape) != wanted:
                got = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
                raise UserError(
                    f"{code.target}: gives {got} for clips {list(clip.shape)} of {num_classes} classes; "
                    f"expected logits {list(wanted)}",
                    hint="its last layer must have num_classes outputs: take the argument num_classes",
                )
            if self.is_divided:
                divided = _called(code, lambda clip: self.head(self.extract(clip)), clip)
                if divided.shape != logits.shape or not torch.allclose(divided, logits, rtol=1e-3, atol=1e-5):
                    self.why_whole = "its output is not head(backbone(clip))"
                    self.is_divided = False
        self.net.train(training)


def _why_whole(net: nn.Module) -> str | None:
    missing = [name for name in ("backbone", "head") if not isinstance(getattr(net, name, None), nn.Module)]
    return f"it has no part {' and no part '.join(missing)}" if missing else None


def _make(section: CustomSection, code: UserCode, *, num_classes: int, clip: Clip) -> nn.Module:
    offered = {
        "num_classes": num_classes,
        "in_channels": clip.num_channels,
        "num_frames": clip.frames,
        "size": clip.size,
        "clip_shape": (clip.num_channels, clip.frames, *clip.size),
    }
    net = make(code, section.args, offered=offered, key="model.args")
    if not isinstance(net, nn.Module):
        raise UserError(
            f"{code.target}: makes an object of type {type(net).__name__}; expected a torch.nn.Module"
        )
    return net


def _called(code: UserCode, net: Callable[[Tensor], Any], clip: Tensor) -> Any:
    try:
        return net(clip)
    except USER_ERRORS as error:
        raise explained(code, error) from error


def custom_parts(model: nn.Module) -> list[CustomModel]:
    """Parts of a model that are a user's own; the model itself may be one."""
    return [part for part in model.modules() if isinstance(part, CustomModel)]


def refuse_whole(model: nn.Module, setting: str) -> None:
    """Refuse a setting that needs a backbone, for a model with a part of the user's that has none.

    Raises:
        UserError: If a part cannot be divided into backbone and head.
    """
    for part in custom_parts(model):
        if not part.is_divided:
            raise UserError(
                f"{setting}: needs a backbone and a head, but {part.target} is one whole: {part.why_whole}",
                hint="give it modules backbone and head, so that it gives self.head(self.backbone(clip))",
            )
