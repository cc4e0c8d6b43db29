from __future__ import annotations

import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch.utils.dlpack import from_dlpack

from vidcls.data.batches.buffers import Buffers


@pytest.mark.parametrize(
    "hold",
    [
        lambda tensor: tensor,
        lambda tensor: tensor[1:].permute(1, 0)[:1],
        lambda tensor: tensor.numpy(),
        lambda tensor: tensor.numpy().reshape(-1)[3:],
        lambda tensor: tensor.detach().untyped_storage(),
        lambda tensor: from_dlpack(tensor.__dlpack__()),
    ],
    ids=["tensor", "view", "array", "view of an array", "storage", "dlpack"],
)
def test_memory_is_lent_again_only_when_nothing_refers_to_it(hold: Callable[[torch.Tensor], Any]) -> None:
    buffers = Buffers(2)
    first = buffers.empty(4, 6)
    address = first.data_ptr()
    held = hold(first)
    del first
    gc.collect()
    other = buffers.empty(4, 6)
    assert other.data_ptr() != address
    del held
    gc.collect()
    assert buffers.empty(4, 6).data_ptr() == address
    assert other.shape == (4, 6)


def test_a_block_serves_what_is_smaller() -> None:
    buffers = Buffers(1)
    address = buffers.empty(4, 6).data_ptr()
    small = buffers.empty(3, 6)
    assert small.data_ptr() == address
    assert small.shape == (3, 6)
    assert small.is_contiguous()
    assert small.dtype == torch.float32
    del small
    assert buffers.empty(5, 6).shape == (5, 6)


def test_threads_never_share() -> None:
    buffers = Buffers(3)

    def fill(value: int) -> bool:
        tensor = buffers.empty(50, 50).fill_(value)
        copies = [buffers.empty(50, 50).fill_(-value) for _ in range(2)]
        return bool((tensor == value).all()) and all(bool((copy == -value).all()) for copy in copies)

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(fill, range(1, 400)))
