"""Links by keys, what they join, and the threshold against SciPy's generalised Pareto distribution."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from vidcls.data.manifest import Video
from vidcls.leaks.relatives import Link, components, cut, key_links


def some_videos(groups: Sequence[str | None]) -> list[Video]:
    return [
        Video(id=f"v{number}", path=Path(f"v{number}.avi"), label=0, split="train", group=group, digest="0")
        for number, group in enumerate(groups)
    ]


def test_any_two_of_a_key_are_linked_and_those_without_one_are_not() -> None:
    videos = some_videos(["a", None, "b", "a", "", "a", None, "b", "c", ""])
    assert key_links(videos, lambda video: video.group, "group") == [
        Link(0, 3, "group"),
        Link(0, 5, "group"),
        Link(3, 5, "group"),
        Link(2, 7, "group"),
        Link(4, 9, "group"),
    ]
    assert key_links(videos, lambda video: None, "group") == []


def test_components_are_numbered_in_the_order_of_their_first_videos() -> None:
    links = [Link(4, 5, "group"), Link(0, 2, "name"), Link(5, 2, "group"), Link(1, 3, "bytes")]
    numbers = components(8, links)
    assert numbers == [0, 1, 0, 1, 0, 0, 2, 3]
    assert {type(number) for number in numbers} == {int}
    assert components(3, []) == [0, 1, 2]
    assert components(0, []) == []
    assert components(2, iter([Link(0, 1, "group")] * 3)) == [0, 0]


def by_definition(unrelated: NDArray[np.float32], *, num_pairs: int) -> float:
    """0.1 pairs above it are expected: start of the tail, and the quantile of a Pareto distribution above it."""
    share = max(0.01, 50 / len(unrelated))
    ordered = np.sort(unrelated.astype(float))
    start = np.quantile(ordered, 1 - share)
    excess = ordered[ordered > start] - start
    num = len(excess)
    weights = [1 - (place - 0.35) / num for place in range(1, num + 1)]
    mean, weighted = excess.mean(), (excess * weights).mean()
    shape = min(max(mean / (mean - 2 * weighted) - 2, 1e-6), 0.5)
    chance = min(1, 0.1 / (num_pairs * share))
    return float(start + stats.genpareto.isf(chance, -shape, scale=mean * (1 + shape)))


@pytest.mark.parametrize("num", [100, 3_000, 5_000, 20_000])
@pytest.mark.parametrize("num_pairs", [1, 1_000, 1_000_000])
@pytest.mark.parametrize(
    "kind",
    ["normal", "uniform", "short", "long"],  # of shapes between, above, between and below what is assumed
)
def test_the_cut_is_a_quantile_of_the_tail(kind: str, num: int, num_pairs: int) -> None:
    rng = np.random.default_rng(num)
    sample = {
        "normal": rng.normal(0.3, 0.05, size=num),
        "uniform": rng.uniform(0.2, 0.6, size=num),
        "short": 0.3 + 0.5 * rng.beta(2, 6, size=num),
        "long": 0.4 + 0.005 * rng.pareto(5, size=num),
    }[kind].astype(np.float32)
    expected = by_definition(sample, num_pairs=num_pairs)
    assert 0.3 < expected < 0.9
    assert cut(sample, num_pairs=num_pairs) == pytest.approx(expected, abs=1e-5)


def test_the_cut_stays_where_a_similarity_means_something() -> None:
    rng = np.random.default_rng(0)
    sample = rng.normal(0, 0.05, size=1_000).astype(np.float32)
    assert cut(sample - 0.5, num_pairs=1_000) == 0.3
    assert cut(sample + 0.8, num_pairs=1_000) == 0.9
    assert cut(np.full(1_000, 0.2, np.float32), num_pairs=1_000) == 0.9  # no tail


def test_of_fewer_than_a_hundred_unrelated_pairs_no_tail_is_known() -> None:
    sample = np.linspace(0.2, 0.6, 100, dtype=np.float32)
    assert cut(sample[:99], num_pairs=1_000) == cut(sample[:0], num_pairs=1) == 0.5
    assert cut(sample, num_pairs=1_000) == pytest.approx(by_definition(sample, num_pairs=1_000), abs=1e-5)
    assert cut(sample, num_pairs=1_000) != pytest.approx(0.5, abs=0.01)
