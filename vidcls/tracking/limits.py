"""Time limits of the Weights & Biases client that suit a busy machine.

If all cores are busy, the service process of the client starts and answers late, and with its own limits the
client would give up a working record. A variable of the client overrides each of these limits.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

SERVICE = "WANDB__SERVICE_WAIT"
"""Time limit for the start of the client's service process; the client's own limit is 30 s."""
INIT = "WANDB_INIT_TIMEOUT"
"""Time limit for the server's answer at the start, which usually takes two seconds."""
FINISH = "WANDB_FINISH_TIMEOUT"
"""Time limit for pending uploads at the end; shorter than the 30 s of a queue between TERM and KILL.
The rest stays in the run's folder for `vidcls sync`."""

LIMITS_S: Mapping[str, float] = {SERVICE: 300.0, INIT: 90.0, FINISH: 15.0}
_CONNECT_S = 10.0


def limit_s(variable: str) -> float:
    """Limit in seconds from the environment, otherwise the default of vidcls.

    Raises:
        ValueError: If the value in the environment is not a number.
    """
    said = os.environ.get(variable)
    try:
        return float(said) if said else LIMITS_S[variable]
    except ValueError:
        raise ValueError(f"{variable}={said}: expected a number of seconds") from None


def unreachable(base_url: str) -> str | None:
    """Reason why no connection to a server is possible; None if it is.

    It distinguishes a node without internet, which needs no wait, from a busy node, which does. Behind a
    proxy only the client can find out, so the result is None.
    """
    address = urlsplit(base_url)
    if address.hostname is None or (address.scheme in getproxies() and not proxy_bypass(address.netloc)):
        return None
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname, port), timeout=_CONNECT_S).close()
    except OSError as error:
        return f"{address.netloc}: {error.strerror or error}"
    return None
