"""Online or offline: decided before the client starts, which would otherwise ask at the terminal."""

from __future__ import annotations

import netrc
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from vidcls.tracking.limits import SERVICE, limit_s

if TYPE_CHECKING:
    import wandb

Mode = Literal["online", "offline", "disabled"]


def load_settings() -> wandb.Settings:
    """Settings from the environment and the client's files, with its own messages off."""
    import wandb

    patient = wandb.Settings(silent=True, console="off", x_service_wait=limit_s(SERVICE))
    return wandb.setup(patient).settings


def choose_mode(asked: Literal["auto", "online", "offline"], *, warn: Callable[[str], None]) -> Mode:
    """What tracking becomes under a spec's mode; `warn` is told where that is not what was asked for."""
    if asked == "offline":
        return "offline"
    settings = load_settings()
    if asked == "auto" and settings.mode in ("offline", "dryrun"):
        return "offline"
    if asked == "auto" and settings.mode == "disabled":
        return "disabled"
    if has_credentials(settings):
        return "online"
    # Asked for online without a key the client would prompt, and a queued job would wait for ever.
    warn(f"Weights & Biases: no credentials for {settings.base_url}, recorded offline (`wandb login`)")
    return "offline"


def has_credentials(settings: wandb.Settings) -> bool:
    """Whether the client would find a key for its server without asking: environment, settings, netrc."""
    if settings.api_key or settings.identity_token_file:
        return True
    host = urlsplit(settings.base_url).netloc
    # The hosted service moved to another address; the client goes on using keys stored under the old one.
    hosts = (host, "api.wandb.ai") if host == "api.forge.coreweave.com" else (host,)
    try:
        stored = netrc.netrc(os.environ.get("NETRC"))
    except (OSError, netrc.NetrcParseError):
        return False
    return any((entry := stored.authenticators(host)) is not None and entry[2] for host in hosts)
