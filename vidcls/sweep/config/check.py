"""Checks a sweep file against its experiment: does every point load, and is the metric logged?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from vidcls.spec.explain import SpecError
from vidcls.spec.fingerprint import targets_in
from vidcls.spec.load import LoadedSpec, load_spec
from vidcls.spec.show import flatten, plain
from vidcls.spec.yaml import COMMAND_LINE, Mistake, in_short
from vidcls.sweep.config.command import unset_variables
from vidcls.sweep.config.file import SweepFile, by_line
from vidcls.sweep.config.metric_check import check_metric, check_rates
from vidcls.sweep.space.distributions import TAIL, Real
from vidcls.sweep.space.space import Point, overrides
from vidcls.user_code.code import UserCode
from vidcls.user_code.find import find_code

_NUM_TRIED = 100
"""Maximum number of points tried in addition to those that differ from the first in one parameter."""
_NO_RESULT = ("name", "runs_dir", "store_dir", "tracking")


def check_against_spec(sweep: SweepFile) -> LoadedSpec:
    """Check that every point gives a valid experiment, and that the metric will be logged.

    Returns:
        Experiment with the fixed settings and constants of the sweep and the first value of each parameter.

    Raises:
        SpecError: If there are mistakes; it lists each with file, line and key.
    """
    loaded, mistakes = check_points(sweep)
    mistakes += check_metric(sweep, loaded) + check_rates(sweep)
    if loaded is None or mistakes:
        raise SpecError(sorted(set(mistakes), key=by_line))
    return loaded


def check_points(sweep: SweepFile) -> tuple[LoadedSpec | None, list[Mistake]]:
    """Load the experiment at enough points to cover every value and both ends of every range."""
    if message := _not_there(sweep):
        return None, [Mistake(sweep.place("command"), "command", message)]
    mistakes = _without_effect(sweep)
    loaded: LoadedSpec | None = None
    for point, varied in _points(sweep):
        try:
            here = _load(sweep, point)
        except SpecError as error:
            found = [_placed(sweep, mistake, point, varied) for mistake in error.mistakes]
            mistakes += found
            if not varied and not any(m.place == COMMAND_LINE for m in error.mistakes):
                break  # the experiment is wrong without any point
        else:
            loaded = loaded or here
            mistakes += _retyped(sweep, here, point)
            found = [*relative_paths(here), *final_mistakes(here)]
            mistakes += [_placed(sweep, mistake, point, varied) for mistake in found]
    return loaded, _first_of_each(mistakes)


def points_of(sweep: SweepFile, settings: Sequence[str]) -> Iterator[tuple[Point, LoadedSpec]]:
    """Yield enough points to cover every value, each with its loaded experiment.

    Args:
        sweep: Sweep that passed `check_points`.
        settings: Fixed settings of every trial, in addition to those in the command of the file.
    """
    for point, _ in _points(sweep):
        yield point, _load(sweep, point, settings)


def codes_of(sweep: SweepFile, settings: Sequence[str]) -> tuple[UserCode, ...]:
    """Code of users that the trials of a sweep run.

    Args:
        sweep: Sweep that passed `check_points`.
        settings: Fixed settings of every trial, in addition to those in the command of the file.

    Raises:
        UserError: If a target is not found.
        SpecError: If the settings are of a final training, in which there is nothing to choose by.
    """
    targets: set[str] = set()
    for _, loaded in points_of(sweep, settings):
        if mistakes := final_mistakes(loaded):  # a setting of the launch
            raise SpecError(mistakes)
        targets.update(targets_in(loaded.spec))
    return tuple(find_code(target) for target in sorted(targets))


def relative_paths(loaded: LoadedSpec) -> Iterator[Mistake]:
    """Yield a mistake for arguments of the user's code that name a file from here: trials run elsewhere."""
    for key, value in flatten(plain(loaded.spec)).items():
        texts = value if isinstance(value, list) else [value]
        for text in texts if ".args." in key else ():
            if not isinstance(text, str) or not text or "\0" in text or Path(text).is_absolute():
                continue
            # A word such as `relu` may also be the name of a folder; a data set is often given a folder.
            if Path(text).is_file() or (Path(text).is_dir() and ("/" in text or key.startswith("data."))):
                message = f"{in_short(text)} is in this folder, but trials run in that of the sweep; write "
                yield Mistake(COMMAND_LINE, key, f"{message}{Path(text).absolute()}")


