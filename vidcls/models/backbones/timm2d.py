"""timm's image classifiers, `timm/NAME`, up to their pooling. timm is imported only when one is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from vidcls.errors import UserError
from vidcls.suggest import did_you_mean

PREFIX = "timm/"


def timm_names(pattern: str = "*") -> list[str]:
    """The names that match a pattern, `*` for any letters, sorted; some give no map and are refused."""
    import timm

    return [f"{PREFIX}{name}" for name in timm.list_models(pattern.removeprefix(PREFIX))]


def timm_2d(name: str) -> nn.Module:
    """Images `[N, 3, H, W]` to a map `[N, F, h, w]`; modules are named as timm names them.

    Args:
        name: Name with its prefix, and with a tag or without: `timm/resnet18`, `timm/resnet18.a1_in1k`.

    Raises:
        UserError: If there is no such network, or it pools all by itself.
    """
    import timm

    known = known_timm(name)
    try:
        network: nn.Module = timm.create_model(known, pretrained=False, num_classes=0, global_pool="")
    except (AssertionError, TypeError, ValueError) as error:
        raise no_map(name) from error
    return network


def known_timm(name: str) -> str:
    """A name as timm knows it: without our prefix.

    Raises:
        UserError: If there is no such network, or none with that tag.
    """
    import timm

    bare = name.removeprefix(PREFIX)
    architecture, _, tag = bare.partition(".")
    if not timm.is_model(architecture):
        meant = did_you_mean(architecture, timm.list_models(), num=3, shown=lambda name: f"{PREFIX}{name}")
        raise UserError(
            f"model.backbone: timm has no network called {architecture}{meant and f'; {meant}'}",
            hint=f"vidcls model list --timm '{architecture[:4]}*' shows those that begin like it",
        )
    tags = timm_tags(architecture)
    if tag and tag not in tags:
        known = f"its weights are {', '.join(tags)}" if tags else "it has no weights"
        raise UserError(f"model.backbone: timm/{architecture} has no weights {tag}; {known}")
    return bare


def timm_tags(architecture: str) -> list[str]:
    """Names of the weights that timm knows of an architecture, the default first."""
    import timm

    listed = [name.partition(".") for name in timm.list_pretrained(f"{architecture}*")]
    tags = [tag for found, _, tag in listed if found == architecture]
    default = timm.get_pretrained_cfg(architecture)
    first = default.tag if default is not None else None
    return sorted(tags, key=lambda tag: (tag != first, tag))


def timm_cfg(architecture: str, tag: str) -> Any:
    """What timm says of weights: where they are, what they expect of their input."""
    import timm

    return timm.get_pretrained_cfg(f"{architecture.removeprefix(PREFIX)}.{tag}")


def no_map(name: str) -> UserError:
    """The refusal of a network that gives tokens, or nothing before its pooling."""
    return UserError(
        f"model.backbone: {name} gives no map [N, F, h, w] before its pooling; not supported",
        hint="name a convolutional network: vidcls model list --timm 'resnet*'",
    )


def is_map(network: nn.Module, shape: Sequence[int]) -> bool:
    """Whether what a network gives of images, of that shape, is a map with its channels in front."""
    widths = {getattr(network, name, None) for name in ("num_features", "head_hidden_size")}
    return len(shape) == 4 and shape[1] in widths
