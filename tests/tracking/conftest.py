"""A client in this process that talks to the server that stands in, or to none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb

from tests.support.wandb_server import client_environment
from tests.support.wandb_state import WandbServer

CLOSED_PORT = "http://127.0.0.1:9"


@pytest.fixture
def online(
    wandb_server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[WandbServer]:
    """The server, with this process as its client."""
    for name in [name for name in os.environ if "WANDB" in name]:
        monkeypatch.delenv(name)
    for name, value in client_environment(wandb_server, tmp_path / "client").items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)  # the client makes a folder where it is
    wandb.teardown()  # what an earlier test set up in this process knows another server, or none
    yield wandb_server
    wandb.teardown()


@pytest.fixture
def unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No server, no credentials, and nothing of the user's own."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_BASE_URL", CLOSED_PORT)
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.chdir(tmp_path)
    wandb.teardown()  # what an earlier test set up in this process knows another server
    yield
    wandb.teardown()
