"""Error for a training whose loss became infinite or NaN: at which learning rate, and what to try."""

from __future__ import annotations

from collections.abc import Sequence

from vidcls.errors import VidclsError
from vidcls.spec.experiment import Spec

_NUM_NAMED = 8
_MORE_WARMUP = 3


class DivergedError(VidclsError):
    """The loss is infinite or NaN; the same spec would diverge again."""


def diverged(spec: Spec, *, where: str, what: str, lr: float, ids: Sequence[str] = ()) -> DivergedError:
    """Make the error for a training that diverged.

    Args:
        spec: Spec of the training.
        where: Epoch and step.
        what: Text about the bad number, such as `the loss is nan`.
        lr: Learning rate of that step; the schedule may have lowered it below `optim.lr`.
        ids: Ids of the videos in the batch.
    """
    optim, train = spec.optim, spec.train
    rate = f"optim.lr={optim.lr:g}" if lr == optim.lr else f"optim.lr={optim.lr:g} ({lr:.3g} at that step)"
    tries = [f"optim.lr={optim.lr / 10:g}"]
    if optim.warmup_epochs < _MORE_WARMUP < train.epochs:
        tries.append(f"optim.warmup_epochs={_MORE_WARMUP}")
    if optim.clip_norm is None or optim.clip_norm > 1:
        tries.append("optim.clip_norm=1")
    if train.precision != "fp32":
        tries.append("train.precision=fp32")
    hint = f"try {', or '.join(tries)}; this makes another run, and the checkpoints of this run are kept"
    if ids:
        more = f" and {len(ids) - _NUM_NAMED} more" if len(ids) > _NUM_NAMED else ""
        hint += f"\n  videos of this batch: {', '.join(ids[:_NUM_NAMED])}{more}"
    return DivergedError(f"diverged with {rate}: {what} in {where}", hint=hint)
