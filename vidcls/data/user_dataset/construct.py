"""Makes a data set of the user for a split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from vidcls.choices import Split
from vidcls.errors import UserError
from vidcls.spec.data import DataSection
from vidcls.user_code.arguments import arguments_for, parameters_of
from vidcls.user_code.code import UserCode
from vidcls.user_code.find import find_code
from vidcls.user_code.load import USER_ERRORS, explained, load_code

_WANTED = "a data set has __len__ and __getitem__, and gives (clip, label) for an index"


@dataclass(frozen=True)
class DatasetCode:
    """Code of a data set, with its arguments. It can be pickled, whatever the data set is.

    Attributes:
        code: Code of the class, or of the function that makes data sets.
        args: Arguments, without `split`.
    """

    code: UserCode
    args: Mapping[str, Any]

    @classmethod
    def of(cls, section: DataSection) -> Self:
        """Code and arguments that a data section names.

        Raises:
            UserError: If the target is not found.
        """
        assert section.target is not None
        return cls(find_code(section.target), section.args)

    @property
    def takes_split(self) -> bool:
        """Whether a data set is made for each split, because the target has a parameter `split`."""
        return "split" in parameters_of(load_code(self.code))

    def arguments(self, split: Split | None) -> dict[str, Any]:
        """Arguments for a split.

        Raises:
            UserError: If the target does not take one of them, or lacks one.
        """
        offered = {} if split is None else {"split": split}
        return arguments_for(self.code, load_code(self.code), self.args, offered=offered, key="data.args")

    def make(self, split: Split | None) -> Any:
        """Make the data set.

        Args:
            split: Split that is handed over; None for a target without `split`.

        Raises:
            UserError: If it cannot be made with these arguments, with the line of the user's code, or is no
                data set.
        """
        target = load_code(self.code)
        arguments = self.arguments(split)
        try:
            dataset = target(**arguments)
            has_both = hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")
            if has_both and not _is_iterable_only(dataset):
                len(dataset)
        except USER_ERRORS as error:
            raise self.explained(error, split) from error
        if _is_iterable_only(dataset):
            raise UserError(f"{self.code.target}: an iterable data set has no index", hint=_WANTED)
        if not has_both:
            raise UserError(
                f"{self.code.target}: makes an object of type {type(dataset).__name__}", hint=_WANTED
            )
        return dataset

    def explained(self, error: BaseException, of: Split | str | None) -> UserError:
        """Error of the user's code, with its line, and the split or item in which it occurred."""
        known = explained(self.code, error)
        if isinstance(error, UserError) or of is None:
            return known
        where = f"for split={of!r}" if of in ("train", "val", "test") else f"in {of}"
        return UserError(f"{known.message} ({where})", hint=known.hint)


def _is_iterable_only(dataset: Any) -> bool:
    """Whether it is an iterable data set of torch, whose `__getitem__` is that of the base class, or none."""
    from torch.utils.data import Dataset, IterableDataset  # the user's code loads torch anyway

    own = getattr(type(dataset), "__getitem__", None)
    return isinstance(dataset, IterableDataset) and own in (None, Dataset.__getitem__)
