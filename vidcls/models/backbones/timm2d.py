"""Image classifiers of timm, `timm/NAME`, up to their pooling. timm is imported only when one is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from vidcls.errors import UserError, did_you_mean

PREFIX = "timm/"


def timm_names(pattern: str = "*") -> list[str]:
    """Sorted names that match a pattern with wildcards `*`; some have no map and are refused later."""
    import timm

    return [f"{PREFIX}{name}" for name in timm.list_models(pattern.removeprefix(PREFIX))]


def timm_2d(name: str) -> nn.Module:
    """Make a network from images `[N, 3, H, W]` to a map `[N, F, h, w]`; modules have their names in timm.

    Args:
        name: Name with prefix, with or without a tag: `timm/resnet18`, `timm/resnet18.a1_in1k`.

    Raises:
        UserError: If the network is unknown, or always pools its map.
    """
    import timm

    known = known_timm(name)
    try:
        network: nn.Module = timm.create_model(known, pretrained=False, num_classes=0, global_pool="")
    except (AssertionError, TypeError, ValueError) as error:
        raise no_map(name) from error
    return network


def known_timm(name: str) -> str:
    """Name in timm: without the prefix of vidcls.

    Raises:
        UserError: If the network or its tag is unknown.
    """
    import timm

    bare = name.removeprefix(PREFIX)
    architecture, _, tag = bare.partition(".")
    if not timm.is_model(architecture):
        meant = did_you_mean(architecture, timm.list_models(), num=3, shown=lambda name: f"{PREFIX}{name}")
        raise UserError(
            f"model.backbone: timm has no network {architecture}{meant and f'; {meant}'}",
            hint=f"vidcls model list --timm '{architecture[:4]}*' shows networks with a similar name",
        )
    tags = timm_tags(architecture)
    if tag and tag not in tags:
        known = f"its weights are {', '.join(tags)}" if tags else "it has no weights"
        raise UserError(f"model.backbone: timm/{architecture} has no weights {tag}; {known}")
    return bare


def timm_tags(architecture: str) -> list[str]:
    """Names of the weights in timm for an architecture, the default first."""
    import timm

    listed = [name.partition(".") for name in timm.list_pretrained(f"{architecture}*")]
    tags = [tag for found, _, tag in listed if found == architecture]
    default = timm.get_pretrained_cfg(architecture)
    first = default.tag if default is not None else None
    return sorted(tags, key=lambda tag: (tag != first, tag))


def timm_cfg(architecture: str, tag: str) -> Any:
    """Configuration of weights in timm: their location, and the input that they expect."""
    import timm

    return timm.get_pretrained_cfg(f"{architecture.removeprefix(PREFIX)}.{tag}")


def no_map(name: str) -> UserError:
    """Error for a network that gives tokens, or no map before its pooling."""
    return UserError(
        f"model.backbone: {name} gives no map [N, F, h, w] before its pooling, so it is not supported",
        hint="set a convolutional network: vidcls model list --timm 'resnet*'",
    )


def is_map(network: nn.Module, shape: Sequence[int]) -> bool:
    """Whether an output of that shape is a map of the network with the channels first."""
    widths = {getattr(network, name, None) for name in ("num_features", "head_hidden_size")}
    return len(shape) == 4 and shape[1] in widths
