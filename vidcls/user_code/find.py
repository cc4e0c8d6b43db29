"""Finds the code of a `target`, reads it, and identifies it by a digest; nothing of it runs.

A target is `module:Name` or `path/to/file.py:Name`. `Name` is a class or a function.

The code is that module with the modules beside it that it imports. An installed module is identified by its
distribution and release instead, and is not copied.
"""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import re
import site
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from vidcls.errors import UserError, did_you_mean
from vidcls.files import expand_home
from vidcls.user_code.code import UserCode
from vidcls.user_code.copies import copy_for
from vidcls.user_code.imports import importable, sources_of

_TARGET = re.compile(r"(?P<module>[^:\0]+):(?P<name>[^\W\d]\w*)")
_read_once: ContextVar[dict[str, UserCode] | None] = ContextVar("code that was read", default=None)
_FORMS = "write module:Name, such as my_model:MyNet, or path/to/file.py:Name"


def is_target(text: str) -> bool:
    """Whether a text has the form of a target."""
    return _TARGET.fullmatch(text) is not None


def check_target(target: str) -> str:
    """Check the form of a target.

    Raises:
        ValueError: If it has another form.
    """
    if _TARGET.fullmatch(target) is None:
        raise ValueError(f"{target!r} is not a target; {_FORMS}")
    expand_home(target)  # only checked: the target stays as it is written
    return target


def find_code(target: str) -> UserCode:
    """Find the code of a target.

    A copy is preferred to the user's own: that of the run which is being read, or that which was frozen with
    this package for a queue. Else a path is relative to the current folder, and a module is looked for in the
    current folder, then where Python looks.

    Raises:
        UserError: If there is no such file or module, or if it is not Python.
    """
    found = _read_once.get()
    if found is not None and target in found:
        return found[target]
    code = copied_code(target) or own_code(target)
    if found is not None:
        found[target] = code
    return code


@contextmanager
def read_once() -> Iterator[None]:
    """Read the code of each target once for the length of a `with` block, whatever is edited meanwhile."""
    token = _read_once.set({})
    try:
        yield
    finally:
        _read_once.reset(token)


def copied_code(target: str) -> UserCode | None:
    """Code of a target in the copy that is in use; None if there is none."""
    if (copied := copy_for(target)) is None:
        return None
    _, name = _split(target)
    if copied.release is not None:
        code = _named(target, copied.module, name)
    else:
        code = UserCode(target, copied.root, copied.module, name, sources_of(copied.root, copied.module))
    if code.digest != copied.digest:
        if copied.release:
            raise UserError(
                f"{target}: {copied.release} then, {code.release} now", hint=f"install {copied.release} again"
            )
        raise UserError(f"{copied.root}: {target} is not what was copied: the copy was changed")
    return code


def own_code(target: str) -> UserCode:
    """Code of a target as the user has it at this moment; see `find_code`."""
    module, name = _split(target)
    if module.endswith(".py") or "/" in module:
        try:
            return _in_file(target, Path(expand_home(module)), name)
        except ValueError as error:
            raise UserError(f"{target}: {error}") from None
    return _named(target, module, name)


def _split(target: str) -> tuple[str, str]:
    match = _TARGET.fullmatch(target)
    if match is None:
        raise UserError(f"{target!r} is not a target", hint=_FORMS)
    return match["module"], match["name"]


def _in_file(target: str, path: Path, name: str) -> UserCode:
    if not path.is_file():
        beside = path.parent.glob("*.py") if path.parent.is_dir() else ()
        meant = did_you_mean(path.name, [other.name for other in beside])
        raise UserError(f"{target}: there is no file {path} in {Path.cwd()}", hint=meant or _FORMS)
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise UserError(f"{path}: cannot be imported", hint="rename it: letters, digits and _, then .py")
    parts, folder = [path.stem], path.absolute().parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return _from(target, folder, ".".join(parts), name)


def _from(target: str, root: Path, module: str, name: str) -> UserCode:
    _refuse_standard(target, module)
    return UserCode(target, root, module, name, sources_of(root, module))


def _refuse_standard(target: str, module: str) -> None:
    """Refuse modules of Python itself: they hold no models, but functions that a spec must not call."""
    if (top := module.partition(".")[0]) in sys.stdlib_module_names:
        raise UserError(
            f"{target}: {top} is a module of Python's standard library",
            hint="if you mean a file of yours, rename it",
        )


def _named(target: str, module: str, name: str) -> UserCode:
    origin = _origin(module)
    if origin is None or origin.is_dir():
        nowhere = f"is found neither in {Path.cwd()} nor where Python looks"
        what = "is a folder, not a module" if origin else nowhere
        raise UserError(f"{target}: the module {module} {what}", hint=_FORMS)
    _refuse_standard(target, module)
    if (release := _release(module, origin)) is not None:
        return UserCode(target, origin, module, name, {}, release)
    depth = module.count(".") + (origin.name == "__init__.py")
    return _from(target, origin.absolute().parents[depth], module, name)


def _origin(module: str) -> Path | None:
    """File of a module, or folder if it is a package without code; found without importing its parents."""
    top, *parts = module.split(".")
    importlib.invalidate_caches()
    spec = importlib.machinery.PathFinder.find_spec(top, [str(Path.cwd())])
    if spec is None or spec.origin is None:  # a folder is only taken if there is no module elsewhere
        spec = importable(top) or spec
    if spec is None:
        return None
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    origin = Path(spec.origin) if spec.origin else next(iter(folders), None)
    for part in parts:
        below = [folder / part for folder in folders]
        files = [file for path in below for file in (path / "__init__.py", path.with_suffix(".py"))]
        origin = next((file for file in files if file.is_file()), None)
        folders = [path for path in below if path.is_dir()]
        origin = origin or next(iter(folders), None)
    return origin


def belongs_to_release(top: str) -> bool:
    """Whether a module is one of an installed distribution, such as one that is installed to be edited."""
    return top in _distributions()


@cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def _release(module: str, origin: Path) -> str | None:
    """Distribution and release of a module, if it lies where packages are installed."""
    if not is_installed(origin):
        return None
    top = module.partition(".")[0]
    names = _distributions().get(top, [])
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in sorted(set(names))) or top


def is_installed(path: Path) -> bool:
    """Whether a file lies where Python and its packages are installed."""
    return any(path.is_relative_to(folder) for folder in _installed_folders())


@cache
def _installed_folders() -> tuple[Path, ...]:
    named = (sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib"))
    return tuple({Path(path) for path in (*named, *site.getsitepackages(), site.getusersitepackages())})
