"""Conformance test of a model: what every model must do to be trained, resumed, stored and exported.

Each check builds the model anew from its spec and a seed, and runs on the CPU with random clips.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from vidcls.errors import VidclsError, reason_of
from vidcls.export.graph import trace
from vidcls.export.inputs import model_input
from vidcls.models.build import build
from vidcls.models.inputs import input_clip
from vidcls.models.kinds.base import VideoModel
from vidcls.models.kinds.custom import custom_parts, whole_part
from vidcls.spec.experiment import Spec
from vidcls.spec.sections import Clip

_NUM_CLIPS = 4
_MATES_TOLERANCE = 1e-4
_BF16_TOLERANCE = 0.1
_SHOWN = 5


@dataclass(frozen=True)
class CheckResult:
    """Result of one check.

    Attributes:
        name: What is checked.
        state: `note` where the model can be trained, but cannot do something else.
        found: What was found.
        todo: What to change; empty if nothing.
    """

    name: str
    state: Literal["ok", "note", "failed"]
    found: str
    todo: str = ""


class _FailedError(Exception):
    def __init__(self, found: str, todo: str, *, note: bool = False) -> None:
        super().__init__(found)
        self.result = ("note" if note else "failed", found, todo)


@dataclass(frozen=True)
class _Subject:
    """Model under test, built anew for each check."""

    spec: Spec
    num_classes: int
    clip: Clip

    def model(self, *, seed: int = 0, clip: Clip | None = None) -> VideoModel:
        torch.manual_seed(seed)
        return build(self.spec.model, num_classes=self.num_classes, clip=clip or self.clip)

    def clips(self, number: int = _NUM_CLIPS, *, clip: Clip | None = None) -> Tensor:
        clip = clip or self.clip
        shape = (number, clip.num_channels, clip.frames, *clip.size)
        return torch.randn(shape, generator=torch.Generator().manual_seed(1))

    def loss(self, logits: Tensor) -> Tensor:
        labels = torch.arange(len(logits)) % self.num_classes
        return F.cross_entropy(logits.float(), labels)


def check_model(spec: Spec, *, num_classes: int) -> Iterator[CheckResult]:
    """Run all checks on the model of a spec; yield each result as soon as it is known.

    Args:
        spec: Spec with model and clip.
        num_classes: Number of classes K.

    Raises:
        UserError: If the model cannot be built at all.
    """
    subject = _Subject(spec, num_classes, input_clip(spec.model, spec.clip))
    subject.model()
    for name, check in _CHECKS.items():
        try:
            with torch.random.fork_rng(devices=[]):
                yield CheckResult(name, "ok", check(subject))
        except _FailedError as failure:
            state, found, todo = failure.result
            yield CheckResult(name, state, found, todo)  # type: ignore[arg-type]
        except VidclsError as error:
            yield CheckResult(name, "failed", error.message, error.hint or "")
        except Exception as error:  # whatever a user's module raises
            yield CheckResult(name, "failed", f"{type(error).__name__}: {reason_of(error)}")


def _gives_logits(subject: _Subject) -> str:
    model, clips = subject.model().train(), subject.clips()
    before = clips.clone()
    logits = model(clips)
    if tuple(logits.shape) != (_NUM_CLIPS, subject.num_classes):
        raise _FailedError(
            f"{list(logits.shape)} for {_NUM_CLIPS} clips of {subject.num_classes} classes",
            "give logits [B, K]",
        )
    if not logits.isfinite().all():
        raise _FailedError("logits that are not finite", "look for a division by zero or a log of zero")
    if not torch.equal(clips, before):
        raise _FailedError(
            "the clip was changed in place", "work on a copy: no operation with _ on the input"
        )
    return f"{list(clips.shape)} to {list(logits.shape)}"


def _reaches_all(subject: _Subject) -> str:
    model = subject.model().train()
    with torch.no_grad():  # at the start, a gate or the last layer may be zero
        for param in model.parameters():
            param.add_(0.01 * torch.randn_like(param))
    logits = model(subject.clips(2 * _NUM_CLIPS))
    (logits * torch.randn(logits.shape)).sum().backward()
    trained = [(name, param) for name, param in model.named_parameters() if param.requires_grad]
    idle = [name for name, param in trained if param.grad is None or not param.grad.any()]
    if idle:
        more = f" and {len(idle) - _SHOWN} more" if len(idle) > _SHOWN else ""
        raise _FailedError(
            f"no gradient reaches {', '.join(idle[:_SHOWN])}{more}",
            "use these layers in forward, without detach() or no_grad(), or remove them",
        )
    return f"all {len(trained)} trained parameters"


def _mates(subject: _Subject) -> str:
    model, clips = subject.model().eval(), subject.clips()
    with torch.no_grad():
        together = model(clips)
        try:
            alone = torch.cat([model(one[None]) for one in clips])
        except Exception as error:
            raise _FailedError(
                f"one clip alone: {type(error).__name__}: {reason_of(error)}",
                "keep the batch axis: squeeze(dim) of a named axis instead of squeeze()",
            ) from error
    apart = (together - alone).abs().max().item()
    if alone.shape != together.shape or apart > _MATES_TOLERANCE * (1 + together.abs().max().item()):
        raise _FailedError(
            f"in evaluation, logits of a clip differ by {apart:.2g} with the clips beside it",
            "compute nothing over the batch axis in evaluation",
        )
    return "one clip alone gives what it gives in a batch"


def _keeps_state(subject: _Subject) -> str:
    model = subject.model().train()
    model(subject.clips())  # moves the running statistics of norms
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = subject.model(seed=99)
    other.load_state_dict(torch.load(file, weights_only=True))
    with torch.no_grad():
        here, there = model.eval()(subject.clips()), other.eval()(subject.clips())
    if not torch.equal(here, there):
        raise _FailedError(
            "a model with the same state_dict gives other logits, so a checkpoint does not restore it",
            "keep tensors as nn.Parameter or register_buffer, and draw nothing at random in __init__ besides",
        )
    return f"{len(model.state_dict())} tensors restore it"


def _is_still(subject: _Subject) -> str:
    model, clips = subject.model().eval(), subject.clips()
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        first, second = model(clips), model(clips)
    if not torch.equal(first, second):
        raise _FailedError(
            "two evaluations of one clip differ", "make dropout and other noise depend on self.training"
        )
    if moved := [name for name, value in model.state_dict().items() if not torch.equal(before[name], value)]:
        raise _FailedError(
            f"evaluation changes {', '.join(moved[:_SHOWN])}", "change state only if self.training"
        )
    return "evaluation changes nothing"


def _repeats(subject: _Subject) -> str:
    grads = []
    for _ in range(2):
        model = subject.model().train()
        subject.loss(model(subject.clips())).backward()  # type: ignore[no-untyped-call]
        grads.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    first, second = grads
    different = [name for name in first if name not in second or not torch.equal(first[name], second[name])]
    if different:
        raise _FailedError(
            f"two trainings of the same seed differ in the gradient of {', '.join(different[:_SHOWN])}, so a "
            "resumed run is not exact",
            "draw random numbers with torch only: its generator is seeded and stored in checkpoints",
        )
    return "the same seed gives the same gradients, bit for bit"


def _takes_odd(subject: _Subject) -> str:
    odd = subject.clip.model_copy(update={"frames": subject.clip.frames + 1 + subject.clip.frames % 2})
    try:
        with torch.no_grad():
            logits = subject.model(clip=odd).eval()(subject.clips(clip=odd))
    except Exception as error:
        raise _FailedError(
            f"clip.frames={odd.frames}: {type(error).__name__}: {reason_of(error)}",
            "take the argument num_frames, or pool over time; if it is made for one length, leave it so",
            note=True,
        ) from error
    return f"also takes clips of {odd.frames} frames, {list(logits.shape)}"


def _bf16(subject: _Subject) -> str:
    model = subject.model().eval()
    with torch.no_grad():
        exact = model(subject.clips())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(subject.clips())
        loss = subject.loss(logits)
    loss.backward()  # type: ignore[no-untyped-call]
    grads = [param.grad for param in model.parameters() if param.grad is not None]
    apart = (logits.float() - exact).abs().max().item() / (exact.abs().max().item() + 1e-6)
    if not loss.isfinite() or not all(grad.isfinite().all() for grad in grads):
        raise _FailedError("loss or gradients are not finite in bf16", "compute sums and logs in float32")
    if apart > _BF16_TOLERANCE:
        raise _FailedError(
            f"logits in bf16 differ by {apart:.0%} of the largest",
            "compute sensitive sums in float32",
            note=True,
        )
    return f"logits differ by {apart:.1%} of the largest"


def _is_divided(subject: _Subject) -> str:
    if (whole := whole_part(subject.model())) is not None:
        raise _FailedError(
            whole,
            "for frozen backbones, stored features, optim.layer_decay and features of two_stream, give "
            "it modules backbone and head with forward: self.head(self.backbone(clip))",
            note=True,
        )
    return "can be frozen and has features that can be stored"


def _traces(subject: _Subject) -> str:
    model = subject.model()
    name = ", ".join(part.target for part in custom_parts(model)) or subject.spec.model.kind
    try:
        trace(model, model_input(subject.spec, subject.clip), name=name)
    except VidclsError as error:
        raise _FailedError(error.message, error.hint or "", note=True) from error
    return "torch.export traces it for batches of any size"


_CHECKS: dict[str, Callable[[_Subject], str]] = {
    "logits": _gives_logits,
    "gradients": _reaches_all,
    "batch of one": _mates,
    "state": _keeps_state,
    "evaluation": _is_still,
    "determinism": _repeats,
    "odd number of frames": _takes_odd,
    "bf16": _bf16,
    "backbone and head": _is_divided,
    "export": _traces,
}
