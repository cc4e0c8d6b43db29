"""Video classifiers of torchvision, without their last layers. Imported only when one is asked for."""

from __future__ import annotations

from torch import nn

# T, H, W of the only clips that these take, because of their learned position embeddings.
FIXED_CLIPS = {"mvit_v1_b": (16, 224, 224), "mvit_v2_s": (16, 224, 224)}


def torchvision_names_3d() -> list[str]:
    """Names of all video networks of torchvision."""
    import torchvision

    return list(torchvision.models.list_models(module=torchvision.models.video))


def torchvision_3d(name: str) -> nn.Module:
    """Network from clips `[B, 3, T, H, W]` to features `[B, F]`; modules have their torchvision names."""
    import torchvision
    from torchvision.models.video import S3D, MViT, VideoResNet

    model: nn.Module = torchvision.models.get_model(name, weights=None)
    match model:
        case VideoResNet():
            model.fc = nn.Identity()
        case S3D():
            # Its own pooling needs 224 pixels, where it is the same as the mean of the whole map.
            model.avgpool = nn.Identity()
            model.classifier = nn.Identity()
        case MViT():
            model.head = nn.Identity()
        case _:
            # Swin3D has an average pooling that adapts to the map.
            model.head = nn.Identity()
    return model
