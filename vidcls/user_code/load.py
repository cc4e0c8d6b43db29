"""Runs the code of a target: exactly the bytes that its digest was computed from."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from vidcls.errors import UserError, did_you_mean, reason_of
from vidcls.user_code.code import UserCode
from vidcls.user_code.find import is_installed
from vidcls.user_code.imports import ModuleSource

_lock = threading.RLock()


def load_code(code: UserCode) -> Callable[..., Any]:
    """Import the module of a target and get the class or function; equal code is imported once.

    Modules of other code with the same names, such as that of an older run, stay usable for whoever holds
    their classes, and give up their names in `sys.modules`.

    Raises:
        UserError: If the module cannot be imported, has no such class or function, or imports a module beside
            it in a way that could not be seen.
    """
    with _lock:
        module = importlib.import_module(code.module) if code.release is not None else _import(code)
    found = getattr(module, code.name, None)
    if not callable(found):
        public = [name for name, value in vars(module).items() if callable(value) and name[0] != "_"]
        what = f"has no {code.name}" if found is None else f"has {code.name}, but it cannot be called"
        raise UserError(
            f"{code.target}: {module.__name__} {what}", hint=did_you_mean(code.name, public) or None
        )
    return found  # type: ignore[no-any-return]


def _import(code: UserCode) -> ModuleType:
    finder = next((one for one in sys.meta_path if isinstance(one, _Finder) and one.code == code), None)
    if finder is None or _modules(finder.code) != finder.loaded:
        finder = finder or _Finder(code)
        _give_way(code)
        before = set(sys.modules)
        sys.meta_path.insert(0, finder)
        try:
            importlib.import_module(code.module)
        except BaseException as error:
            sys.meta_path.remove(finder)
            for name in code.sources:
                sys.modules.pop(name, None)
            if isinstance(error, Exception):
                raise explained(code, error) from error
            raise
        _refuse_unseen(code, set(sys.modules) - before)
        finder.loaded = _modules(code)
    return sys.modules[code.module]


def _modules(code: UserCode) -> dict[str, ModuleType | None]:
    return {name: sys.modules.get(name) for name in code.sources}


def _give_way(code: UserCode) -> None:
    """Free the names of the modules; refuse if one belongs to something else."""
    for finder in [one for one in sys.meta_path if isinstance(one, _Finder)]:
        if finder.code.sources.keys() & code.sources.keys():
            sys.meta_path.remove(finder)
            for name in finder.code.sources:
                sys.modules.pop(name, None)
    for name, source in code.sources.items():
        loaded = sys.modules.get(name)
        if loaded is None:
            continue
        origin = getattr(loaded, "__file__", None)
        if source.path is not None and origin and not _is_same(Path(origin), code.root / source.path):
            raise UserError(
                f"{code.root / source.path}: another module named {name} is loaded already, from {origin}",
                hint="rename your file",
            )
        del sys.modules[name]


def _is_same(loaded: Path, own: Path) -> bool:
    return loaded.absolute() == own.absolute() or (loaded.exists() and own.exists() and loaded.samefile(own))


def _refuse_unseen(code: UserCode, names: set[str]) -> None:
    for name in sorted(names - code.sources.keys()):
        origin = getattr(sys.modules.get(name), "__file__", None)
        if name.partition(".")[0] == "vidcls" or origin is None or is_installed(Path(origin)):
            continue
        if Path(origin).is_relative_to(code.root):
            raise UserError(
                f"{code.file}: imports {name} by a name that is only known when it runs, so it would be "
                "missing in the copies with each run",
                hint=f"write: import {name}",
            )


def explained(code: UserCode, error: Exception) -> UserError:
    """Error of a user's code, with the last of its lines that led to it."""
    if isinstance(error, UserError):
        return error
    place = line_of(code, error) or str(code.file)
    hint = None
    if isinstance(error, ModuleNotFoundError):
        hint = f"a module beside it is found from {code.root}; one of another folder is not part of the code"
    return UserError(f"{place}: {type(error).__name__}: {reason_of(error)}", hint=hint)


def line_of(code: UserCode, error: BaseException) -> str | None:
    """Last line of a user's code that led to an error, as `file:number`; None if none did."""
    # Its folder may hold anything, even an environment with torch.
    files = {str(code.root / source.path) for source in code.sources.values() if source.path is not None}
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if (frame.filename in files if files else Path(frame.filename).is_relative_to(code.root))
    ]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else None


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds and loads the modules of a code from the sources that were read."""

    def __init__(self, code: UserCode) -> None:
        self.code = code
        self.loaded: dict[str, ModuleType | None] = {}

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find a module of the code."""
        source = self.code.sources.get(fullname)
        if source is None:
            return None
        spec = importlib.machinery.ModuleSpec(
            fullname, self, origin=self._file(source), is_package=source.is_package
        )
        spec.has_location = source.path is not None
        if source.is_package:
            spec.submodule_search_locations = [str(self.code.root.joinpath(*fullname.split(".")))]
        return spec

    def get_source(self, fullname: str) -> str:
        """Get the text of a module."""
        return importlib.util.decode_source(self.code.sources[fullname].content)

    def get_code(self, fullname: str) -> CodeType:
        """Compile a module; no file of bytecode is read or written, which could be of other sources."""
        source = self.code.sources[fullname]
        return compile(source.content, self._file(source) or f"<{fullname}>", "exec", dont_inherit=True)

    def is_package(self, fullname: str) -> bool:
        """Whether a module is a package."""
        return self.code.sources[fullname].is_package

    def _file(self, source: ModuleSource) -> str | None:
        return None if source.path is None else str(self.code.root / source.path)
