"""Loads the W&B client with modules that it imports only at the start of a run, before trials are forked."""

import contextlib
import importlib

import wandb  # noqa: F401

# An internal name of the client, which may change.
with contextlib.suppress(ImportError):
    importlib.import_module("wandb.sdk.artifacts._internal_artifact")
