"""What the tests of exports share."""

from __future__ import annotations

import pytest

pytest.importorskip("onnxruntime", reason="the extra `export` is not installed: pip install -e '.[export]'")
pytest.importorskip("onnxscript", reason="the extra `export` is not installed: pip install -e '.[export]'")


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """For all of them."""
