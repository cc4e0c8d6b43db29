"""Inflates a 2D network to 3D (I3D, Carreira and Zisserman 2017, arXiv:1705.07750).

A k x k convolution becomes k x k x k; each of its k temporal slices is the 2D kernel divided by k. For a
kernel that is not square, k is the shorter side. Norms and pools become their 3D forms. Time is neither
pooled nor strided, and the features are averaged over time at the end: a clip has about ten frames from a
whole video, of which five halvings, as in space, would leave none. I3D too does not pool time in its first
stages. The first and the last frame are repeated as padding. So a clip of equal frames gives, at each time,
exactly the output of the 2D network for the frame.

Only networks whose modules all have a 3D form are inflated. The functions that they call between these
modules are recorded once, and must not depend on the number of axes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle
from torchvision.ops import StochasticDepth

from vidcls.models.backbones.padded import PaddedConv2d
from vidcls.models.backbones.shapes import output_shape
from vidcls.models.frames import fold_time, unfold_time

# Element-wise modules, or modules along the channels, which are the same in 2D and 3D.
_KEPT = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.SiLU, nn.GELU, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Sigmoid,
    nn.Dropout, nn.Identity, StochasticDepth,
)  # fmt: skip
_ANY_AXES = {
    "relu", "relu_", "sigmoid", "add", "add_", "__add__", "__iadd__", "mul", "mul_", "__mul__", "__imul__",
    "__rmul__", "__get__", "size", "dim", "dropout",
}  # fmt: skip
_POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


class NotInflatableError(Exception):
    """The network has no 3D form; the message names the module at fault."""


class PerFrame(nn.Module):
    """Image pooling of each frame; unlike for 3D pooling, its gradient on CUDA is reproducible."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, clip: Tensor) -> Tensor:
        """Compute `[B, C, T, h, w]` from `[B, C, T, H, W]`."""
        return unfold_time(self.pool(fold_time(clip)), clip=clip).transpose(1, 2)


class InflatedConv3d(nn.Conv3d):
    """3D convolution with temporal stride 1 that repeats the first and the last frame as padding.

    Args:
        conv: 2D convolution to inflate.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        height, width = conv.kernel_size
        depth = min(height, width)
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            (depth, height, width),
            stride=(1, *conv.stride),  # type: ignore[arg-type]
            padding=(0, *_pair(conv.padding)),
            dilation=(min(conv.dilation), *conv.dilation),  # type: ignore[arg-type]
            groups=conv.groups,
            bias=conv.bias is not None,
            device="meta",
        )
        around = self.dilation[0] * (depth - 1)
        self.before, self.after = around // 2, around - around // 2
        self.zeros = (*conv.zeros, 0, 0) if isinstance(conv, PaddedConv2d) else None
        self.weight = nn.Parameter(inflate_weight(conv.weight.detach(), depth))
        self.bias = conv.bias

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (as PyTorch names it)
        """Compute `[B, F, T, h, w]` from `[B, C, T, H, W]`."""
        if self.zeros is not None:
            input = nn.functional.pad(input, self.zeros)  # noqa: A001
        if self.before or self.after:
            # Concatenated: the gradient of replication padding is not reproducible bit for bit on CUDA.
            first = input[:, :, :1].expand(-1, -1, self.before, -1, -1)
            last = input[:, :, -1:].expand(-1, -1, self.after, -1, -1)
            input = torch.cat([first, input, last], dim=2)  # noqa: A001
        return super().forward(input)


def inflate(body: nn.Module, *, image_shape: tuple[int, int, int]) -> nn.Module:
    """Inflate a network: clips `[B, C, T, H, W]` to maps `[B, F, T, h, w]`. The modules keep their names.

    Args:
        body: Network from images to maps; its modules are reused.
        image_shape: C, H and W of the images with which it is recorded.

    Raises:
        NotInflatableError: If a module has no 3D form.
        TooSmallError: If the network cannot take such images.
    """
    with _Watch(body) as watch:
        output_shape(body, (1, *image_shape))
    if watch.refused is not None:
        raise NotInflatableError(f"it uses {watch.refused} between its layers, which is only for images")
    for name, part in list(body.named_modules()):
        if _is_leaf(part):
            body.set_submodule(name, _inflated(part))
    return body


def inflate_weight(weight: Tensor, depth: int) -> Tensor:
    """Inflate `[F, C, h, w]` to `[F, C, depth, h, w]`, whose sum over time is the given weight."""
    return torch.stack([weight / depth] * depth, dim=2)


def inflate_state(state: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a 2D network for its inflated form.

    Args:
        state: Tensors by name.
        like: Weights of the inflated network, which give the depth of each kernel.
    """
    return {
        name: inflate_weight(weight, like[name].shape[2])
        if name in like and weight.ndim == 4 and like[name].ndim == 5
        else weight
        for name, weight in state.items()
    }


def _inflated(part: nn.Module) -> nn.Module:
    kind = type(part)
    if isinstance(part, nn.Conv2d) and kind in (nn.Conv2d, PaddedConv2d):
        if part.padding_mode != "zeros" or isinstance(part.padding, str):
            raise NotInflatableError("a convolution pads with values other than zeros")
        return InflatedConv3d(part)
    if isinstance(part, nn.BatchNorm2d) and kind is nn.BatchNorm2d:
        norm = nn.BatchNorm3d(
            part.num_features,
            eps=part.eps,
            momentum=part.momentum,
            affine=part.affine,
            track_running_stats=part.track_running_stats,
        )
        norm.load_state_dict(part.state_dict(), assign=True)
        return norm
    if isinstance(part, _POOLS) and kind in _POOLS:
        return PerFrame(part)
    if isinstance(part, _KEPT) and kind in _KEPT:
        return part
    raise NotInflatableError(f"its {kind.__name__} has no 3D form here")


def _pair(value: Any) -> tuple[Any, Any]:
    return (value, value) if not isinstance(value, tuple | list) else (value[0], value[1])


def _is_leaf(part: nn.Module) -> bool:
    return next(part.children(), None) is None and not (isinstance(part, nn.Sequential) and not len(part))


class _Watch(TorchFunctionMode):
    """Records the first function outside of the leaf modules that may depend on the number of axes."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.refused: str | None = None
        self._inside = 1  # functions outside of the network are ignored
        self._body = body
        self._leaves = [part for part in body.modules() if _is_leaf(part)]
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> Self:
        self._handles.append(self._body.register_forward_pre_hook(self._begin))
        self._handles.append(self._body.register_forward_hook(self._enter_part))
        for leaf in self._leaves:
            self._handles.append(leaf.register_forward_pre_hook(self._enter_part))
            self._handles.append(leaf.register_forward_hook(self._leave_part))
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for handle in self._handles:
            handle.remove()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not self._inside and self.refused is None and not self._is_for_any(func, args, kwargs or {}):
            self.refused = getattr(func, "__name__", str(func))
        return func(*args, **(kwargs or {}))

    def _is_for_any(self, func: Any, args: Any, kwargs: Any) -> bool:
        name = getattr(func, "__name__", "")
        if name == "cat":
            return bool((args[1] if len(args) > 1 else kwargs.get("dim", 0)) == 1)  # along the channels
        return name in _ANY_AXES

    def _begin(self, *_call: object) -> None:
        # Not the first time if an earlier call failed midway, see `output_shape`.
        self._inside, self.refused = 0, None

    def _enter_part(self, *_call: object) -> None:
        self._inside += 1

    def _leave_part(self, *_call: object) -> None:
        self._inside -= 1
