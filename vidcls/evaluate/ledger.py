"""Ledger of who opened the sealed test split, and when: an append-only file for each set of videos."""

from __future__ import annotations

import getpass
import json
import os
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

from vidcls.errors import VidclsError
from vidcls.json_files import DamagedError, parse_json
from vidcls.run.folder import Run


@dataclass(frozen=True)
class Opening:
    """One scoring of the test split.

    Attributes:
        when: Time in UTC, ISO 8601.
        who: User as `user@host`.
        run: Run that was scored.
        checkpoint: Checkpoint that was scored.
        repeated: Whether a stored result was shown again, which gives no new information.
    """

    when: str
    who: str
    run: str
    checkpoint: str
    repeated: bool = False

    @property
    def configuration(self) -> str:
        """Key of the configuration that was scored: the fingerprint of a run, or the identity of a fusion.

        A fusion in a folder of another name is known by its path.
        """
        match = _FOLDER.fullmatch(Path(self.run).name)
        return match["key"] if match else self.run


_FOLDER = re.compile(r"(?P<key>[0-9a-f]{12})(-s\d+)?")
_OPENING = TypeAdapter(Opening)


class Ledger:
    """Openings of one test split. Lines are only added; any number of processes may write at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, manifest_hash: str, *, store_dir: Path) -> Ledger:
        """Ledger of the videos with this hash, stored beside the caches of their manifest."""
        return cls(store_dir / "ledgers" / f"{manifest_hash}.jsonl")

    def append(self, *, run: str, checkpoint: str, repeated: bool = False) -> Opening:
        """Record an opening; it is on disk when this returns. Call it before the first test video is scored.

        Args:
            run: Folder of the run.
            checkpoint: Checkpoint that is scored.
            repeated: Whether a stored result is shown again.

        Raises:
            VidclsError: If the opening cannot be recorded; then the split must stay closed.
        """
        (opening,) = self.append_all([run], checkpoint=checkpoint, repeated=repeated)
        return opening

    def append_all(
        self, runs: Sequence[str], *, checkpoint: str, repeated: bool = False
    ) -> tuple[Opening, ...]:
        """Record an opening of each of several runs at once; see `append`."""
        now, who = datetime.now(UTC).isoformat(timespec="seconds"), _who()
        openings = tuple(Opening(now, who, run, checkpoint, repeated) for run in runs)
        # The leading newline ends a line that a killed process left incomplete; readers skip empty lines.
        lines = "".join(f"\n{json.dumps(asdict(opening))}\n" for opening in openings).encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # O_APPEND and a single write: lines of simultaneous processes do not mix.
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                if os.write(descriptor, lines) != len(lines):
                    raise OSError("the disk is full")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise VidclsError(
                f"{self.path}: cannot be written ({error.strerror or error}), so the test split is not "
                "evaluated",
                hint="set store_dir to a folder that you can write, or free space",
            ) from error
        return openings

    @property
    def count(self) -> int:
        """Number of openings of the split; an unreadable line counts too."""
        return len(self._lines())

    @property
    def num_repeats(self) -> int:
        """Number of openings that showed a stored result again."""
        return sum(opening.repeated for opening in self.entries())

    @property
    def num_configurations(self) -> int:
        """Number of different configurations that opened the split, fusions included.

        An unreadable line counts as one more, because nobody can say that it was not.
        """
        openings = self.entries()
        return len({opening.configuration for opening in openings}) + self.count - len(openings)

    @property
    def features_dir(self) -> Path:
        """Folder of the features of these test videos, separate from the features that training reads.

        It may be opened only after an opening was recorded.
        """
        return self.path.with_suffix(".features")

    def entries(self) -> tuple[Opening, ...]:
        """Readable openings, oldest first."""
        openings = []
        for line in self._lines():
            try:
                openings.append(parse_json(line, _OPENING, name=str(self.path), hint=""))
            except DamagedError:
                continue
        return tuple(openings)

    def _lines(self) -> list[bytes]:
        try:
            return [line for line in self.path.read_bytes().splitlines() if line.strip()]
        except FileNotFoundError:
            return []


def ledger_of(run: Run) -> Ledger:
    """Ledger of the test split of a run's data."""
    provenance = run.provenance()
    return Ledger.of(provenance["manifest"]["hash"], store_dir=Path(provenance["store_dir"]))


def ledgers_of(runs: Iterable[Run]) -> list[tuple[Ledger, list[Run]]]:
    """Different ledgers of the test splits of runs, each with its runs, in the order of their appearance."""
    found: dict[Path, tuple[Ledger, list[Run]]] = {}
    for run in runs:
        ledger = ledger_of(run)
        found.setdefault(ledger.path, (ledger, []))[1].append(run)
    return list(found.values())


def _who() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may run under a user id without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
