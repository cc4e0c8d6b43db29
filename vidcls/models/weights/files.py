"""Reads weights files of any origin, and fits them to the body of a backbone."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidcls.errors import UserError

_INSIDE = ("state_dict", "model")
_BODY = "backbone.body."
# Last layers, and auxiliary heads that are used only in training.
_HEADS = re.compile(r"(fc|classifier|classif|heads?|head_dist|last_linear|logits|aux\w*|AuxLogits)\d*\.")
_OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|conv))\.([12]\..*)$")
_COUNTER = "num_batches_tracked"
_SHOWN = 3


def read_weights(file: Path) -> dict[str, Tensor]:
    """Read the tensors of a file by name; no code in the file is executed.

    The file may be a state dict, one under `state_dict` or `model`, or a checkpoint of vidcls, from which the
    weights of the backbone are taken.

    Raises:
        UserError: If the file has none of these forms.
    """
    content = _load(file)
    is_checkpoint = isinstance(content, dict) and {"spec", "model"} <= content.keys()
    for key in _INSIDE:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content or not all(map(torch.is_tensor, content.values())):
        raise UserError(
            f"model.weights: {file} contains no weights but {_outline(content)}",
            hint="save model.state_dict(), alone or under the key state_dict",
        )
    state = {str(name).removeprefix("module."): tensor for name, tensor in content.items()}
    body = {name.removeprefix(_BODY): state[name] for name in state if name.startswith(_BODY)}
    if is_checkpoint and not body:
        raise UserError(
            f"model.weights: {file} is a checkpoint of a model with several backbones, or none",
            hint="name the checkpoint of a model with one backbone",
        )
    return body or state


def _load(file: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        with warnings.catch_warnings(action="ignore"):  # warnings about pickles that it then refuses
            return torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"model.weights: {file}: {error.strerror or error}") from error
    except (SafetensorError, RuntimeError, ValueError, EOFError, KeyError, AttributeError) as error:
        raise _unreadable(file) from error
    except Exception as error:  # pickle raises its own errors for content besides tensors
        if "pickl" not in type(error).__name__.lower():
            raise
        raise _unreadable(file) from error


def _unreadable(file: Path) -> UserError:
    # The message of PyTorch is about pickles, and advises to run the code in them.
    return UserError(
        f"model.weights: {file} cannot be read as weights: it contains no tensors, or other things too, or "
        "was cut off",
        hint="write only tensors: torch.save(model.state_dict(), FILE); code in such a file is never run",
    )


def _outline(content: Any) -> str:
    if isinstance(content, dict):
        names = ", ".join(map(str, list(content)[:_SHOWN]))
        return f"a dict with {names or 'no content'}"
    return f"a {type(content).__name__}"


def fit_weights(
    state: Mapping[str, Tensor], like: Mapping[str, Tensor], *, file: Path, backbone: str
) -> dict[str, Tensor]:
    """Select the weights of a body: without a head, complete, with the right shapes.

    Args:
        state: Weights by the names of the body, possibly with others.
        like: Weights of the body.
        file: File of the weights, for the message.
        backbone: Name of the backbone, for the message.

    Raises:
        UserError: If the weights do not belong to the backbone.
    """
    # A linear layer of a head is a 1 x 1 convolution if the map is kept.
    state = {
        name: tensor.reshape(like[name].shape)
        if name in like and (*tensor.shape, 1, 1) == tuple(like[name].shape)
        else tensor
        for name, tensor in state.items()
    }
    unexpected = [name for name in state if name not in like and not _HEADS.match(name)]
    # Old files lack these counters, which are never read.
    missing = [name for name in like if name not in state and not name.endswith(_COUNTER)]
    shapes = [
        f"{name} is {list(state[name].shape)}, not {list(like[name].shape)}"
        for name in like
        if name in state and state[name].shape != like[name].shape
    ]
    wrong = [
        f"{len(names)} {what}: {', '.join(names[:_SHOWN])}{' ...' if len(names) > _SHOWN else ''}"
        for what, names in (("missing", missing), ("unknown", unexpected), ("of the wrong shape", shapes))
        if names
    ]
    if wrong:
        first, total = list(state)[:_SHOWN], sum(tensor.numel() for tensor in state.values())
        raise UserError(
            f"model.weights: {file} does not contain the weights of {backbone}\n  " + "\n  ".join(wrong),
            hint=f"it contains {len(state)} tensors with {total:,} numbers: {', '.join(first)} ...; set "
            "the model.backbone that they belong to",
        )
    return {name: state[name] for name in like if name in state}


def new_densenet_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights of a DenseNet to current names: torchvision's files have `norm.1` for `norm1`."""
    return {_OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in state.items()}
