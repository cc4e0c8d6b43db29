"""Random draws for each frame in place of each clip: mirrored, shifted or brighter frames within a clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vidcls.data.doctor.draws import Grey, Sample, usable
from vidcls.data.doctor.finding import DatasetFinding, named
from vidcls.data.doctor.pictures import coarse, correlation, mirrored, shift_px

_LEAST_ITEMS = 2
_SHARE = 0.3
"""Share of the items that can be judged in which it must be seen."""
_MANY_ITEMS, _LARGE, _AS_FAR, _FAR_FROM_VAL = 4, 0.25, 0.8, 1.8
"""The last two were 0.3 and 1.1 for real videos with usual augmentations; drawn for each frame, 1 and 4.8."""
_SAME = 0.98
"""Correlation of two frames that show the same, apart from what is measured."""
_SAME_SIDE, _MARGIN = 0.9, 0.1
_GAIN = 0.07
_SHIFT_PX = 0.7
_MOST_SHIFT_PX = 5
_ADVICE = "draw once in __getitem__, before the loop over the frames, and do the same to all of them"


def check_per_frame(samples: Sequence[Sample], val: Sequence[Sample]) -> Iterator[DatasetFinding]:
    """Find flips, changes of brightness, crops and others that differ between the frames of a clip.

    Args:
        samples: Items of the training split, under several seeds.
        val: Items of the val split, which are not augmented.
    """
    found = list(_of_one_kind(samples))
    yield from found or _of_any_kind(samples, val)


def _of_one_kind(samples: Sequence[Sample]) -> Iterator[DatasetFinding]:
    flipped = [sample.item for sample in usable(samples) if _has_both(sample)]
    if len(flipped) >= _LEAST_ITEMS and len(flipped) >= _SHARE * len(samples):
        yield DatasetFinding(
            "per_frame",
            "some frames of a clip are mirrored between two random draws and others are not, in "
            f"{named(flipped)}",
            _ADVICE,
        )
        return
    judged = [
        (sample.item, found) for sample in usable(samples) if (found := _variations(sample)) is not None
    ]
    for at, least, what in ((0, _GAIN, "are brighter or darker"), (1, _SHIFT_PX, "are shifted")):
        varied = [(item, found[at]) for item, found in judged if found[at] > least]
        if len(varied) >= _LEAST_ITEMS and len(varied) >= _SHARE * len(judged):
            size = float(np.median([amount for _, amount in varied]))
            amount = f"by {100 * size:.0f} %" if at == 0 else f"by {size:.1f} px of a frame of 48 px"
            yield DatasetFinding(
                "per_frame",
                f"two random draws differ from frame to frame, where one draw a clip would differ in the "
                f"same way in all frames: frames {what} {amount} (standard deviation) in "
                f"{named([item for item, _ in varied])}",
                _ADVICE,
            )


def _of_any_kind(samples: Sequence[Sample], val: Sequence[Sample]) -> Iterator[DatasetFinding]:
    """Find frames that differ from the frame before as much as from the same frame of another draw.

    With one draw a clip, the frames of a clip share what was drawn. So they are closer to each other than to
    the frames of another draw, wherever a draw changes more than a motion does, which val shows.
    """
    trained = [_within_and_across(sample) for sample in usable(samples)]
    motion = [_within_and_across(sample)[0] for sample in usable(val)]
    if len(trained) < _MANY_ITEMS or len(motion) < _MANY_ITEMS:
        return
    within, across = (float(np.median(column)) for column in zip(*trained, strict=True))
    still = float(np.median(motion))
    if across > _LARGE and within > _AS_FAR * across and within > _FAR_FROM_VAL * still:
        yield DatasetFinding(
            "per_frame",
            f"in train, a frame differs from the one before by {within:.2f}, as much as from the same frame "
            f"of another random draw ({across:.2f}), and in val by {still:.2f} only (standard deviations, "
            f"median of {len(trained)} items): each frame is changed by a draw of its own",
            _ADVICE,
        )


def _within_and_across(sample: Sample) -> tuple[float, float]:
    """Mean difference of neighbouring frames, and of the same frame of two draws."""
    clips = [coarse(draw.grey) for draw in sample.draws if draw.grey is not None]
    within = float(np.mean([np.abs(np.diff(clip, axis=0)).mean() for clip in clips]))
    return within, float(np.mean([np.abs(clips[0] - clip).mean() for clip in clips[1:]]))


def _has_both(sample: Sample) -> bool:
    """Whether some frames are mirrored between two draws, and others are not."""
    first = sample.first.grey
    assert first is not None
    for other in sample.draws[1:]:
        assert other.grey is not None
        sides = [_is_mirrored(a, b) for a, b in zip(first, other.grey, strict=True)]
        if True in sides and False in sides:
            return True
    return False


def _is_mirrored(first: Grey, other: Grey) -> bool | None:
    """Whether a frame is mirrored against another one; None if it cannot be told."""
    plain, crossed = correlation(first, other), correlation(first, mirrored(other))
    return crossed > plain if max(plain, crossed) > _SAME_SIDE and abs(crossed - plain) > _MARGIN else None


def _variations(sample: Sample) -> tuple[float, float] | None:
    """Standard deviation over the frames of the gain and of the shift between two draws.

    None if the draws do not show the same frames, so that it cannot be told.
    """
    rows: list[tuple[float, float]] = []
    first = sample.first.grey
    for other in sample.draws[1:]:
        assert first is not None
        assert other.grey is not None
        second = other.grey
        if correlation(first, mirrored(second)) > correlation(first, second):
            second = mirrored(second)
        per_frame = [_between(a, b) for a, b in zip(first, second, strict=True)]
        known = [one for one in per_frame if one is not None]
        if len(known) < max(2, len(per_frame) // 2):
            continue
        gains, downs, rights = (np.array(column) for column in zip(*known, strict=True))
        rows.append((float(gains.std() / gains.mean()), float(max(downs.std(), rights.std()))))
    if not rows:
        return None
    return max(gain for gain, _ in rows), max(shift for _, shift in rows)


def _between(first: np.ndarray, second: np.ndarray) -> tuple[float, int, int] | None:
    """Gain and shift of a frame against another; None if they do not show the same."""
    most = min(_MOST_SHIFT_PX, first.shape[0] // 6, first.shape[1] // 6)
    if correlation(first, second) > 0.999:
        most = 0
    down, right, found = shift_px(first, second, most=most)
    spread = float(second.std())
    if found < _SAME or spread <= 1e-6:
        return None
    if most:
        return 1.0, down, right
    return float(first.std()) / spread, down, right
