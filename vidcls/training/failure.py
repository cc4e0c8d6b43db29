"""Records the reason in the run's folder when a training stops early, and explains it in the error."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vidcls.errors import ExitCode, VidclsError
from vidcls.process.signals import Interruption
from vidcls.run.shapes import RunState
from vidcls.training.cost.out_of_memory import out_of_memory
from vidcls.training.session import Session


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
            loop = session.loop
            raise out_of_memory(
                error,
                loop.spec,
                num_classes=len(session.identity.classes),
                precision=loop.precision,
                residency=loop.data.clips.residency,
            ) from error
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


def _leave(session: Session, state: RunState, *, message: str) -> None:
    """Write the status; it names the best epoch, so its weights are saved first if that was delayed."""
    with contextlib.suppress(OSError, VidclsError):
        session.checkpoints.save_best()
    with contextlib.suppress(VidclsError):  # if the lock was lost, its new holder writes the status
        session.write_status(state, message=message)
