"""Input of a model: a clip section in which settings left to the weights are filled in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from vidcls.errors import UserError
from vidcls.models.weights.catalogue import TrainedInput, Weights, resolve
from vidcls.spec.model import EnsembleSection, ModelSection, SingleModelSection, TwoStreamSection
from vidcls.spec.sections import Clip, ClipSection

_RGB = 3


def input_clip(section: ModelSection, clip: ClipSection) -> Clip:
    """Clip section of a model's input; no file of weights is needed.

    Args:
        section: Model section; its weights define their input size and normalisation.
        clip: Clip section of the spec.

    Raises:
        UserError: If a backbone has no such weights, or members need different input settings.
    """
    filled: dict[str, Any] = clip.model_dump(exclude_none=True)
    known = _recipes(section.singles())
    if known and clip.size is None:
        filled["size"] = _agreed(known, "size")
    known = _recipes(_that_see_colours(section))
    if known and "rgb" in clip.parts:
        for name, usual in zip(("mean", "std"), clip.normalisation, strict=True):
            if getattr(clip, name) is None:
                filled[name] = (*_agreed(known, name), *usual[_RGB:])
    return Clip.model_validate(filled)


def _that_see_colours(section: ModelSection) -> Iterator[SingleModelSection]:
    """Sections of all parts except motion streams, because motion has its own scale."""
    match section:
        case EnsembleSection():
            for member in section.members:
                yield from _that_see_colours(member)
        case TwoStreamSection():
            yield from section.rgb.singles()
        case _:
            yield from section.singles()


def _recipes(singles: Iterable[SingleModelSection]) -> list[tuple[Weights, TrainedInput]]:
    asked = {(single.backbone, single.weights): None for single in singles if single.weights is not None}
    found = [resolve(backbone, name) for backbone, name in asked]
    return [(weights, weights.recipe) for weights in found if weights.recipe is not None]


def _agreed(known: list[tuple[Weights, TrainedInput]], name: str) -> Any:
    values = {getattr(recipe, name): weights for weights, recipe in known}
    if len(values) > 1:
        each = ", ".join(f"{_text(value)} ({weights.label})" for value, weights in values.items())
        first = _text(next(iter(values)))
        raise UserError(
            f"clip.{name}: the weights of the models were trained with different values: {each}",
            hint=f"set one value for all, for example clip.{name}={first}",
        )
    return next(iter(values))


def _text(value: tuple[float, ...]) -> str:
    return f"[{','.join(f'{number:g}' for number in value)}]"
