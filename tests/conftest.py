"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the real videos (VIDCLS_SHARED, or `shared` beside the repository); skips where absent."""
    folder = Path(os.environ.get("VIDCLS_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not (folder / "ufc10").is_dir():
        pytest.skip(f"no real videos in {folder}; set VIDCLS_SHARED to the folder that holds ufc10")
    return folder
