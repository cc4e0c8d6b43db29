"""Checks what a data set of the user gives for an index: `(clip, label)` as the model expects it."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vidcls.errors import UserError
from vidcls.spec.sections import Clip

_AXES = "CTHW"
# Orders of the axes that are met most, first.
_ORDERS = ("THWC", "TCHW", "CHWT", *("".join(order) for order in permutations(_AXES)))


@dataclass(frozen=True)
class Expected:
    """What the model takes.

    Attributes:
        shape: C, T, H, W.
        num_classes: Number of classes K.
        has_bytes: Whether clips of uint8 can be normalised: those of RGB.
    """

    shape: tuple[int, int, int, int]
    num_classes: int
    has_bytes: bool

    @classmethod
    def of(cls, clip: Clip, *, num_classes: int) -> Expected:
        """What a model with this input takes."""
        shape = (clip.num_channels, clip.frames, *clip.size)
        return cls(shape, num_classes, has_bytes=clip.modality == "rgb")


def parts_of(item: Any, where: str) -> tuple[Any, Any]:
    """Clip and label of an item.

    Args:
        item: What the data set gave.
        where: Name of the item for messages, such as `my_data:Clips train[3]`.

    Raises:
        UserError: If it is no pair.
    """
    if isinstance(item, tuple | list) and len(item) == 2:
        return item[0], item[1]
    got = (
        f"{len(item)} values"
        if isinstance(item, tuple | list)
        else f"an object of type {type(item).__name__}"
    )
    raise UserError(f"{where}: gives {got}; expected (clip, label)", hint="write: return clip, label")


def checked_label(label: Any, where: str, *, num_classes: int | None = None) -> int:
    """Label as a number.

    Args:
        label: Label of an item.
        where: Name of the item for messages.
        num_classes: Number of classes; None if unknown.

    Raises:
        UserError: If it is no whole number, or out of range.
    """
    number = _whole(label)
    if number is None:
        if isinstance(label, Tensor | np.ndarray):
            got = f"{label.dtype} of shape {list(label.shape)}"
        else:
            got = f"{label!r:.50} ({type(label).__name__})"
        raise UserError(
            f"{where}: the label is {got}; expected a whole number from 0",
            hint="write: return clip, int(label); for a name, classes.index(name)",
        )
    if number < 0 or (num_classes is not None and number >= num_classes):
        highest = "" if num_classes is None else f" to {num_classes - 1}"
        raise UserError(
            f"{where}: the label is {number}; expected 0{highest}",
            hint="number the classes from 0, in the order of the attribute `classes`",
        )
    return number


def _whole(label: Any) -> int | None:
    if isinstance(label, bool | np.bool_) or (isinstance(label, Tensor) and label.dtype == torch.bool):
        return None
    if isinstance(label, Tensor | np.ndarray) and label.ndim > 0:
        return None
    try:
        return operator.index(label)
    except TypeError:
        return None


def checked_clip(given: Any, where: str, expected: Expected) -> Tensor:
    """Clip as the model expects it: `[C, T, H, W]`, float32 or uint8.

    Args:
        given: Tensor or array.
        where: Name of the item for messages.
        expected: What the model takes.

    Raises:
        UserError: If it has another type or shape, or is not finite.
    """
    clip = as_tensor(given, where)
    _check_shape(tuple(clip.shape), where, expected)
    if clip.dtype == torch.uint8:
        if not expected.has_bytes:
            raise UserError(
                f"{where}: the clip is uint8, which is only normalised for clip.modality: rgb",
                hint="return float32 on the scale that the model is to see",
            )
        return clip
    if not clip.is_floating_point():
        raise UserError(
            f"{where}: the clip is {_dtype(clip)}; expected float32, as the model sees it, or uint8",
            hint="write: clip.to(torch.uint8) for grey levels 0 to 255, or clip.float()",
        )
    values = clip.to(torch.float32)
    if not torch.isfinite(values).all():
        bad = int((~torch.isfinite(values)).sum())
        raise UserError(
            f"{where}: {bad} of {values.numel()} values of the clip are NaN or infinite",
            hint="look for a division by zero, such as by the standard deviation of a constant clip",
        )
    return values


def as_tensor(clip: Any, where: str) -> Tensor:
    """Clip as a tensor of its own type, without a gradient.

    Args:
        clip: Tensor or array.
        where: Name of the item for messages.

    Raises:
        UserError: If it is none, or has a type that torch does not have.
    """
    if isinstance(clip, Tensor) and clip.layout == torch.strided:
        plain: Tensor = clip.detach()
        return plain
    hint = "write: clip = np.stack(frames)" if isinstance(clip, list | tuple) else None
    what = f"of type {type(clip).__name__}"
    if isinstance(clip, np.ndarray):
        try:
            return torch.from_numpy(np.require(clip, requirements=["C", "W"]))
        except (TypeError, ValueError):  # texts, objects, another byte order
            what = f"a NumPy array of {clip.dtype if clip.dtype.names is None else 'records'}"
            hint = "write: clip.astype(np.float32), or np.stack(frames) for a list of frames"
    elif isinstance(clip, Tensor):
        what, hint = f"a tensor of layout {clip.layout}", "write: clip.to_dense()"
    raise UserError(f"{where}: the clip is {what}; expected a torch tensor or a NumPy array", hint=hint)


def _check_shape(shape: tuple[int, ...], where: str, expected: Expected) -> None:
    if shape == expected.shape:
        return
    wanted = f"[C, T, H, W] = {list(expected.shape)}"
    raise UserError(
        f"{where}: the clip has shape {list(shape)}; expected {wanted}", hint=_shape_hint(shape, expected)
    )


def _shape_hint(shape: tuple[int, ...], expected: Expected) -> str:
    if len(shape) == 5 and shape[0] == 1:
        return "leave the batch axis out: write clip[0]"
    if len(shape) != 4:
        return "write: torch.stack(frames, dim=1) for frames of [C, H, W]"
    if (order := order_of(shape, expected.shape)) is not None:
        return (
            f"the axes are [{', '.join(order)}]: write clip.permute({', '.join(map(str, _to_cthw(order)))})"
        )
    channels, frames, height, width = shape
    if channels == expected.shape[0]:
        return f"set clip.frames={frames} clip.size=[{height},{width}], or return clips of the expected shape"
    return (
        f"clip.modality has {expected.shape[0]} channels, clip.frames is {expected.shape[1]}, and clip.size "
        f"is {list(expected.shape[2:])}"
    )


def order_of(shape: Sequence[int], wanted: Sequence[int]) -> str | None:
    """Order of the axes, such as `THWC`, with which a shape is the wanted one; None if there is none."""
    sizes = dict(zip(_AXES, wanted, strict=True))
    fitting = (order for order in _ORDERS if tuple(sizes[axis] for axis in order) == tuple(shape))
    return next(fitting, None)


def _to_cthw(order: str) -> list[int]:
    return [order.index(axis) for axis in _AXES]


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
