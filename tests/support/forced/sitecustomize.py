"""Makes each Python process believe what FORCED_BF16 and FORCED_CORES say of the machine; see tests/robustness.py."""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class _Capabilities(MetaPathFinder):
    """Changes `torch.cpu` when it is imported: most processes never load torch."""

    def __init__(self, has_bf16: bool) -> None:
        self._has_bf16 = has_bf16

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "torch.cpu":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        load = spec.loader.exec_module

        def load_and_change(module: ModuleType) -> None:
            load(module)
            module.get_capabilities = lambda: {"avx512_bf16": self._has_bf16}  # type: ignore[attr-defined]

        spec.loader.exec_module = load_and_change  # type: ignore[method-assign]
        return spec


if said := os.environ.get("FORCED_BF16"):
    sys.meta_path.insert(0, _Capabilities(said == "1"))
if said := os.environ.get("FORCED_CORES"):
    cores = set(range(int(said)))
    os.sched_getaffinity = lambda pid, /: cores  # type: ignore[assignment]
