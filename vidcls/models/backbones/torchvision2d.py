"""Image classifiers of torchvision, up to their pooling. Imported only when one of them is asked for."""

from __future__ import annotations

from itertools import takewhile

from torch import nn

# Removed modules; they include hidden layers of a head (VGG, MobileNetV3).
_HEADS = {"avgpool", "dropout", "flatten", "classifier", "fc", "head"}
# These networks take one input size and have no map that could be pooled.
NO_MAP = ("vit_", "maxvit_")
# In training, these return extra logits of inner layers unless switched off.
_WITH_EXTRA_LOGITS = ("googlenet", "inception_v3")


def torchvision_names_2d() -> list[str]:
    """Names of the networks with a map."""
    import torchvision

    listed = torchvision.models.list_models(module=torchvision.models)
    return [name for name in listed if not name.startswith(NO_MAP)]


def torchvision_2d(name: str) -> nn.Module:
    """Network from images `[N, 3, H, W]` to a map `[N, F, h, w]`; modules have their torchvision names."""
    import torchvision

    inner = {"aux_logits": False, "init_weights": True} if name in _WITH_EXTRA_LOGITS else {}
    model = torchvision.models.get_model(name, weights=None, **inner)
    body = nn.Sequential()
    for child_name, child in takewhile(lambda child: child[0] not in _HEADS, model.named_children()):
        body.add_module(child_name, child)
    if isinstance(model, torchvision.models.DenseNet):
        body.add_module("relu", nn.ReLU())  # in torchvision, a function call between modules
    return body
