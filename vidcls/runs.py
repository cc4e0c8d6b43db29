"""The run folder: identity, provenance, state. The only place that knows its file names.

runs/<name>/<fingerprint>-s<seed>/
    spec.yaml  provenance.json  status.json  metrics.jsonl  checkpoints/{last,best}.pt
    predictions/<split>-<checkpoint>.npz  report/  wandb/  lock  removed.json (why checkpoints were)
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter

from vidcls.errors import UserError, VidclsError
from vidcls.files import guarded, may_write, remove_unfinished, write_json, write_text
from vidcls.installed import COMPUTING, code_digest, releases
from vidcls.json_files import checked, read_json
from vidcls.locking import lock
from vidcls.locking.clock import SYSTEM, Clock
from vidcls.run_shapes import PROVENANCE, REMOVED, STATUS, Provenance, Status
from vidcls.spec.experiment import Spec
from vidcls.spec.load import load_spec
from vidcls.spec.show import to_yaml

Checkpoint = Literal["best", "last"]
T = TypeVar("T")
_OBJECT = TypeAdapter(dict[str, Any])
CHECKPOINTS: tuple[Checkpoint, ...] = ("best", "last")
_REMOVED = "removed.json"


@dataclass(frozen=True)
class Run:
    """One training, one folder."""

    folder: Path

    @classmethod
    def at(cls, spec: Spec, fingerprint: str) -> Run:
        """The folder where a spec with this fingerprint is trained."""
        return cls(Path(spec.runs_dir) / spec.name / f"{fingerprint}-s{spec.seed}")

    @classmethod
    def open(cls, folder: Path) -> Run:
        """An existing run, by its folder or by the folder of an experiment that holds only one.

        Raises:
            UserError: If there is none, naming those that are near.
        """
        run = cls(folder)
        if run.spec_file.is_file():
            return run
        below = find_runs(folder)
        if len(below) == 1:
            return below[0]
        if below:
            listing = "\n".join(f"  {other.folder}" for other in below[:10])
            raise UserError(f"{folder} holds {len(below)} runs; name one:\n{listing}")
        raise UserError(
            f"{folder}: no run there (no spec.yaml)", hint="vidcls runs ls shows the runs there are"
        )

    @property
    def spec_file(self) -> Path:
        """The spec as it was asked for; its presence makes a folder a run."""
        return self.folder / "spec.yaml"

    @property
    def provenance_file(self) -> Path:
        """Code, versions, machine and what every `auto` became."""
        return self.folder / "provenance.json"

    @property
    def status_file(self) -> Path:
        """Where the run stands."""
        return self.folder / "status.json"

    @property
    def metrics_file(self) -> Path:
        """One JSON object a line."""
        return self.folder / "metrics.jsonl"

    @property
    def lock_file(self) -> Path:
        """Who trains the run now."""
        return self.folder / "lock"

    def checkpoint_file(self, which: Checkpoint) -> Path:
        """The file of the best or the last checkpoint; it may not exist."""
        return self.folder / "checkpoints" / f"{which}.pt"

    def existing_checkpoint(self, which: Checkpoint) -> Path:
        """The file of a checkpoint.

        Raises:
            UserError: If the run has none, naming those that it has.
        """
        if (path := self.checkpoint_file(which)).is_file():
            return path
        have = [name for name in CHECKPOINTS if self.checkpoint_file(name).is_file()]
        there = f"it has: {', '.join(have)}" if have else self.why_removed() or "it has none yet"
        hint = "train.keep_last=true keeps the last one of a finished run" if which == "last" else None
        raise UserError(f"{self.folder}: no checkpoint {which!r}; {there}", hint=hint)

    def predictions_file(self, split: str, which: Checkpoint) -> Path:
        """Stored per-video logits of a split under a checkpoint."""
        return self.folder / "predictions" / f"{split}-{which}.npz"

    def report_dir(self, split: str, which: Checkpoint) -> Path:
        """Folder of metrics, tables and figures of a split under a checkpoint."""
        return self.folder / "report" / f"{split}-{which}"

    @property
    def curves_file(self) -> Path:
        """Training curves."""
        return self.folder / "report" / "curves.png"

    @property
    def wandb_id(self) -> str:
        """The id on Weights & Biases: the same after every resume, another after a restart."""
        replaced = len(list(self.folder.parent.glob(f".{self.folder.name}.replaced-*")))
        again = f"-restart{replaced}" if replaced else ""
        return f"{self.folder.parent.name}-{self.folder.name}{again}"[-64:]

    def spec(self) -> Spec:
        """The spec as it was asked for, with every default written out."""
        return load_spec(self.spec_file).spec

    @contextmanager
    def hold(
        self,
        say: Callable[[str], None],
        *,
        wait: bool = False,
        check: Callable[[], None] = lambda: None,
        clock: Clock = SYSTEM,
    ) -> Iterator[lock.Held]:
        """Lock the run for the length of a `with` block; see `vidcls.locking.lock`.

        Meanwhile each file in the folder that this process writes, whoever writes it, asks the lock first.
        """
        with (
            lock.hold(self.lock_file, say=say, wait=wait, check=check, clock=clock) as held,
            guarded(self.folder, held.check),
        ):
            remove_unfinished(self.folder)
            yield held

    def create(self, spec: Spec, provenance: dict[str, Any]) -> None:
        """Write what identifies the run; the spec last, because its presence makes the folder a run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.provenance_file, provenance)
        write_text(self.spec_file, to_yaml(spec))

    def provenance(self) -> dict[str, Any]:
        """Code, versions, machine and what every `auto` became.

        Raises:
            VidclsError: If the file is damaged, or of another version of vidcls.
        """
        file, hint = self.provenance_file, "restore it, or train the run anew: vidcls train SPEC --restart"
        content = _read(file, _OBJECT, hint=hint)
        if missing := Provenance.__required_keys__ - content.keys():
            raise VidclsError(
                f"{file}: of another version of vidcls: no {', '.join(sorted(missing))}",
                hint="use that version with this run, or train it anew: vidcls train SPEC --restart",
            )
        checked(content, PROVENANCE, name=str(file), hint=hint)
        return content

    def last_start(self) -> dict[str, Any]:
        """What the run said of itself when it was started last: code, versions, device, processor."""
        provenance = self.provenance()
        return dict(provenance["resumes"][-1]) if provenance["resumes"] else provenance

    def changes_since(self) -> list[str]:
        """What is installed otherwise now than when the run was trained last, in words; empty if nothing."""
        last = self.last_start()
        then, now = last["versions"], releases(COMPUTING)
        found = ["the code of vidcls"] if last["code"] != code_digest() else []
        return found + [
            f"{name} ({then.get(name, 'none')} then, {now.get(name, 'none')} now)"
            for name in sorted(then.keys() | now.keys())
            if then.get(name) != now.get(name)
        ]

    def write_status(self, status: Status) -> None:
        """Say where the run stands."""
        write_json(
            self.status_file, asdict(replace(status, updated=datetime.now(UTC).isoformat(timespec="seconds")))
        )

    def status(self) -> Status | None:
        """What was last said, None for a run that never started an epoch.

        Raises:
            VidclsError: If the file is damaged, or of another version of vidcls.
        """
        hint = "restore it, or remove it: the same vidcls train command writes it again"
        try:
            return Status(**read_json(self.status_file, STATUS, hint=hint))
        except FileNotFoundError:
            return None

    @property
    def state(self) -> str:
        """The state, with `killed` for a run that stopped without a word and `new` before the first."""
        status = self.status()
        if status is None:
            return "new"
        if status.state == "running" and not lock.is_held(self.lock_file):
            return "killed"
        return status.state

    def why_removed(self) -> str | None:
        """The rule by which its checkpoints were removed, None where they were not."""
        path = self.folder / _REMOVED
        if not path.is_file():
            return None
        return read_json(
            path, REMOVED, hint=f"remove it: its weights were removed, {self.folder} keeps the rest"
        )["why"]

    def remove_checkpoints(self, *, why: str) -> int:
        """Remove both checkpoints at once: a run with one of them could not be trained again.

        Args:
            why: The rule, for whoever looks for them later.

        Returns:
            Bytes that were freed.
        """
        folder = self.checkpoint_file("best").parent
        may_write(folder)
        aside = folder.with_name(".checkpoints.removed")
        shutil.rmtree(aside, ignore_errors=True)  # of a removal that was interrupted
        try:
            folder.rename(aside)
        except FileNotFoundError:
            return 0
        write_json(self.folder / _REMOVED, {"why": why})
        size = sum(file.stat().st_size for file in aside.iterdir())
        shutil.rmtree(aside, ignore_errors=True)
        return size

    def set_aside(self) -> Path:
        """Rename the folder so that the run can start anew; nothing is deleted."""
        number = 1
        while (target := self.folder.with_name(f".{self.folder.name}.replaced-{number}")).exists():
            number += 1
        return self.folder.rename(target)


def _read(path: Path, shape: TypeAdapter[T], *, hint: str) -> T:
    try:
        return read_json(path, shape, hint=hint)
    except FileNotFoundError:
        raise VidclsError(f"{path}: missing", hint=hint) from None


def find_runs(root: Path) -> list[Run]:
    """All runs below a folder, by name; runs that were set aside left out."""
    if not root.is_dir():
        return []
    found = (path.parent for path in root.rglob("spec.yaml"))
    kept = [f for f in found if not any(p.startswith(".") for p in f.relative_to(root).parts)]
    return [Run(folder) for folder in sorted(kept)]


def open_runs(folders: Sequence[Path]) -> list[Run]:
    """The runs named by folders; a folder that holds several gives all of them.

    Raises:
        UserError: If a folder holds none.
    """
    runs: list[Run] = []
    for folder in folders:
        runs += [Run(folder)] if Run(folder).spec_file.is_file() else find_runs(folder) or [Run.open(folder)]
    return list(dict.fromkeys(runs))
