"""Dropout: what it keeps, at which rate, and that a seed repeats it."""

from __future__ import annotations

import pytest
import torch

from vidcls.models.dropout import Dropout


@pytest.mark.parametrize("shape", [(1,), (7, 3), (64, 2560)])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_kept_values_are_scaled_and_a_seed_repeats_them(shape: tuple[int, ...], p: float) -> None:
    values = torch.arange(1.0, 1 + torch.Size(shape).numel()).view(shape).requires_grad_()
    torch.manual_seed(3)
    given = Dropout(p)(values)
    kept = given != 0
    torch.testing.assert_close(given[kept], values[kept] / (1 - p), rtol=1e-4, atol=0)
    (slopes,) = torch.autograd.grad(given.sum(), values)
    torch.testing.assert_close(slopes, kept / (1 - p), rtol=1e-4, atol=0)
    torch.manual_seed(3)
    assert torch.equal(Dropout(p)(values), given)


def test_the_rate_is_that_of_the_spec_in_every_column() -> None:
    torch.manual_seed(0)
    rates = (Dropout(0.3)(torch.ones(20_000, 16)) == 0).double().mean(dim=0)
    # Five standard errors of 20,000 draws.
    assert (rates - 0.3).abs().max() < 5 * (0.3 * 0.7 / 20_000) ** 0.5


@pytest.mark.parametrize(("p", "trains"), [(0.0, True), (0.4, False)])
def test_nothing_is_dropped_at_zero_or_in_evaluation(p: float, trains: bool) -> None:
    values = torch.randn(5, 3)
    assert torch.equal(Dropout(p).train(trains)(values), values)


def test_everything_is_dropped_at_one() -> None:
    assert not Dropout(1.0)(torch.ones(5, 3)).any()
