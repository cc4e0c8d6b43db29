"""A training that stops early leaves its reason in the run's folder, and tells it in words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vidcls.errors import ExitCode, VidclsError
from vidcls.runs import State
from vidcls.train.session import Session


@contextmanager
def failure_kept(session: Session) -> Iterator[None]:
    """Leave the reason in the run's folder when training stops early."""
    state: State = "failed"
    try:
        yield
    except VidclsError as error:
        if session.was_interrupted:
            state = "stopped" if error.exit_code == ExitCode.DONE else "interrupted"
        _leave(session, state, message=str(error) if state == "failed" else error.message)
        raise
    except RuntimeError as error:
        _leave(session, state, message=str(error))
        if "deterministic" in str(error):
            raise VidclsError(
                f"train.deterministic: {error}", hint="train.deterministic=false allows it"
            ) from error
        if isinstance(error, torch.OutOfMemoryError):
            raise VidclsError(
                f"out of memory: {error}", hint="lower train.batch_size or clip.size"
            ) from error
        raise
    except BaseException as error:
        _leave(session, state, message=repr(error))
        raise
    finally:
        session.close()


def _leave(session: Session, state: State, *, message: str) -> None:
    """The status names the best epoch, so its weights are saved first, if they were held back."""
    with contextlib.suppress(OSError, VidclsError):
        session.save_best()
    session.write_status(state, message=message)
