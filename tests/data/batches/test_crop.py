"""Windows of the crops, where a draw leaves no choice, and what is drawn otherwise."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from vidcls.data.batches.augment import eval_view, train_view
from vidcls.data.batches.window import Window
from vidcls.data.sampling import generator
from vidcls.spec.sections import AugmentSection, Clip

SQUARE = Clip(size=(16, 16), fit="crop")


def drawn(stored: tuple[int, int], augment: AugmentSection, *, clip: Clip = SQUARE, num: int) -> list[Window]:
    return [train_view(stored, clip, augment=augment, rng=generator(i)).window for i in range(num)]


def resized(scale: tuple[float, float], ratio: tuple[float, float]) -> AugmentSection:
    return AugmentSection(crop="random_resized", scale=scale, ratio=ratio)


def test_without_a_crop_training_sees_the_centre_as_evaluation_does() -> None:
    for stored, window in (((16, 16), (0, 0, 16, 16)), ((21, 30), (2, 7, 16, 16))):
        assert eval_view(stored, SQUARE).window == window
        assert drawn(stored, AugmentSection(), num=3) == [window] * 3


def test_a_random_crop_lies_anywhere_within_the_frame() -> None:
    windows = drawn((18, 19), AugmentSection(crop="random"), num=200)
    assert set(windows) == {Window(top, left, 16, 16) for top, left in product(range(3), range(4))}


def test_a_random_resized_crop_lies_anywhere_within_the_frame() -> None:
    windows = drawn((6, 7), resized((16 / 42, 16 / 42), (1.0, 1.0)), num=200)
    assert set(windows) == {Window(top, left, 4, 4) for top, left in product(range(3), range(4))}


def test_a_random_resized_crop_may_be_as_high_or_as_wide_as_the_frame() -> None:
    high = drawn((100, 100), resized((0.5, 0.5), (0.5, 0.5)), num=300)
    assert {(w.top, w.height, w.width) for w in high} == {(0, 100, 50)}
    assert len({w.left for w in high}) > 40
    wide = drawn((100, 100), resized((0.5, 0.5), (2.0, 2.0)), num=300)
    assert {(w.left, w.height, w.width) for w in wide} == {(0, 50, 100)}
    assert len({w.top for w in wide}) > 40


def test_a_random_resized_crop_has_at_least_a_pixel() -> None:
    (one,) = drawn((100, 100), resized((1e-4, 1e-4), (1.0, 1.0)), num=1)
    assert (one.height, one.width) == (1, 1)
    row, column = (
        {w[2:] for w in drawn((100, 100), resized((25e-4, 25e-4), (r, r)), num=3)} for r in (25, 0.04)
    )
    assert (row, column) == ({(1, 25)}, {(25, 1)})
    # Less than half a pixel high or wide: the largest window of this ratio instead.
    assert drawn((100, 100), resized((1e-6, 1e-6), (1.0, 1.0)), num=1) == [(0, 0, 100, 100)]
    assert drawn((100, 100), resized((4e-4, 4e-4), (50.0, 50.0)), num=1) == [(49, 0, 2, 100)]
    assert drawn((100, 100), resized((4e-4, 4e-4), (0.02, 0.02)), num=1) == [(0, 49, 100, 2)]


@pytest.mark.parametrize(
    ("stored", "ratio", "window"),
    [
        ((100, 60), (4.0, 5.0), (42, 0, 15, 60)),
        ((60, 100), (4.0, 5.0), (17, 0, 25, 100)),
        ((100, 60), (0.2, 0.25), (0, 17, 100, 25)),
        ((60, 100), (0.2, 0.25), (0, 42, 60, 15)),
        ((64, 65), (0.1, 10.0), (0, 0, 64, 65)),
    ],
)
def test_where_no_draw_fits_the_crop_is_the_largest_one_of_a_ratio_that_is_allowed(
    stored: tuple[int, int], ratio: tuple[float, float], window: tuple[int, int, int, int]
) -> None:
    assert drawn(stored, resized((1.0, 1.0), ratio), num=4) == [window] * 4


def test_the_ratio_of_a_crop_is_relative_to_that_of_the_clip() -> None:
    """So a resize keeps the proportions of the picture at ratio 1."""
    clip = Clip(size=(40, 80), fit="crop")
    for window in drawn((400, 400), resized((0.1, 0.3), (1.0, 1.0)), clip=clip, num=20):
        assert abs(window.width - 2 * window.height) <= 1.5
    # No window of 0.9 of a square frame is twice as wide as high.
    assert drawn((400, 400), resized((0.9, 0.9), (1.0, 1.0)), clip=clip, num=1) == [(100, 0, 200, 400)]


def test_a_random_resized_crop_covers_half_of_the_frame_or_more_unless_told_otherwise() -> None:
    windows = drawn((200, 200), AugmentSection(crop="random_resized"), num=500)
    areas = np.array([w.height * w.width / 200**2 for w in windows])
    ratios = np.array([w.width / w.height for w in windows])
    assert 0.49 < areas.min() < 0.52
    assert 0.95 < areas.max() <= 1
    assert 0.74 < ratios.min() < 0.78
    assert 1.28 < ratios.max() < 1.35


def test_a_crop_is_drawn_after_the_flip_from_the_same_generator() -> None:
    """In this order: area, ratio, top, left. Runs of earlier versions are repeated only if it stays so."""
    stored, augment = (60, 80), resized((0.2, 0.3), (0.8, 1.25))
    for i in range(5):
        rng = generator(i)
        rng.random()
        target = 60 * 80 * rng.uniform(0.2, 0.3)
        ratio = math.exp(rng.uniform(math.log(0.8), math.log(1.25)))
        height, width = round(math.sqrt(target / ratio)), round(math.sqrt(target * ratio))
        top, left = int(rng.integers(60 - height + 1)), int(rng.integers(80 - width + 1))
        view = train_view(stored, SQUARE, augment=augment, rng=generator(i))
        assert view.window == Window(top, left, height, width)
