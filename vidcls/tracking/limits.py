"""Time limits of the Weights & Biases client, as a busy machine needs them.

Where all cores are taken, the client's service process and its answers come late; the client's own limits
then give up a record that nothing is wrong with. A variable that the client knows wins over each of ours.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

SERVICE = "WANDB__SERVICE_WAIT"
"""How long the client's service process may take to start; the client's own limit is 30 s."""
INIT = "WANDB_INIT_TIMEOUT"
"""How long the server may take to answer at the start, two seconds being usual."""
FINISH = "WANDB_FINISH_TIMEOUT"
"""How long the end may wait for what is not uploaded yet; shorter than the 30 s from TERM to KILL of a queue.
What is left is in the run's folder for `vidcls sync`."""

LIMITS_S: Mapping[str, float] = {SERVICE: 300.0, INIT: 90.0, FINISH: 15.0}
_CONNECT_S = 10.0


def limit_s(variable: str) -> float:
    """A limit in seconds: what the environment says, else ours.

    Raises:
        ValueError: If the environment says something that is not a number.
    """
    said = os.environ.get(variable)
    try:
        return float(said) if said else LIMITS_S[variable]
    except ValueError:
        raise ValueError(f"{variable}={said}: expected a number of seconds") from None


def unreachable(base_url: str) -> str | None:
    """Why no connection to a server can be made, None where one can.

    A node without internet is told apart from a busy one here: the second deserves patience, the first none.
    Behind a proxy only the client itself can find out, so nothing is found here.
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
