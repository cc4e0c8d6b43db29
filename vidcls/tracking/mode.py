"""Decides between online and offline before the client starts, which would otherwise ask the user."""

from __future__ import annotations

import netrc
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pydantic import ValidationError

from vidcls.errors import UserError, reason_of
from vidcls.tracking.limits import SERVICE, limit_s

if TYPE_CHECKING:
    import wandb

Mode = Literal["online", "offline", "disabled"]
_ENVIRONMENT: dict[str, Mode] = {"offline": "offline", "dryrun": "offline", "disabled": "disabled"}
"""Values of `WANDB_MODE` other than online."""
_YES, _NO = ("true", "1", "yes", "on", "y", "t"), ("", "false", "0", "no", "off", "n", "f")


def load_settings() -> wandb.Settings:
    """Load settings from the environment and the client's files, with the client's messages off.

    Raises:
        UserError: If the client refuses a setting; the message names the environment variable at fault.
    """
    import wandb

    try:
        patient = wandb.Settings(silent=True, console="off", x_service_wait=limit_s(SERVICE))
        return wandb.setup(patient).settings
    except (ValueError, wandb.Error) as error:
        raise UserError(_refused(error), hint="correct this setting, or remove it") from error


def _refused(error: Exception) -> str:
    """Text about the refused setting, with the name of its environment variable if it comes from one."""
    found = {
        (name, what)
        for what, value in _refused_values(error)
        for name, given in os.environ.items()
        if name.startswith("WANDB_") and given and given == value
    }
    if not found:
        return f"the settings of Weights & Biases cannot be used: {reason_of(error)}"
    return "; ".join(
        f"{name}={'...' if 'KEY' in name else os.environ[name]}: {what}" for name, what in sorted(found)
    )


def _refused_values(error: Exception) -> list[tuple[str, object]]:
    """Problems and the value of each."""
    if isinstance(error, ValidationError):
        return [(entry["msg"], entry["input"]) for entry in error.errors()]
    if "API key" in str(error):  # the client's message does not contain the key
        return [(reason_of(error), os.environ.get("WANDB_API_KEY"))]
    return [(reason_of(error), value) for value in os.environ.values() if value and repr(value) in str(error)]


def is_disabled_by_environment() -> bool:
    """Whether `WANDB_DISABLED` is set. The client no longer reads it, but other libraries and users use it.

    Raises:
        UserError: If the value is neither yes nor no.
    """
    value = os.environ.get("WANDB_DISABLED", "")
    if value.lower() not in (*_YES, *_NO):
        raise UserError(
            f"WANDB_DISABLED={value}: expected true or false",
            hint="set WANDB_MODE=offline to record without a network; tracking.mode has the same values",
        )
    return value.lower() in _YES


def choose_mode(asked: Literal["auto", "online", "offline"], *, warn: Callable[[str], None]) -> Mode:
    """Mode of tracking for the mode of a spec; `warn` receives a message if they differ.

    Raises:
        UserError: If an environment variable or a file of the client has an invalid value.
    """
    settings = load_settings()
    is_disabled = is_disabled_by_environment()
    environment = "disabled" if is_disabled else _ENVIRONMENT.get(settings.mode, "online")
    if asked != "auto":
        variable = "WANDB_DISABLED" if is_disabled else "WANDB_MODE"
        if os.environ.get(variable) and environment != asked:
            warn(f"{variable}={os.environ[variable]} has no effect: tracking.mode is {asked}")
    elif environment != "online":
        return environment
    if asked == "offline":
        return "offline"
    if has_credentials(settings):
        return "online"
    # Online without a key, the client would prompt, and a queued job would wait for ever.
    warn(f"Weights & Biases: no credentials for {settings.base_url}, recorded offline (`wandb login`)")
    return "offline"


def has_credentials(settings: wandb.Settings) -> bool:
    """Whether the client finds a key for its server without a prompt: environment, settings, netrc."""
    if settings.api_key or settings.identity_token_file:
        return True
    host = urlsplit(settings.base_url).netloc
    # The hosted service moved to another address; the client still uses keys of the old address.
    hosts = (host, "api.wandb.ai") if host == "api.forge.coreweave.com" else (host,)
    try:
        stored = netrc.netrc(os.environ.get("NETRC"))
    except (OSError, netrc.NetrcParseError):
        return False
    return any((entry := stored.authenticators(host)) is not None and entry[2] for host in hosts)
