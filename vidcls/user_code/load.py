"""Runs the code of a target: exactly the bytes that its digest was computed from.

The modules of a code have names of their own in `sys.modules`, below a package that is named by its digest.
So the modules of a notebook stay as they are, and two versions of a code can be used side by side: an import
in one of its modules, also one inside a function, takes the module of the same code.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from vidcls.errors import UserError, did_you_mean, reason_of
from vidcls.user_code.code import UserCode
from vidcls.user_code.find import belongs_to_release, is_installed
from vidcls.user_code.imports import ModuleSource, importable, imported_names

_lock = threading.RLock()
USER_ERRORS = (Exception, SystemExit)
"""What the code of a user may raise, `sys.exit` included, and becomes an error with its line."""
_PREFIX = "vidcls_user_code_"


def load_code(code: UserCode) -> Callable[..., Any]:
    """Import the module of a target and get the class or function; equal code is imported once.

    Raises:
        UserError: If the module cannot be imported, has no such class or function, or imports a module of the
            user's that is not part of the code.
    """
    with _lock:
        module = importlib.import_module(code.module) if code.release is not None else _import(code)
    found = getattr(module, code.name, None)
    if not callable(found):
        public = [name for name, value in vars(module).items() if callable(value) and name[0] != "_"]
        what = f"has no {code.name}" if found is None else f"has {code.name}, but it cannot be called"
        raise UserError(f"{code.target}: {code.module} {what}", hint=did_you_mean(code.name, public) or None)
    return found  # type: ignore[no-any-return]


def _import(code: UserCode) -> ModuleType:
    """Module of the target, imported below the package of this code."""
    package = f"{_PREFIX}{code.digest}_{abs(hash(code.root)):x}"
    name = f"{package}.{code.module}"
    if (loaded := sys.modules.get(name)) is not None:
        return loaded
    _refuse_foreign(code)
    finder = _Finder(code, package)
    sys.modules[package] = _package(package)
    sys.meta_path.insert(0, finder)
    before = set(sys.modules)
    try:
        module = importlib.import_module(name)
        _refuse_unseen(code, set(sys.modules) - before)
        return module
    except USER_ERRORS as error:
        sys.meta_path.remove(finder)
        for own in [own for own in sys.modules if own == package or own.startswith(f"{package}.")]:
            del sys.modules[own]
        raise explained(code, error) from error


def _package(name: str) -> ModuleType:
    package = ModuleType(name)
    package.__path__ = []
    return package


def _refuse_foreign(code: UserCode) -> None:
    """Refuse imports of modules that are neither part of the code nor installed: copies would lack them."""
    own = {name.partition(".")[0] for name in code.sources}
    for source in code.sources.values():
        for top in {name.partition(".")[0] for name in imported_names(source, code.root)} - own:
            origin = _origin(top)
            if origin is None or top == "vidcls" or is_installed(origin) or belongs_to_release(top):
                continue
            raise UserError(
                f"{code.root / (source.path or '')}: imports {top}, which lies in {origin.parent} and not in "
                f"{code.root}, so it would be missing in the copies with each run",
                hint="put it beside the module of the target, install it, or name the target from the folder "
                "of both: folder.module:Name",
            )


def _refuse_unseen(code: UserCode, names: set[str]) -> None:
    """Refuse what was imported from beside the module by a name that is only known when it runs."""
    for name in sorted(names):
        file = getattr(sys.modules.get(name), "__file__", None)
        if not file or name.startswith((_PREFIX, "vidcls")) or is_installed(Path(file)):
            continue
        if Path(file).is_relative_to(code.root):
            raise UserError(
                f"{code.file}: imports {name} by a name that is only known when it runs, so it would be "
                "missing in the copies with each run",
                hint=f"write: import {name}",
            )


def _origin(top: str) -> Path | None:
    if top in sys.stdlib_module_names:
        return None
    if (loaded := sys.modules.get(top)) is not None:
        file = getattr(loaded, "__file__", None)
        return Path(file) if file else None
    spec = importable(top)
    return Path(spec.origin) if spec is not None and spec.origin else None


def explained(code: UserCode, error: BaseException) -> UserError:
    """Error of a user's code, with the last of its lines that led to it."""
    if isinstance(error, UserError):
        return error
    place = line_of(code, error) or str(code.file)
    hint = None
    if isinstance(error, SystemExit):
        hint = "it ends the program (sys.exit, or argparse): raise an error in its place"
    if isinstance(error, ModuleNotFoundError):
        hint = (
            f"modules beside it are found from {code.root}, if they are imported by their name, as in "
            "`import helpers`"
        )
    return UserError(f"{place}: {type(error).__name__}: {reason_of(error)}", hint=hint)


def line_of(code: UserCode, error: BaseException) -> str | None:
    """Last line of a user's code that led to an error, as `file:number`; None if none did."""
    # Its folder may hold anything, even an environment with torch.
    files = {str(code.root / source.path) for source in code.sources.values() if source.path is not None}
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if (frame.filename in files if files else Path(frame.filename) == code.root)
    ]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else None


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds and loads the modules of a code from the sources that were read, below a package.

    Args:
        code: Code with the sources.
        package: Name of the package.
    """

    def __init__(self, code: UserCode, package: str) -> None:
        self.code = code
        self._package = package
        self._own_builtins = {**vars(builtins), "__import__": self._import}

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find a module of the code."""
        source = self._source(fullname)
        if source is None:
            return None
        spec = importlib.machinery.ModuleSpec(
            fullname, self, origin=self._file(source), is_package=source.is_package
        )
        spec.has_location = source.path is not None
        if source.is_package:
            spec.submodule_search_locations = []  # what lies beside the sources, but was not read, stays out
        return spec

    def exec_module(self, module: ModuleType) -> None:
        """Run a module, whose imports take the modules of this code."""
        vars(module)["__builtins__"] = self._own_builtins
        super().exec_module(module)

    def get_source(self, fullname: str) -> str:
        """Get the text of a module."""
        return importlib.util.decode_source(self._known(fullname).content)

    def get_code(self, fullname: str) -> CodeType:
        """Compile a module; no file of bytecode is read or written, which could be of other sources."""
        source = self._known(fullname)
        return compile(source.content, self._file(source) or f"<{fullname}>", "exec", dont_inherit=True)

    def is_package(self, fullname: str) -> bool:
        """Whether a module is a package."""
        return self._known(fullname).is_package

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002  (Python's names)
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Import as Python does, with the names of this code standing for its own modules."""
        top = name.partition(".")[0]
        if level or top not in {own.partition(".")[0] for own in self.code.sources}:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        leaf = builtins.__import__(f"{self._package}.{name}", globals, locals, fromlist or (), 0)
        return leaf if fromlist else sys.modules[f"{self._package}.{top}"]

    def _source(self, fullname: str) -> ModuleSource | None:
        package, _, name = fullname.partition(".")
        return self.code.sources.get(name) if package == self._package else None

    def _known(self, fullname: str) -> ModuleSource:
        source = self._source(fullname)
        assert source is not None, "only modules of the code are asked for"
        return source

    def _file(self, source: ModuleSource) -> str | None:
        return None if source.path is None else str(self.code.root / source.path)
