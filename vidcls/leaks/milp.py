"""Mixed-integer linear programs, solved by HiGHS through scipy."""

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

_MIN_NODES, _MAX_NODES = 20, 5_000
_SQUARES = 10_000_000  # node limit times squared size: a larger program has more nodes, each slower
_GAP = 1e-4


def side_by_side(blocks: Sequence[sparse.sparray | None], widths: int | Sequence[int]) -> sparse.csr_array:
    """Join blocks side by side; None stands for a block of zeros of the given width."""
    each = [widths] * len(blocks) if isinstance(widths, int) else widths
    height = next(block.shape[0] for block in blocks if block is not None)
    filled = [
        sparse.csr_array((height, width)) if block is None else sparse.csr_array(block)
        for block, width in zip(blocks, each, strict=True)
    ]
    return sparse.hstack(filled, format="csr")


def solve(cost: NDArray[np.float64], *, gap: float = _GAP, **program: Any) -> NDArray[np.float64] | None:
    """Best values found by `scipy.optimize.milp`; None if its limit ended the search before any was found.

    The limit counts nodes, because a time limit would give different values on different machines.

    Args:
        cost: Cost of each variable.
        gap: Relative gap by which the cost may exceed the optimum.
        program: Other arguments of `milp`.
    """
    nodes = min(_MAX_NODES, max(_MIN_NODES, _SQUARES // len(cost) ** 2))
    options = {"node_limit": nodes, "mip_rel_gap": gap}
    with _without_chatter():
        result = milp(cost, options=options, **program)
    return None if result.x is None else np.asarray(result.x)


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Suppress lines that HiGHS sometimes prints from C despite its settings, which would spoil JSON."""
    sys.stdout.flush()
    kept = os.dup(1)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        try:
            yield
        finally:
            ctypes.CDLL(None).fflush(None)  # text in C buffers would appear later
            os.dup2(kept, 1)
            os.close(kept)
