"""The number of threads is measured, and nothing else of the process changes."""

from __future__ import annotations

import torch

from vidcls.models.thread_choice import fastest_threads


def test_one_of_the_numbers_is_chosen_and_nothing_else_changes() -> None:
    before, state = torch.get_num_threads(), torch.get_rng_state()
    assert fastest_threads((1, 2)) in (1, 2)
    assert torch.get_num_threads() == before
    assert torch.equal(torch.get_rng_state(), state)
