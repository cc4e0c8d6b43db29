"""Modules that a module of a user imports from the same folder; they are read, not imported."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path

from vidcls.errors import UserError

_OURS = "vidcls"
"""A folder of this name beside the user's module is this package, and not code of the user."""


@dataclass(frozen=True)
class ModuleSource:
    """Source of a module.

    Attributes:
        name: Full name of the module.
        path: Path of its file, relative to the folder from which it is imported; None for a folder without
            `__init__.py`, which is a package without code.
        content: Content of the file.
    """

    name: str
    path: str | None
    content: bytes = b""

    @property
    def is_package(self) -> bool:
        """Whether other modules can lie in it."""
        return self.path is None or self.path.endswith("__init__.py")


def sources_of(root: Path, module: str) -> dict[str, ModuleSource]:
    """Sources of a module and of all modules below `root` that it imports, directly or through others.

    Packages that contain them belong to them. Imports inside of functions count, those by a computed name
    cannot be seen.

    Args:
        root: Folder from which the modules are imported.
        module: Full name of the module.

    Raises:
        UserError: If a file is not Python.
    """
    found: dict[str, ModuleSource] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or (source := _source(root, name)) is None:
            continue
        found[name] = source
        waiting += imported_names(source, root)
        while name := name.rpartition(".")[0]:
            if name not in found:
                package = _source(root, name) or ModuleSource(name, None)
                found[name] = package
                waiting += imported_names(package, root)
    return dict(sorted(found.items()))


def _source(root: Path, name: str) -> ModuleSource | None:
    top = name.partition(".")[0]
    # A folder without code, such as the one that wandb makes, hides no package of the same name.
    if top == _OURS or (
        (root / top).is_dir() and not (root / top / "__init__.py").is_file() and _exists(top)
    ):
        return None
    relative = Path(*name.split("."))
    for path in (relative / "__init__.py", relative.with_suffix(".py")):
        if (root / path).is_file():
            return ModuleSource(name, path.as_posix(), (root / path).read_bytes())
    return None


def importable(top: str) -> ModuleSpec | None:
    """Spec of a top-level module where Python looks for it; None if there is none."""
    try:
        return importlib.util.find_spec(top)
    except (ImportError, ValueError):  # ValueError: `__main__` and the like have no spec
        return None


def _exists(top: str) -> bool:
    """Whether Python finds a module with code of this name."""
    spec = importable(top)
    return spec is not None and spec.origin is not None


def imported_names(source: ModuleSource, root: Path) -> Iterator[str]:
    """Names that a module imports; some are modules, the others are attributes of modules.

    Args:
        source: Source of the module.
        root: Folder from which it is imported.

    Raises:
        UserError: If it is not Python.
    """
    if source.path is None:
        return
    package = source.name if source.is_package else source.name.rpartition(".")[0]
    for node in ast.walk(_parse(root / source.path, source.content)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                parents = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                base = ".".join([*parents, *filter(None, [module])])
                if base:
                    yield base
                    yield from (f"{base}.{alias.name}" for alias in names if alias.name != "*")


def _parse(path: Path, content: bytes) -> ast.Module:
    try:
        return ast.parse(content, filename=str(path))
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise UserError(f"{path}{line}: not Python: {reason}") from None
