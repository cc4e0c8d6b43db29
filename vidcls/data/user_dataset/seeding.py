"""Seeds the random generators that a data set may use, for one item; afterwards they are as before."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch

from vidcls.data.sampling import generator


@contextlib.contextmanager
def seeded(*key: int | str) -> Iterator[None]:
    """Let the generators of Python, NumPy and torch (CPU) depend only on `key` in a `with` block.

    torch computes with one thread in it, as in the workers of a data loader, so that sums have the same bits.
    """
    seed = int(generator("item", *key).integers(2**32))
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002  (users use it)
    num_threads = torch.get_num_threads()
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.default_generator.manual_seed(seed)  # not torch.manual_seed, which seeds the GPU too
    if num_threads > 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        torch.set_rng_state(before[2])
        if num_threads > 1:
            torch.set_num_threads(num_threads)
