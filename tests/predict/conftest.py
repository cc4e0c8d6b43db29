"""Small trained runs, each made once, on the demo data."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.support.training import Experiment, train_here


@pytest.fixture(scope="session")
def run_of(tmp_path_factory: pytest.TempPathFactory, demo: Path) -> Callable[[str], Path]:
    """Folder of a run of one epoch that takes a modality."""
    folder = tmp_path_factory.mktemp("predict")

    @cache
    def train(modality: str) -> Path:
        own = folder / modality
        own.mkdir()
        experiment = Experiment(own, demo, store=folder / "store")
        return train_here(experiment.spec(clip__modality=modality, train__epochs=1)).folder

    return train


@pytest.fixture(scope="session")
def rgb_run(run_of: Callable[[str], Path]) -> Path:
    """Folder of a run on frames."""
    return run_of("rgb")
