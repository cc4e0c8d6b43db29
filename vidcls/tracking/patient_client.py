"""Command line of the Weights & Biases client with longer waits, for a machine that may be busy.

    python -m vidcls.tracking.patient_client agent ENTITY/PROJECT/ID

The client gives its service process ten seconds to open a session, without a setting for it. If all cores are
busy, that is not enough, and a sweep is not created, or an agent does not start.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from vidcls.tracking.limits import SERVICE, limit_s

_BUSY = "did not respond in time"


def wait_for_sessions() -> None:
    """Make the client of this process ask for a session again while its service process is busy."""
    # Internal names of the client, which may change; without them its limit of ten seconds remains.
    with contextlib.suppress(ImportError, AttributeError):
        from wandb.sdk.lib.service.service_connection import ServiceConnection, WandbApiFailedError

        open_session = ServiceConnection.api_init_request

        def open_patiently(self: ServiceConnection, settings: Any) -> Any:
            end = time.monotonic() + limit_s(SERVICE)
            while True:
                try:
                    return open_session(self, settings)
                except WandbApiFailedError as error:
                    if _BUSY not in str(error) or time.monotonic() > end:
                        raise

        ServiceConnection.api_init_request = open_patiently  # type: ignore[method-assign]


def _main() -> None:
    from wandb.cli.cli import cli

    wait_for_sessions()
    cli()


if __name__ == "__main__":
    _main()
