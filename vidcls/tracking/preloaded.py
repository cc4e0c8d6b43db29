"""Loads the W&B client with modules that it imports only at the start of a run, before trials are forked."""

import contextlib
import importlib

import wandb  # noqa: F401

# Internal names of the client, which may change.
for _name in ("launch.inputs.internal", "artifacts._internal_artifact"):
    with contextlib.suppress(ImportError):
        importlib.import_module(f"wandb.sdk.{_name}")
