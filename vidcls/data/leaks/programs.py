"""Integer programs, solved by HiGHS through scipy."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import milp

_NODE_VARIABLES, _MIN_NODES = 1_000_000, 50  # a node takes the longer, the more variables there are
_GAP = 1e-4


def blocks(blocks: Sequence[sparse.sparray | None], widths: int | Sequence[int]) -> sparse.csr_array:
    """A row of blocks side by side; None is a block of zeros of its width."""
    each = [widths] * len(blocks) if isinstance(widths, int) else widths
    height = next(block.shape[0] for block in blocks if block is not None)
    filled = [
        sparse.csr_array((height, width)) if block is None else sparse.csr_array(block)
        for block, width in zip(blocks, each, strict=True)
    ]
    return sparse.hstack(filled, format="csr")


def solve(cost: NDArray[np.float64], **program: Any) -> NDArray[np.float64] | None:
    """The best values found by `scipy.optimize.milp`; None where its limit ended the search before any.

    The limit is in nodes: one in time would give other values on other machines.
    """
    options = {"node_limit": max(_MIN_NODES, _NODE_VARIABLES // len(cost)), "mip_rel_gap": _GAP}
    options |= program.pop("options", {})
    with _without_chatter():
        result = milp(cost, options=options, **program)
    return None if result.x is None else np.asarray(result.x)


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """HiGHS now and then prints a line from C, whatever it was told; JSON on stdout must not have it."""
    sys.stdout.flush()
    kept = os.dup(1)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        try:
            yield
        finally:
            ctypes.CDLL(None).fflush(None)  # what C still holds would appear later
            os.dup2(kept, 1)
            os.close(kept)
