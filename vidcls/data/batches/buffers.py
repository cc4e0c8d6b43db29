"""Host memory for batches, reused once no object refers to a batch any more.

A batch is about ten megabytes. In new memory from the system, each page costs a page fault, which takes
several times as long as filling it. Memory from the heap, allocated and freed by different threads,
fragments.
"""

from __future__ import annotations

import collections
import math
import weakref

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Buffers:
    """Pool of float32 tensors; safe to use from several threads.

    Args:
        num_kept: Maximum number of unused blocks that are kept.
    """

    def __init__(self, num_kept: int) -> None:
        self._free: collections.deque[NDArray[np.float32]] = collections.deque(maxlen=num_kept)

    def empty(self, *shape: int) -> Tensor:
        """Contiguous tensor with undefined content.

        Its memory is reused only when the last tensor or array that shares it is gone.
        """
        size = math.prod(shape)
        try:
            block = self._free.pop()
        except IndexError:
            block = np.empty(size, np.float32)
        if block.size < size:
            block = np.empty(size, np.float32)
        # Only the storage of the tensor refers to this array, and every view of the tensor holds the storage.
        lent = block[:size].reshape(shape)
        weakref.finalize(lent, self._free.append, block).atexit = False
        return torch.from_numpy(lent)
