"""Fusing logits: what must hold of every pool, and of tuned weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from vidcls.data.sampling import generator
from vidcls.evaluate.metrics import compute_metrics
from vidcls.study.logit_pool import (
    cross_fitted,
    pooled,
    tuned_weights,
)


@st.composite
def stacks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Logits `[M, N, K]` of models from useless to overconfident, and labels `[N]`."""
    num_models, num_videos, num_classes = (
        draw(st.integers(2, 4)),
        draw(st.integers(1, 30)),
        draw(st.integers(2, 5)),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = rng.integers(num_classes, size=num_videos)
    logits = rng.normal(size=(num_models, num_videos, num_classes))
    knows = np.array(draw(st.lists(st.floats(0, 3), min_size=num_models, max_size=num_models)))
    scales = np.array(draw(st.lists(st.floats(0.1, 30), min_size=num_models, max_size=num_models)))
    logits += knows[:, None, None] * np.eye(num_classes)[labels]
    return logits * scales[:, None, None], labels


def loss(logits: np.ndarray, labels: np.ndarray) -> float:
    return compute_metrics(logits, labels, classes=[""] * logits.shape[-1]).loss


@settings(max_examples=20)
@given(stacks())
def test_all_the_weight_on_one_model_is_that_model(stack: tuple[np.ndarray, np.ndarray]) -> None:
    logits, _ = stack
    for model, weights in enumerate(np.eye(len(logits))):
        np.testing.assert_array_equal(pooled(logits, weights), logits[model])


@settings(max_examples=30)
@given(stacks())
def test_equal_models_fuse_to_themselves_with_equal_weights(stack: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = stack
    same = np.stack([logits[0]] * 3)
    weights = tuned_weights(same, labels)
    np.testing.assert_allclose(weights, 1 / 3, atol=1e-6)
    np.testing.assert_allclose(pooled(same, weights), logits[0], rtol=1e-9, atol=1e-9)


@settings(max_examples=20)
@given(stacks())
def test_tuned_weights_lose_to_no_model_and_to_no_other_weights(stack: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = stack
    weights = tuned_weights(logits, labels)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1)
    reached = loss(pooled(logits, weights), labels)
    assert reached <= min(loss(model, labels) for model in logits) + 1e-8
    others = np.random.default_rng(0).dirichlet(np.full(len(logits), 0.5), size=50)
    assert reached <= min(loss(pooled(logits, other), labels) for other in others) + 1e-4


@settings(max_examples=30)
@given(stacks())
def test_the_order_of_models_changes_no_loss(stack: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = stack
    there = loss(pooled(logits, tuned_weights(logits, labels)), labels)
    back = loss(pooled(logits[::-1], tuned_weights(logits[::-1], labels)), labels)
    assert back == pytest.approx(there, abs=1e-6)


def test_tuned_weights_of_a_case_by_hand() -> None:
    """Two models, two classes, margins +1 and +1 against +3 and -1: the loss has its minimum at w = 1/2.

    With the weight w on the second, the margins of the pool are 1 + 2w and 1 - 2w. Each loses
    log(1 + exp(-margin)), the sum of which is smallest at w = 0 by convexity; with the second model turned to
    +3 and 0 the margins are 1 + 2w and 1 - w, and the slope is zero where 2 s(-1 - 2w) = s(-1 + w).
    """
    margins = np.array([[1.0, 1.0], [3.0, -1.0]])
    logits = np.stack([margins, np.zeros_like(margins)], axis=-1)
    np.testing.assert_array_equal(tuned_weights(logits, np.array([0, 0])), [1, 0])

    logits[1, 1, 0] = 0.0
    weight = tuned_weights(logits, np.array([0, 0]))[1]
    assert 0 < weight < 1
    assert 2 / (1 + np.exp(1 + 2 * weight)) == pytest.approx(1 / (1 + np.exp(1 - weight)), abs=1e-5)


def test_a_model_that_has_gone_mad_does_not_end_the_search_beside_the_best_one() -> None:
    """Its loss is so steep that the search makes no step."""
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=30)
    sane = rng.normal(size=(30, 4)) + np.eye(4)[labels]
    mad = 1e6 * rng.normal(size=(30, 4))
    assert tuned_weights(np.stack([sane, mad]), labels).tolist() == [1, 0]
    assert tuned_weights(np.stack([mad, sane]), labels).tolist() == [0, 1]


@pytest.mark.parametrize(("num_models", "num_videos"), [(3, 30), (60, 100)])
def test_no_weights_are_better_than_tuned_ones(num_models: int, num_videos: int) -> None:
    """A convex loss is nowhere lower than its tangent, which is lowest with all the weight on one model."""
    rng = np.random.default_rng(3)
    labels = rng.integers(5, size=num_videos)
    truth = np.eye(5)[labels]
    logits = rng.normal(size=(num_models, num_videos, 5)) + truth * rng.uniform(0, 2, size=(num_models, 1, 1))
    logits *= np.exp(rng.uniform(np.log(0.1), np.log(30), size=(num_models, 1, 1)))
    weights = tuned_weights(logits, labels)
    wrong = softmax(np.einsum("m,mnk->nk", weights, logits), axis=1) - truth
    slopes = np.einsum("nk,mnk->m", wrong, logits) / num_videos
    assert weights @ slopes - slopes.min() < 1e-6


def test_experts_of_half_of_the_question_each_answer_all_of_it() -> None:
    """One knows the colour, one the motion, of four classes colour x motion: only together they are right."""
    labels = np.tile(np.arange(4), 5)
    colour, motion = (
        4.0 * (np.arange(4) // 2 == (labels // 2)[:, None]),
        4.0 * (np.arange(4) % 2 == (labels % 2)[:, None]),
    )
    both = pooled(np.stack([colour, motion]), [0.5, 0.5])
    assert compute_metrics(both, labels, classes=list("abcd")).top1 == 1
    assert compute_metrics(colour, labels, classes=list("abcd")).top1 == 0.5


def test_a_video_is_said_of_by_weights_that_never_saw_its_group() -> None:
    """Turning the labels of a group around changes what is said of every group, save of those of its fold."""
    rng = np.random.default_rng(0)
    groups = [f"g{number // 4}" for number in range(48)]
    labels = rng.integers(3, size=48)
    logits = rng.normal(size=(2, 48, 3)) + np.eye(3)[labels] * np.array([1.0, 2.0])[:, None, None]
    before = cross_fitted(logits, labels, groups)
    assert before is not None
    for group in ("g0", "g7"):
        own = np.array(groups) == group
        after = cross_fitted(logits, np.where(own, (labels + 1) % 3, labels), groups)
        assert after is not None
        np.testing.assert_array_equal(after[own], before[own])
        assert not np.allclose(after, before)


def test_one_group_can_judge_nothing() -> None:
    logits = np.zeros((2, 3, 2))
    assert cross_fitted(logits, np.zeros(3, np.int64), ["one"] * 3) is None


def test_shifts_and_scales_of_logits() -> None:
    """A constant added to a video's logits says nothing; the pool is that of the log-probabilities."""
    rng = np.random.default_rng(2)
    logits, weights = rng.normal(size=(2, 9, 4)), [0.3, 0.7]
    shifted = logits + rng.normal(size=(2, 9, 1))
    expected = log_softmax(pooled(log_softmax(logits, axis=-1), weights), axis=-1)
    np.testing.assert_allclose(log_softmax(pooled(shifted, weights), axis=-1), expected, atol=1e-12)


def test_what_is_said_of_a_video_can_be_done_again_by_hand() -> None:
    """Groups are shuffled by a fixed key and dealt to five folds; a fold is judged by the others' weights."""
    rng = np.random.default_rng(4)
    groups = [f"g{number}" for number in rng.integers(12, size=60)]
    labels = rng.integers(3, size=60)
    logits = rng.normal(size=(2, 60, 3)) + np.eye(3)[labels] * np.array([1.0, 2.0])[:, None, None]
    names = [f"g{number}" for number in (0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9)]
    assert set(names) == set(groups)
    dealt = [names[index] for index in generator("fuse", 12).permutation(12)]
    expected = np.full((60, 3), np.nan)
    for fold in range(5):
        held = np.isin(groups, dealt[fold::5])
        expected[held] = pooled(logits[:, held], tuned_weights(logits[:, ~held], labels[~held]))
    np.testing.assert_array_equal(cross_fitted(logits, labels, groups), expected)


def test_two_groups_judge_each_other() -> None:
    rng = np.random.default_rng(5)
    groups = ["a"] * 7 + ["b"] * 5
    labels = rng.integers(2, size=12)
    logits = rng.normal(size=(2, 12, 2)) + np.eye(2)[labels]
    said = cross_fitted(logits, labels, groups)
    assert said is not None
    first, second = slice(0, 7), slice(7, 12)
    for own, other in ((first, second), (second, first)):
        weights = tuned_weights(logits[:, other], labels[other])
        np.testing.assert_allclose(said[own], pooled(logits[:, own], weights), rtol=1e-12)


def test_pools_are_computed_in_double_precision() -> None:
    rng = np.random.default_rng(7)
    logits, weights = rng.normal(size=(3, 5, 4)).astype(np.float32), np.float32([0.2, 0.3, 0.5])
    found = pooled(logits, weights)
    assert found.dtype == np.float64
    expected = sum(float(w) * each.astype(np.float64) for w, each in zip(weights, logits, strict=True))
    np.testing.assert_allclose(found, expected, rtol=1e-14)
