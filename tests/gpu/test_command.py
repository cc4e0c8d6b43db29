"""`make gpu`, in the short form on whatever is here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import main

pytestmark = pytest.mark.slow


def test_it_runs_from_start_to_end_and_says_on_what(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--short", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "gpu.json").read_text())
    page = (tmp_path / "gpu.txt").read_text()
    has_gpu = torch.cuda.is_available()
    assert found["short"]
    assert (found["device"], found["torch"]) == ("cuda" if has_gpu else "cpu", torch.__version__)
    assert found["card"] in page
    assert ("this says nothing about a GPU" in page) != has_gpu
    results = {result["name"]: result for result in found["results"]}
    assert results["early_fusion, killed and resumed"]["measured"] == "the same weights"
    assert has_gpu or "needs a CUDA device" in results["gpu tests"]["detail"]
    assert page in capsys.readouterr().out
