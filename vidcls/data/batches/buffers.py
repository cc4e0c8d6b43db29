"""Host memory for batches, used again once nothing refers to a batch any more.

A batch is some ten megabytes. Fresh from the system each page of it costs a fault, several times the price of
filling it; from the heap, where one thread takes it and another gives it back, it leaves holes that grow.
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
    """Lends float32 tensors; safe to use from several threads.

    Args:
        num_kept: Blocks that are kept at most while nobody uses them.
    """

    def __init__(self, num_kept: int) -> None:
        self._free: collections.deque[NDArray[np.float32]] = collections.deque(maxlen=num_kept)

    def empty(self, *shape: int) -> Tensor:
        """A contiguous tensor with any content.

        Its memory is lent again only when the last tensor or array that shares it is gone.
        """
        size = math.prod(shape)
        try:
            block = self._free.pop()
        except IndexError:
            block = np.empty(size, np.float32)
        if block.size < size:
            block = np.empty(size, np.float32)
        # The storage of the tensor alone holds this array, and every view of the tensor holds its storage.
        lent = block[:size].reshape(shape)
        weakref.finalize(lent, self._free.append, block).atexit = False
        return torch.from_numpy(lent)
