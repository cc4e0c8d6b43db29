"""Sweep files for tests, written into the working directory beside their experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vidcls.spec.explain import SpecError
from vidcls.sweep.config.check import check_against_spec
from vidcls.sweep.config.file import load_sweep

GOOD = """\
name: mine
project: p
method: bayes
metric: {name: val/top1, goal: maximize}
run_cap: 5
early_terminate: {type: hyperband, min_iter: 1}
parameters:
  optim.lr: {min: 0.001, max: 0.1}
  model.dropout: {values: [0.0, 0.5]}
  train.epochs: {value: 4}
command: ["${env}", vidcls, train, spec.yaml, data.workers=1, "${args}"]
"""
SPEC = """\
name: small
clip: {frames: 4, size: [24, 24]}
model: {kind: late_fusion, join: concat}
"""


def write(text: str) -> Path:
    """Write `sweep.yaml`, and `spec.yaml` unless it is there."""
    if not Path("spec.yaml").exists():
        Path("spec.yaml").write_text(SPEC)
    path = Path("sweep.yaml")
    path.write_text(text)
    return path


def said(text: str, **options: Any) -> str:
    """What is said of a file; `file: line: ` cut down to the line."""
    with pytest.raises(SpecError) as caught:
        check_against_spec(load_sweep(write(text), **options))
    return str(caught.value).replace("sweep.yaml:", "")


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def parameter(text: str, *, method: str = "random") -> str:
    """The good file with one parameter alone, on line 8."""
    head, _, tail = GOOD.partition("  optim.lr")
    return f"{head}  {text}\n{tail.partition('command')[1]}{tail.partition('command')[2]}".replace(
        "method: bayes", f"method: {method}"
    )
