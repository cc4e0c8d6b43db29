"""The W&B client with what it loads only once a run begins: for processes that trials are forked from."""

import contextlib
import importlib

import wandb  # noqa: F401

# The client's own names, which may change.
for _name in ("launch.inputs.internal", "artifacts._internal_artifact"):
    with contextlib.suppress(ImportError):
        importlib.import_module(f"wandb.sdk.{_name}")
