"""A network file system in memory, worse than real ones.

Exclusive creation is true at the server. Everything else may be late: a machine sees files, beats and
listings as they were up to `lag_s` seconds ago, though never older than what it saw of the same file before;
its listings may lack even files that it has read. An answer may be lost after the work was done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

T = TypeVar("T")

MAX_LAG_S = 59.0
"""As long as an NFS client believes its memory of a folder."""

Fate = Literal["done", "lost answer", "failed", "killed before", "killed after"]


class KilledError(BaseException):
    """The process ends here; no handler of an ordinary error sees it."""


@dataclass(frozen=True)
class Grant:
    """How one file operation goes."""

    fate: Fate = "done"
    lag_s: float = 0.0


@dataclass
class Server:
    """The files, each with its versions and when they came; the time is true time."""

    now_s: float = 0.0
    files: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    created: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def read(self, name: str) -> dict[str, Any] | None:
        """The newest version."""
        versions = self.files.get(name)
        return json.loads(versions[-1][1]) if versions else None

    def names(self, folder: str) -> list[str]:
        """All names in a folder."""
        start = f"{folder}/"
        return sorted(
            {name.removeprefix(start).split("/")[0] for name in self.files if name.startswith(start)}
        )


class NetworkStorage:
    """One machine's view of the server."""

    def __init__(self, server: Server, gate: Callable[[], Grant] = Grant) -> None:
        self._server = server
        self._gate = gate
        self._seen: dict[str, int] = {}

    def create(self, name: str, content: Mapping[str, Any]) -> bool:
        """Exclusive at the server; whoever is refused knows from then on that the file is there."""
        text = json.dumps(content)

        def work(grant: Grant) -> bool:
            done = name not in self._server.files
            if done:
                self._server.files[name] = [(self._server.now_s, text)]
                self._server.created.append((name, json.loads(text)))
            if grant.fate == "done":
                self._seen[name] = max(self._seen.get(name, 0), 0)
            return done

        return self._do(work)

    def read(self, name: str) -> dict[str, Any] | None:
        """Perhaps an old version, perhaps none though there is one."""

        def work(grant: Grant) -> dict[str, Any] | None:
            versions = self._server.files.get(name, [])
            index = self._newest(versions, grant.lag_s)
            index = max(index, self._seen.get(name, -1))
            if index < 0:
                return None
            self._seen[name] = index
            content: dict[str, Any] = json.loads(versions[index][1])
            return content

        return self._do(work)

    def names(self, folder: str) -> list[str]:
        """Perhaps an old listing."""

        def work(grant: Grant) -> list[str]:
            return [
                name
                for name in self._server.names(folder)
                if self._newest(self._server.files.get(f"{folder}/{name}", []), grant.lag_s) >= 0
            ]

        return self._do(work)

    def replace(self, name: str, content: Mapping[str, Any]) -> None:
        """At once at the server; others see it later."""
        text = json.dumps(content)

        def work(grant: Grant) -> None:
            versions = self._server.files.setdefault(name, [])
            versions.append((self._server.now_s, text))
            self._seen[name] = len(versions) - 1

        self._do(work)

    def _newest(self, versions: list[tuple[float, str]], lag_s: float) -> int:
        return sum(time_s <= self._server.now_s - lag_s for time_s, _ in versions) - 1

    def _do(self, work: Callable[[Grant], T]) -> T:
        grant = self._gate()
        if grant.fate == "killed before":
            raise KilledError
        if grant.fate == "failed":
            raise OSError("the server is away")
        answer = work(grant)
        if grant.fate == "killed after":
            raise KilledError
        if grant.fate == "lost answer":
            raise OSError("the answer was lost")
        return answer
