"""Range and type of the values, and frames of one colour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from vidcls.choices import Split
from vidcls.data.doctor.draws import Answer, Draw
from vidcls.data.doctor.finding import DatasetFinding, named

_NORMALISE = "write (clip / 255 - mean) / std in float32, or return uint8, which vidcls normalises"


def check_values(by_split: Mapping[Split, Sequence[Answer]]) -> Iterator[DatasetFinding]:
    """Find grey levels in float, types that vidcls refuses, and splits on different scales.

    Args:
        by_split: Items by split.
    """
    scales: dict[Split, Counter[str]] = {}
    for split, answers in by_split.items():
        found = {one.item: _scale(one.first) for one in answers if one.first.problem is None}
        scales[split] = Counter(found.values())
        if found and scales[split].most_common(1)[0][0] not in _TINY:  # a clip may be dark; a split is not
            found = {item: _TINY.get(scale, scale) for item, scale in found.items()}
            scales[split] = Counter(found.values())
        for scale, message in _WRONG.items():
            items = [item for item, one in found.items() if one == scale]
            if items:
                first = next(one.first for one in answers if one.item == items[0])
                yield DatasetFinding(
                    "values",
                    f"{named(items)}: the clip is {first.dtype} from {first.low:.3g} to {first.high:.3g}: "
                    f"{message}",
                    _NORMALISE,
                )
        kinds = {"uint8" if one.startswith("bytes") else "float" for one in found.values()}
        if len(kinds) > 1:
            in_bytes = [item for item, one in found.items() if one.startswith("bytes")]
            others = [item for item, one in found.items() if not one.startswith("bytes")]
            items = min(in_bytes, others, key=len)
            yield DatasetFinding(
                "values", f"some clips are uint8 and others float: {named(items)} differ", _NORMALISE
            )
    usual = {split: counter.most_common(1)[0][0] for split, counter in scales.items() if counter}
    if len(set(usual.values())) > 1:
        shown = ", ".join(f"{split}: {scale}" for split, scale in usual.items())
        yield DatasetFinding(
            "values", f"the splits have different scales: {shown}", "normalise all splits in the same way"
        )


_WRONG = {
    "0 to 1/255": "divided by 255 twice",
    "bytes 0 to 1": "0 to 1 as whole numbers, of which little is left of a picture",
    "not scaled": "a mean was subtracted, but it is not divided by the standard deviation",
    "0 to 255": "grey levels as floats, which no model is trained on",
    "integers": "vidcls takes float32, or uint8",
}


_TINY = {"0 to 1/255": "0 to 1", "bytes 0 to 1": "bytes"}
"""Scales that dark clips on other ones look like, and those."""
_TINY_HIGH = 2 / 255
_MOST = 20
"""Greatest value of a normalised clip; only pictures are held to it below 0, not flow fields."""


def _scale(draw: Draw) -> str:
    if draw.dtype == "uint8":
        return "bytes 0 to 1" if draw.high <= 1 else "bytes"
    if not draw.dtype.startswith(("float", "bfloat")):
        return "integers"
    if draw.low >= 0 and draw.high > _MOST:
        return "0 to 255"
    if draw.low < 0 and max(-draw.low, draw.high) > _MOST and draw.shape[:1] in ((1,), (3,)):
        return "not scaled"
    if draw.low >= 0 and draw.high < _TINY_HIGH:
        return "0 to 1/255"
    return "normalised" if draw.low < -0.1 else "0 to 1"


def check_constant(answers: Sequence[Answer]) -> Iterator[DatasetFinding]:
    """Find frames of one colour in clips with others, as they stand in for missing ones; and whole clips."""
    whole, some = [], []
    for answer in answers:
        spread = answer.first.frame_spread
        if not spread:
            continue
        empty = [at for at, one in enumerate(spread) if one <= 1e-6 * max(1.0, abs(answer.first.high))]
        if len(empty) == len(spread):
            whole.append(answer.item)
        elif empty and (len(empty) > 1 or empty[-1] == len(spread) - 1):
            some.append((answer.item, empty))
    if whole:
        yield DatasetFinding(
            "constant",
            f"all frames have one colour in {named(whole)}",
            "look at these files: vidcls data check FOLDER decodes them",
        )
    if some:
        shown = [f"{item} (frames {', '.join(map(str, frames))})" for item, frames in some]
        yield DatasetFinding(
            "constant",
            f"some frames have one colour, such as black: {named(shown)}",
            "for a short video, repeat its frames: index k * num_frames // T",
        )