def final_mistakes(loaded: LoadedSpec) -> list[Mistake]:
    """Mistakes for settings of a final training, in which there is nothing to choose by."""
    asked = {"data.join_val": loaded.spec.data.join_val, "train.stop_after": loaded.spec.train.stop_after}
    message = "is for a final training, after a sweep; leave it out"
    return [Mistake(str(loaded.path), key, message) for key, value in asked.items() if value]


def _not_there(sweep: SweepFile) -> str:
    for name in unset_variables([str(sweep.spec_path), str(sweep.data_file), *sweep.overrides]):
        return f"the environment variable {name} is not set"
    for path in (sweep.spec_path, sweep.data_file):
        try:
            if path is not None and not path.is_file():
                return f"{path}: no such file; the path is relative to the current folder"
        except OSError as error:
            return f"{in_short(str(path))}: {error.strerror}"
    return ""


def _without_effect(sweep: SweepFile) -> list[Mistake]:
    return [
        Mistake(
            sweep.place(f"parameters.{name}"),
            name,
            "cannot change the result, so it makes no sense as a parameter",
        )
        for name in sweep.space.searched
        if name.partition(".")[0] in _NO_RESULT
    ]


def _points(sweep: SweepFile) -> Iterator[tuple[Point, tuple[str, ...]]]:
    """Yield the first point, then points that differ from it in one parameter, then some others.

    Yields:
        A point, and the parameters in which it may differ from the first point.
    """
    space = sweep.space
    examples = {name: distribution.examples() for name, distribution in space.parameters.items()}
    first = {name: values[0] for name, values in examples.items()}
    yield first, ()
    for name, values in examples.items():
        for value in values[1:]:
            yield first | {name: value}, (name,)
    num_points, searched = space.num_points, tuple(space.searched)
    if num_points is not None and sweep.method == "grid":
        step = max(1, -(-num_points // _NUM_TRIED))
        yield from ((space.grid_point(i), searched) for i in range(0, num_points, step))
    else:
        yield from ((space.random_point(0, i), searched) for i in range(_NUM_TRIED // 5))


def _load(sweep: SweepFile, point: Point, settings: Sequence[str] = ()) -> LoadedSpec:
    asked = (*sweep.overrides, *settings, *overrides(point))
    return load_spec(sweep.spec_path, asked, data_file=sweep.data_file)


def _retyped(sweep: SweepFile, loaded: LoadedSpec, point: Point) -> Iterator[Mistake]:
    """Yield a mistake for each value that is text in the file but not in the experiment, or the reverse."""
    settings = flatten(plain(loaded.spec))
    for key, value in point.items():
        got = settings.get(key, value)
        if isinstance(value, str) != isinstance(got, str):
            place = sweep.place(f"parameters.{key}")
            if isinstance(value, str):
                message = (
                    f"the text {value!r} becomes {json.dumps(got)} in the training; write it without quotes"
                )
            else:
                message = f"expected text, got {json.dumps(value)}; put it in quotes"
            yield Mistake(place, key, message)


def _placed(sweep: SweepFile, mistake: Mistake, point: Point, varied: tuple[str, ...]) -> Mistake:
    """Move a mistake of an override to the line of the sweep file that caused it."""
    inside = [
        name for name in point if mistake.key == name or mistake.key.startswith((f"{name}.", f"{name}["))
    ]
    message = mistake.message
    if varied and varied != tuple(inside):
        message += f" (with {', '.join(overrides({name: point[name] for name in varied[:4]}))})"
        if mistake.place != COMMAND_LINE:
            message += f", see {mistake.place}"
            inside = [varied[0]]
    if inside:
        distribution = sweep.space.parameters[inside[0]]
        if isinstance(distribution, Real) and distribution.shape.ends is None:
            message += f"; one draw in {round(1 / TAIL):,} is even more extreme"
        return Mistake(sweep.place(f"parameters.{inside[0]}"), mistake.key, message)
    if mistake.place == COMMAND_LINE:
        return Mistake(sweep.place("command"), mistake.key, message)
    return Mistake(mistake.place, mistake.key, message)


def _first_of_each(mistakes: list[Mistake]) -> list[Mistake]:
    """Keep one mistake for each place and key: later points repeat it with other values."""
    first: dict[tuple[str, str], Mistake] = {}
    for mistake in mistakes:
        first.setdefault((mistake.place, mistake.key), mistake)
    return list(first.values())
