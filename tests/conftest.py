"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# As the command line sets it: test workers share the cores.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

from tests.support.training import Experiment


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the real videos (VIDCLS_SHARED, or `shared` beside the repository); skips where absent."""
    folder = Path(os.environ.get("VIDCLS_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not (folder / "ufc10").is_dir():
        pytest.skip(f"no real videos in {folder}; set VIDCLS_SHARED to the folder that holds ufc10")
    return folder


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty training, twenty val and twenty test clips of motion10."""
    from vidcls.data.demo import Amount, make_demo_of

    folder = tmp_path_factory.mktemp("demo") / "motion10"
    make_demo_of(Amount(train=1, val=1, test=1, clips=2), folder, seed=0)
    return folder


@pytest.fixture
def experiment(tmp_path: Path, demo: Path) -> Experiment:
    """An experiment on the small demo data."""
    return Experiment(tmp_path, demo)
