from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vidcls.campaign.dry_run import clips_within


def test_a_batch_that_a_cpu_takes_long_for_is_cut() -> None:
    assert clips_within(15, 64, gflops=300) == 64
    assert clips_within(15, 64, gflops=600) == 32
    assert clips_within(15, 64, gflops=1e9) == 2, "batch normalisation needs two"


@given(st.floats(0.1, 100), st.integers(1, 4096), st.floats(0, 1e12))
def test_a_cut_batch_is_never_larger_than_the_whole(seconds: float, batch_size: int, gflops: float) -> None:
    assert min(2, batch_size) <= clips_within(seconds, batch_size, gflops=gflops) <= batch_size
