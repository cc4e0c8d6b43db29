"""Inputs of the data tests."""

from __future__ import annotations

import pytest

from tests.support.roots import Clip, make_clips


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clip, ...]:
    """Eighteen encoded clips of three classes, to be laid out by `tests.support.roots.build`."""
    return make_clips(tmp_path_factory.mktemp("clips"))
