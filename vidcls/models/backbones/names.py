"""Names of the backbones, and the error for an unknown name."""

from __future__ import annotations

from vidcls.choices import LITE, SMALL
from vidcls.errors import UserError, did_you_mean
from vidcls.models.backbones.timm2d import PREFIX
from vidcls.models.backbones.torchvision2d import NO_MAP, torchvision_names_2d
from vidcls.models.backbones.video3d import torchvision_names_3d


def names_2d() -> list[str]:
    """Names that `backbone_2d` takes, except those of timm."""
    return [SMALL, LITE, *torchvision_names_2d()]


def names_3d() -> list[str]:
    """Names of 3D networks that `backbone_3d` takes; it also inflates 2D networks."""
    return [SMALL, *torchvision_names_3d()]


def is_2d(name: str) -> bool:
    """Whether a name is that of a 2D backbone; names of timm are not looked up."""
    return name in (SMALL, LITE) or name.startswith(PREFIX) or name in torchvision_names_2d()


def is_3d(name: str) -> bool:
    """Whether a name is that of a network that is 3D by itself."""
    return name == SMALL or (not name.startswith(PREFIX) and name != LITE and name in torchvision_names_3d())


def wrong_name(name: str, *, dims: int) -> UserError:
    """Error for a name that is no backbone, or a backbone of another family."""
    import torchvision

    hint = "vidcls model list shows the backbones"
    if dims == 2 and name in names_3d():
        return UserError(f"model.backbone: {name} is a video backbone, for model.kind: cnn3d", hint=hint)
    if name.startswith(NO_MAP) and name in torchvision.models.list_models():
        return UserError(
            f"model.backbone: {name} has a fixed input size and gives no spatial map, so it is not supported",
            hint=hint,
        )
    allowed = names_2d() if dims == 2 else [*names_3d(), *names_2d()]
    meant = did_you_mean(name, allowed, num=3)
    return UserError(f"model.backbone: there is no backbone {name}{meant and f'; {meant}'}", hint=hint)
