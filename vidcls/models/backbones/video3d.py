"""torchvision's video classifiers, without their last layers. Imported only when one of them is asked for."""

from __future__ import annotations

from torch import nn

# T, H, W of the clips that these take; their learned positions are made for no other.
FIXED_CLIPS = {"mvit_v1_b": (16, 224, 224), "mvit_v2_s": (16, 224, 224)}


def torchvision_names_3d() -> list[str]:
    """All there are."""
    import torchvision

    return list(torchvision.models.list_models(module=torchvision.models.video))


def torchvision_3d(name: str) -> nn.Module:
    """Clips `[B, 3, T, H, W]` to features `[B, F]`; modules are named as torchvision does."""
    import torchvision
    from torchvision.models.video import S3D, MViT, VideoResNet

    model: nn.Module = torchvision.models.get_model(name, weights=None)
    match model:
        case VideoResNet():
            model.fc = nn.Identity()
        case S3D():
            # Its own pooling needs 224 pixels; the mean of the whole map is the same there.
            model.avgpool = nn.Identity()
            model.classifier = nn.Identity()
        case MViT():
            model.head = nn.Identity()
        case _:
            # Swin3D: its average pooling adapts to the map.
            model.head = nn.Identity()
    return model
