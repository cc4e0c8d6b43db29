"""Compares the convolutions of a model in bf16 with float32 on the device that will train.

Some libraries compute bf16 convolutions wrongly, without an error: `conv3d` under cuDNN 9.8 to 9.14
(pytorch#163539), on CPUs with AVX512-bf16 or AMX at an output width of 1 (#169688), and its weight gradient
over two frames on other CPUs. What is computed wrongly is computed in float32 instead.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from vidcls.files import write_json
from vidcls.json_files import DamagedError, read_json
from vidcls.models.freezing import is_frozen
from vidcls.models.kinds.base import VideoModel

_TOLERANCE = 0.05
"""Relative error of a right result: bf16 has 8 bits, so each product is off by at most 0.4 %."""
_FOLDER = "bf16"
_DTYPES = (torch.float32, torch.bfloat16)


@dataclass(frozen=True)
class _Case:
    """A convolution and the shape of its input."""

    name: str
    conv: nn.Conv2d | nn.Conv3d
    shape: tuple[int, ...]

    @property
    def identity(self) -> list[Any]:
        is_innermost = self.conv.weight.is_contiguous(memory_format=_format(self.conv))
        return [self.name, repr(self.conv), list(self.shape), is_innermost]


def wrong_in_bf16(model: VideoModel, clip: Tensor, *, cache_dir: Path) -> list[str]:
    """Names of the convolutions whose output or gradients are wrong in bf16 on the device of a clip.

    The answer is remembered by device, driver, versions, and shapes.

    Args:
        model: Model on its device.
        clip: `[B, C, T, H, W]` of the size that training uses.
        cache_dir: Folder that remembers the answer.
    """
    cases = _cases(model, clip)
    key = json.dumps([_machine(clip.device), [case.identity for case in cases]])
    file = cache_dir / _FOLDER / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    try:
        return read_json(file, TypeAdapter(list[str]), hint="remove it")
    except (FileNotFoundError, DamagedError):
        pass
    with torch.random.fork_rng([clip.device] if clip.device.type == "cuda" else []):
        torch.manual_seed(0)
        wrong = [case.name for case in cases if _is_wrong(case, clip)]
    write_json(file, wrong)
    return wrong


def compute_in_float32(model: VideoModel, names: Sequence[str]) -> None:
    """Let some convolutions compute in float32 under autocast; their weights and names stay as they are."""
    for name in names:
        conv = model.get_submodule(name)
        assert isinstance(conv, nn.Conv2d | nn.Conv3d)
        conv.forward = _InFloat32(conv.forward)  # type: ignore[method-assign, assignment]


class _InFloat32:
    """Forward pass of a convolution without autocast; a class, so that the model can be copied."""

    def __init__(self, forward: Any) -> None:
        self._forward = forward

    def __call__(self, inputs: Tensor) -> Tensor:
        with torch.autocast(inputs.device.type, enabled=False):
            result: Tensor = self._forward(inputs.float())
        return result


def _cases(model: VideoModel, clip: Tensor) -> list[_Case]:
    """One case for each convolution that may compute in bf16, with the shape that a clip gives its input."""
    found: dict[str, _Case] = {}

    def note(name: str) -> Any:
        def hook(conv: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            assert isinstance(conv, nn.Conv2d | nn.Conv3d)
            found.setdefault(name, _Case(name, conv, tuple(inputs[0].shape)))

        return hook

    # A backbone that is frozen as a whole computes in float32 anyway.
    frozen = {part for leaf in model.leaves() if is_frozen(leaf.backbone) for part in leaf.backbone.modules()}
    hooks = [
        part.register_forward_pre_hook(note(name))
        for name, part in model.named_modules()
        if isinstance(part, nn.Conv2d | nn.Conv3d) and part not in frozen
    ]
    was_training = model.training
    try:
        with torch.no_grad():
            model.eval()(clip)
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return list(found.values())


def _is_wrong(case: _Case, clip: Tensor) -> bool:
    inputs = torch.randn(case.shape, device=clip.device)
    if case.conv.weight.is_contiguous(memory_format=_format(case.conv)):
        inputs = inputs.contiguous(memory_format=_format(case.conv))
    right, half = (_results(case.conv, inputs, is_half=is_half) for is_half in (False, True))
    return any(not _agree(one, other) for one, other in zip(right, half, strict=True))


def _format(conv: nn.Module) -> torch.memory_format:
    return torch.channels_last_3d if isinstance(conv, nn.Conv3d) else torch.channels_last


def _results(conv: nn.Module, inputs: Tensor, *, is_half: bool) -> list[Tensor]:
    """Output, gradient of the input, and gradient of the weight."""
    inputs = inputs.detach().requires_grad_()
    params = [param for param in conv.parameters() if param.requires_grad]
    with torch.autocast(inputs.device.type, dtype=torch.bfloat16, enabled=is_half):
        output = conv(inputs)
    _spoil_free_memory(inputs, output, *params)
    generator = torch.Generator(device=output.device).manual_seed(1)
    grad = torch.randn(output.shape, generator=generator, device=output.device)
    grads = torch.autograd.grad(output, [inputs, *params], grad.to(output.dtype))
    return [tensor.float() for tensor in (output.detach(), *grads)]


def _spoil_free_memory(*like: Tensor) -> None:
    """Fill memory that the gradients may get next with NaN, so that what is never written to shows."""
    for tensor in like:
        blocks = [torch.full(tensor.shape, torch.nan, dtype=dtype, device=tensor.device) for dtype in _DTYPES]
        del blocks


def _agree(right: Tensor, half: Tensor) -> bool:
    error = (half - right).norm() / right.norm().clamp_min(1e-12)
    return bool(error <= _TOLERANCE)  # false for NaN too


def _machine(device: torch.device) -> list[Any]:
    """What computes: a driver or a library of another version may be right where this one is wrong."""
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    versions = [torch.__version__, torch.version.cuda, cudnn, torch.backends.cudnn.deterministic]
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return [properties.name, [properties.major, properties.minor], *versions, _driver()]
    return [device.type, torch.backends.cpu.get_cpu_capability(), *versions]


def _driver() -> str:
    """Version of the NVIDIA driver as its kernel module says; empty if it does not."""
    try:
        return Path("/sys/module/nvidia/version").read_text().strip()
    except OSError:
        return ""
