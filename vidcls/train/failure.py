"""Records the reason in the run's folder when a training stops early, and explains it in the error."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vidcls.errors import ExitCode, VidclsError
from vidcls.models.inputs import input_clip
from vidcls.process.signals import Interruption
from vidcls.run_shapes import RunState
from vidcls.train.session import Session


@contextmanager
def failure_kept(session: Session) -> Iterator[None]:
    """Record the reason in the run's folder when the training stops early."""
    state: RunState = "failed"
    try:
        with _cut_off(session):
            yield
    except Interruption as error:
        session.write_status("interrupted", message=str(error))
        raise
    except VidclsError as error:
        if session.was_interrupted:
            state = "stopped" if error.exit_code == ExitCode.DONE else "interrupted"
        _leave(session, state, message=str(error) if state == "failed" else error.message)
        raise
    except RuntimeError as error:
        _leave(session, state, message=str(error))
        if "deterministic" in str(error):
            raise VidclsError(
                f"train.deterministic: {error}", hint="set train.deterministic=false to allow this operation"
            ) from error
        if isinstance(error, torch.OutOfMemoryError):
            raise _out_of_memory(session, error) from error
        raise
    except BaseException as error:
        _leave(session, state, message=repr(error))
        raise
    finally:
        session.close()


@contextmanager
def _cut_off(session: Session) -> Iterator[None]:
    """End the training on a second INT, even if a library turned it into another exception."""
    try:
        yield
    except BaseException:
        if session.is_cut_off:
            raise Interruption(signal.SIGINT) from None
        raise


def _out_of_memory(session: Session, error: torch.OutOfMemoryError) -> VidclsError:
    """Error that names the batch, what its step needs, and settings that need less."""
    from vidcls.train.cost.memory import footprint

    loop, spec = session.loop, session.loop.spec
    num_classes = len(session.identity.classes)
    counted = footprint(spec, num_classes=num_classes, precision=loop.precision)
    half = max(1, spec.train.batch_size // 2)
    smaller = footprint(spec, num_classes=num_classes, precision=loop.precision, batch_size=half)
    tries = [f"train.batch_size={half} (about {smaller.training_bytes / 1e9:.2g} GB)"]
    if loop.precision == "fp32":
        tries.append("train.precision=bf16")
    height, width = input_clip(spec.model, spec.clip).size
    tries += [f"clip.size=[{height // 2},{width // 2}]", f"clip.frames={max(1, spec.clip.frames // 2)}"]
    return VidclsError(
        f"out of memory with a batch of {spec.train.batch_size} clips, whose step needs about "
        f"{counted.training_bytes / 1e9:.2g} GB and work space: {str(error).splitlines()[0]}",
        hint=f"try {', or '.join(tries[:3])}; this makes another run, and the checkpoints of this run are "
        "kept. If another process took the memory, the same command continues this run later",
    )


def _leave(session: Session, state: RunState, *, message: str) -> None:
    """Write the status; it names the best epoch, so its weights are saved first if that was delayed."""
    with contextlib.suppress(OSError, VidclsError):
        session.checkpoints.save_best()
    with contextlib.suppress(VidclsError):  # if the lock was lost, its new holder writes the status
        session.write_status(state, message=message)
