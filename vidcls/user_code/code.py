"""Code of a user: its sources and their digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vidcls.user_code.imports import ModuleSource


@dataclass(frozen=True)
class UserCode:
    """Code that a target stands for.

    Attributes:
        target: Text of the target.
        root: Folder from which its modules are imported; a copy of the code has the same files below another.
            File of an installed module.
        module: Full name of the module.
        name: Name of the class or function in it.
        sources: Sources by name of the module; empty for an installed module.
        release: Distribution and release of an installed module, such as `timm 1.0.22`.
    """

    target: str
    root: Path
    module: str
    name: str
    sources: Mapping[str, ModuleSource] = field(repr=False)
    release: str | None = None

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits of the sources; they do not depend on the folder."""
        digest = hashlib.sha256(f"{self.module}\0{self.release}\0".encode())
        for source in self.sources.values():
            digest.update(f"{source.name}\0{source.path}\0{len(source.content)}\0".encode() + source.content)
        return digest.hexdigest()[:16]

    @property
    def identity(self) -> str:
        """Text that is equal for equal code: it takes the place of the target in fingerprints."""
        return f"{self.module}:{self.name} {self.digest}"

    @property
    def file(self) -> Path:
        """File of the module."""
        if self.release is not None:
            return self.root
        path = self.sources[self.module].path
        assert path is not None, "a folder is not a target"
        return self.root / path
