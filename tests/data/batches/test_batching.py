"""Which samples form the batches of an epoch."""

from __future__ import annotations

import pytest

from vidcls.data.batches.batching import batch_bounds, drawn_views, sample_order
from vidcls.data.sampling import generator


def test_order_and_views_are_drawn_for_each_seed_and_epoch() -> None:
    """From generators of their own, which a resumed run makes anew."""
    for seed, epoch in ((0, 0), (3, 5), (5, 3)):
        order = generator("order", seed, epoch).permutation(20)
        assert sample_order(20, seed=seed, epoch=epoch).tolist() == order.tolist()
        views = generator("views", seed, epoch).integers(4, size=20)
        assert drawn_views(20, num_views=4, seed=seed, epoch=epoch).tolist() == views.tolist()


def test_every_fixed_view_is_drawn_and_no_other() -> None:
    assert set(drawn_views(100, num_views=3, seed=0, epoch=0).tolist()) == {0, 1, 2}
    assert not drawn_views(100, num_views=1, seed=0, epoch=0).any()


@pytest.mark.parametrize(
    ("num_samples", "batch_size", "bounds"),
    [
        (0, 4, []),
        (1, 1, [(0, 1)]),
        (1, 4, [(0, 1)]),
        (3, 1, [(0, 1), (1, 2), (2, 3)]),
        (3, 2, [(0, 3)]),
        (4, 2, [(0, 2), (2, 4)]),
        (5, 2, [(0, 2), (2, 5)]),
        (8, 3, [(0, 3), (3, 6), (6, 8)]),
        (9, 8, [(0, 9)]),
        (10, 8, [(0, 8), (8, 10)]),
    ],
)
def test_batches_follow_one_another_and_a_single_last_sample_joins(
    num_samples: int, batch_size: int, bounds: list[tuple[int, int]]
) -> None:
    assert batch_bounds(num_samples, batch_size) == bounds
